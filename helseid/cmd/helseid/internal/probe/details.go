package probe

import (
	"context"
	"encoding/json"
)

var detailQuestions = []question{
	{
		"details_name", "Is the claim authorization_details accepted in an assertion, in place of assertion_details or beside it?",
		"token requests that name the organisation under the other name, and under both",
		func(ctx context.Context, l *lab) (answer, error) {
			if l.detail == "" {
				return answer{}, needsOrganization
			}
			return l.accepted(ctx, []variant{
				{"in its place", func(_, claims map[string]any) {
					claims["authorization_details"] = claims["assertion_details"]
					delete(claims, "assertion_details")
				}},
				{"beside it", func(_, claims map[string]any) { claims["authorization_details"] = claims["assertion_details"] }},
			})
		},
	},
	{
		"details_array", "Is a single detail accepted in an array?", "a token request with the organisation in an array of one",
		func(ctx context.Context, l *lab) (answer, error) {
			if l.detail == "" {
				return answer{}, needsOrganization
			}
			return l.accepted(ctx, []variant{{"an array", func(_, claims map[string]any) {
				claims["assertion_details"] = []json.RawMessage{json.RawMessage(l.detail)}
			}}})
		},
	},
	{
		"organization_form", "Which forms of an organisation's number are accepted?",
		"token requests with the forms in use: with and without a colon at the end (-parent), and two code systems (-child)",
		func(ctx context.Context, l *lab) (answer, error) {
			organization := l.request.Organization
			form := func(name, system, value string) variant {
				return variant{name, func(_, claims map[string]any) { claims["assertion_details"] = organizationDetail(system, value) }}
			}
			const multi, single, old = "urn:oid:1.0.6523", "urn:oid:2.16.578.1.12.4.1.4.101", "urn:oid:2.16.578.1.12.4.1.2.101"
			switch {
			case organization.IsZero():
				return answer{}, needsOrganization
			case organization.Parent == "":
				return l.accepted(ctx, []variant{form(single, single, string(organization.Child)), form(old, old, string(organization.Child))})
			}
			parent := "NO:ORGNR:" + string(organization.Parent)
			return l.accepted(ctx, []variant{
				form("the parent alone", multi, parent), form("the parent and a colon", multi, parent+":"),
				form("another code system", multi+"01", parent),
			})
		},
	},
}

func organizationDetail(system, value string) any {
	identifier := map[string]any{"system": system, "type": "ENH", "value": value}
	return map[string]any{
		"type":              "helseid_authorization",
		"practitioner_role": map[string]any{"organization": map[string]any{"identifier": identifier}},
	}
}
