package helseidtest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/claim"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/orgnr"
)

const (
	detailOrganization = "helseid_authorization"

	systemMultiTenant     = "urn:oid:1.0.6523"
	systemSingleTenant    = "urn:oid:2.16.578.1.12.4.1.4.101"
	systemSingleTenantOld = "urn:oid:2.16.578.1.12.4.1.2.101"
)

// detailRefusal returns a refusal with one of HelseID's own error numbers.
func detailRefusal(number, description string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_request", number + ": " + description}
}

// details converts details to claims of the token.
func (s *Server) details(client *Client, list []jose.Object) (map[string]any, *refusal) {
	claims := map[string]any{}
	if client.MultiTenant {
		claims[claim.ClientTenancy] = "multi-tenant"
		claims[claim.Parent] = nil
	}
	seen := map[string]bool{}
	for _, detail := range list {
		kind, _ := detail.Get("type").Text()
		if seen[kind] {
			return nil, detailRefusal("HID-1007", "a detail is repeated")
		}
		seen[kind] = true
		var refused *refusal
		switch kind {
		case detailOrganization:
			refused = organizationClaims(client, detail, claims, s.Now())
		case claim.JournalID:
			refused = journalClaim(client, detail, claims)
		case claim.Attest:
			refused = s.attestClaim(detail, claims)
		default:
			refused = detailRefusal("HID-1007", "the type of a detail is not known")
		}
		if refused != nil {
			return nil, refused
		}
	}
	return claims, nil
}

// assertedDetails converts the details of a client assertion to claims of the token.
func (s *Server) assertedDetails(client *Client, assertion jose.Object) (map[string]any, *refusal) {
	list, refused := assertionDetails(assertion)
	if refused != nil {
		return nil, refused
	}
	return s.details(client, list)
}

// assertionDetails reads the details of a client assertion, from the claim with the new
// or the old name.
func assertionDetails(assertion jose.Object) ([]jose.Object, *refusal) {
	value := assertion.Get("assertion_details")
	if value.Absent() {
		value = assertion.Get("authorization_details")
	}
	return detailList(value)
}

// detailList reads one detail or several.
func detailList(value jose.Value) ([]jose.Object, *refusal) {
	if value.Absent() {
		return nil, nil
	}
	if detail, ok := value.Object(); ok {
		return []jose.Object{detail}, nil
	}
	values, ok := value.Array()
	if !ok || len(values) == 0 {
		return nil, detailRefusal("HID-1007", "the details are neither an object nor an array of some")
	}
	details := make([]jose.Object, len(values))
	for i := range values {
		if details[i], ok = values[i].Object(); !ok {
			return nil, detailRefusal("HID-1007", "a detail is not an object")
		}
	}
	return details, nil
}

func organizationClaims(client *Client, detail jose.Object, claims map[string]any, now time.Time) *refusal {
	role, _ := detail.Get("practitioner_role").Object()
	organization, _ := role.Get("organization").Object()
	identifier, _ := organization.Get("identifier").Object()
	system, _ := identifier.Get("system").Text()
	value, _ := identifier.Get("value").Text()
	if kind, _ := identifier.Get("type").Text(); kind != "ENH" {
		return detailRefusal("HID-1007", "the type of the identifier is not ENH")
	}
	switch system {
	case systemMultiTenant:
		return multiTenantClaims(client, value, claims, now)
	case systemSingleTenant, systemSingleTenantOld:
		return singleTenantClaims(client, value, claims)
	}
	return detailRefusal("HID-1007", "the system of the identifier is not known")
}

func multiTenantClaims(client *Client, value string, claims map[string]any, now time.Time) *refusal {
	parent, child, _ := strings.Cut(strings.TrimPrefix(value, "NO:ORGNR:"), ":")
	switch {
	case !client.MultiTenant:
		return detailRefusal("HID-1005", "the client may not pass parent numbers")
	case !strings.HasPrefix(value, "NO:ORGNR:"):
		return detailRefusal("HID-1007", "the value does not start with NO:ORGNR:")
	case !orgnr.IsNumber(parent) || child != "" && !orgnr.IsNumber(child):
		return detailRefusal("HID-1004", "an organisation number must have nine digits")
	case !slices.Contains(client.delegationsAt(now), parent):
		return detailRefusal("HID-1001", "the parent number is not whitelisted for the client")
	case child != "" && len(client.ChildOrganizations) > 0 && !slices.Contains(client.ChildOrganizations, child):
		return detailRefusal("HID-1003", "the parent number is whitelisted, but not the child number under it")
	}
	claims[claim.Parent] = parent
	claims[claim.Supplier] = client.ParentOrganization
	if child != "" {
		claims[claim.Child] = child
	}
	return nil
}

func singleTenantClaims(client *Client, child string, claims map[string]any) *refusal {
	switch {
	case client.MultiTenant:
		return detailRefusal("HID-1006", "a multi-tenant client must pass the parent number too")
	case !orgnr.IsNumber(child):
		return detailRefusal("HID-1004", "an organisation number must have nine digits")
	case !slices.Contains(client.ChildOrganizations, child):
		return detailRefusal("HID-1002", "the child number is not whitelisted for the client")
	}
	claims[claim.Child] = child
	return nil
}

func journalClaim(client *Client, detail jose.Object, claims map[string]any) *refusal {
	value, _ := detail.Get("value").Object()
	id, _ := value.Get("journal_id").Text()
	if id == "" || !client.MultiTenant {
		return detailRefusal("HID-1007", "the journal id is missing, or the client is not a multi-tenant one")
	}
	claims[claim.JournalID] = id
	return nil
}

// attestClaim completes an attest with the time of attestation.
func (s *Server) attestClaim(detail jose.Object, claims map[string]any) *refusal {
	attest := map[string]any{"toa": s.Now().Unix()}
	for _, name := range []string{"practitioner", "care_relationship"} {
		value := detail.Get(name)
		if _, ok := value.Object(); !ok {
			return detailRefusal("HID-1007", "the attest's "+name+" is missing or not an object")
		}
		attest[name] = json.RawMessage(value.Raw())
	}
	if value := detail.Get("patients"); !value.Absent() {
		if _, ok := value.Array(); !ok {
			return detailRefusal("HID-1007", "the attest's patients are not an array")
		}
		attest["patients"] = json.RawMessage(value.Raw())
	}
	claims[claim.Attest] = attest
	return nil
}
