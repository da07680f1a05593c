package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
)

// Both fail the check digit, as some of the organisations in HelseID's test environment do. Only in
// production does that matter.
const (
	testParent = "999977775"
	testChild  = "999977776"
	journalID  = "5e6d1b38-0ff3-4b2b-9f0e-3f4d5d2f2a11"
)

const (
	multiTenantSystem  = "urn:oid:1.0.6523"
	singleTenantSystem = "urn:oid:2.16.578.1.12.4.1.4.101"
)

// A caller is what examples/api says about who called it.
type caller struct {
	Organization *callerOrganization
	Tenancy      string
	JournalID    string `json:"journal_id"`
}

type callerOrganization struct{ Parent, Child, Supplier string }

func (c caller) String() string {
	organization := "no organisation"
	if o := c.Organization; o != nil {
		organization = fmt.Sprintf("parent %q, child %q, supplier %q", o.Parent, o.Child, o.Supplier)
	}
	return fmt.Sprintf("%s, journal id %q, %s", organization, c.JournalID, c.Tenancy)
}

// organizationScenarios are about who and what a token is for: machine says it in its assertion, a
// server that is nobody's puts it into the token, and examples/api reads it there.
func organizationScenarios() []scenario {
	multi := func(child, journal string) func(authState) caller {
		return func(state authState) caller {
			return caller{&callerOrganization{testParent, child, state.Supplier}, "multi-tenant", journal}
		}
	}
	single := func(state authState) caller {
		return caller{&callerOrganization{Parent: state.RegisteredParent, Child: testChild}, "single-tenant", ""}
	}
	all := []scenario{
		organizationScenario("parent, child and journal id", organizationCase{
			flags:   flags{"parent": testParent, "child": testChild, "journal-id": journalID},
			details: "[" + organizationDetail(multiTenantSystem, "NO:ORGNR:"+testParent+":"+testChild) + "," + journalDetail + "]",
			caller:  multi(testChild, journalID),
		}),
		organizationScenario("parent and child", organizationCase{
			flags:   flags{"parent": testParent, "child": testChild},
			details: organizationDetail(multiTenantSystem, "NO:ORGNR:"+testParent+":"+testChild),
			caller:  multi(testChild, ""),
		}),
		organizationScenario("parent alone", organizationCase{
			flags:   flags{"parent": testParent},
			details: organizationDetail(multiTenantSystem, "NO:ORGNR:"+testParent),
			caller:  multi("", ""),
		}),
		organizationScenario("child alone", organizationCase{
			flags:   flags{"child": testChild},
			details: organizationDetail(singleTenantSystem, testChild),
			caller:  single,
		}),
		organizationScenario("journal id alone", organizationCase{
			flags:   flags{"journal-id": journalID},
			path:    "/machine", // the other route is for those with a parent
			details: journalDetail,
			caller:  func(authState) caller { return caller{nil, "single-tenant", journalID} },
		}),
		organizationScenario("none", organizationCase{
			path:    "/machine",
			details: "null",
			caller:  func(authState) caller { return caller{nil, "single-tenant", ""} },
		}),
	}
	for _, m := range []struct {
		name  string
		flags flags
	}{
		{"parent of eight digits", flags{"parent": "99997777", "child": testChild}},
		{"child of eight digits", flags{"parent": testParent, "child": "99997777"}},
		{"only a child, of eight digits", flags{"child": "99997777"}},
		{"letters in a parent", flags{"parent": "99997777A"}},
		{"journal id that is no UUID", flags{"parent": testParent, "journal-id": "42"}},
	} {
		all = append(all, scenario{"organisation: " + m.name, func(ctx context.Context, l *lab) (string, error) {
			b, err := l.bench(ctx, setup{})
			if err != nil {
				return "", err
			}
			return refusedUnsent(ctx, b, m.flags)
		}})
	}
	return all
}

// An organizationCase says what must follow from flags.
type organizationCase struct {
	flags   flags
	path    string                 // of examples/api; that for organisations if empty
	details string                 // in every client assertion, as JSON
	caller  func(authState) caller // whom the API must see
}

func organizationScenario(name string, want organizationCase) scenario {
	return scenario{"organisation: " + name, func(ctx context.Context, l *lab) (string, error) {
		return organization(ctx, l, want)
	}}
}

func organizationDetail(system, value string) string {
	return fmt.Sprintf(`{"type":"helseid_authorization","practitioner_role":{"organization":{"identifier":`+
		`{"system":%q,"type":"ENH","value":%q}}}}`, system, value)
}

const journalDetail = `{"type":"nhn:sfm:journal-id","value":{"journal_id":"` + journalID + `"}}`

// organization runs machine against examples/api twice: once for the events, and once for the answer,
// which is printed without -json only.
func organization(ctx context.Context, l *lab, want organizationCase) (string, error) {
	const calls = 20
	options := authOptions{nonces: true} // so that an assertion is made twice for one token
	b, err := l.bench(ctx, setup{auth: options})
	if err != nil {
		return "", err
	}
	api, err := l.program(ctx, programOptions{auth: options})
	if err != nil {
		return "", err
	}
	if err := b.auth.reset(ctx); err != nil { // the API may have fetched its keys just now
		return "", err
	}
	before := api.tally()
	if want.path == "" {
		want.path = "/organisation"
	}
	b.flags["url"] = api.url + want.path
	maps.Copy(b.flags, want.flags)
	many, err := b.run(ctx, flags{"n": fmt.Sprint(calls)})
	if err != nil {
		return "", err
	}
	one, err := b.run(ctx, flags{"n": "1", "c": "1", "json": ""})
	if err != nil {
		return "", err
	}
	var seen caller
	auth, _, err := b.stats(ctx, b.flags["scope"])
	if err := errors.Join(many.succeeded(calls), one.firstAnswer(&seen), err); err != nil {
		return "", err
	}
	if expected := want.caller(b.auth.state); !reflect.DeepEqual(seen, expected) {
		return "", fmt.Errorf("the API saw %v, want %v", seen, expected)
	}
	if auth.Answers["200"] != 2 || len(auth.Details) != 4 {
		return "", fmt.Errorf("answers of the token endpoint: %v, want two tokens and two challenges", auth.Answers)
	}
	for _, details := range auth.Details {
		if same, err := sameJSON(details, []byte(want.details)); err != nil || !same {
			return "", errors.Join(err, fmt.Errorf("an assertion has the details %s, want %s", details, want.details))
		}
	}
	return seen.String(), api.decided(before, calls+1, 0)
}

// sameJSON does not care about the order of members.
func sameJSON(a, b []byte) (bool, error) {
	var x, y any
	err := errors.Join(json.Unmarshal(a, &x), json.Unmarshal(b, &y))
	return reflect.DeepEqual(x, y), err
}
