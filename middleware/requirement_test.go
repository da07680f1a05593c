package middleware_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

const claimPrefix = "helseid://claims/"

func claim(name, value string) mint.TokenOption {
	return mint.Claim(name, json.RawMessage(value))
}

// demand is a requirement, a caller, and the expected response.
type demand struct {
	name        string
	requirement middleware.Requirement
	token       []mint.TokenOption

	status     int
	reason     string // "" if it is met
	parameters map[string]string
}

func forbidden(reason string) demand { return demand{status: http.StatusForbidden, reason: reason} }

func login(reason string, parameters map[string]string) demand {
	return demand{status: http.StatusUnauthorized, reason: reason, parameters: parameters}
}

func (d demand) of(name string, requirement middleware.Requirement, token ...mint.TokenOption) demand {
	d.name, d.requirement, d.token = name, requirement, token
	return d
}

func demands() []demand {
	met := demand{status: http.StatusOK}
	clinician := func(options ...mint.TokenOption) []mint.TokenOption {
		return append([]mint.TokenOption{mint.Clinician()}, options...)
	}
	const level = claimPrefix + "identity/security_level"
	const assurance = claimPrefix + "identity/assurance_level"
	const hpr = claimPrefix + "hpr/hpr_number"
	scope := func(reason string) demand {
		d := forbidden("scope")
		d.parameters = map[string]string{"scope": reason}
		return d
	}
	level4 := login("security_level", map[string]string{"acr_values": "Level4"})
	list := []demand{
		met.of("T153 scope there", middleware.Scope("nhn:test-api/read")),
		met.of("T151 all of two scopes there", middleware.Scope("a", "b"), mint.Scopes("a", "b", "c")),
		met.of("T151 one of two scopes there", middleware.AnyScope("a", "b"), mint.Scopes("b")),
		met.of("T152 several others", middleware.AnyScope("…/all", "…/sysvak"), mint.Scopes("…/grunndata", "…/sysvak")),
		scope("nhn:test-api/write").of("T153 another scope", middleware.Scope("nhn:test-api/write")),
		scope("a b").of("one of two", middleware.Scope("a", "b"), mint.Scopes("a")),
		scope("nhn:test-api/read").of("T153 no scope claim", middleware.Scope("nhn:test-api/read"), mint.Claim("scope", nil)),
		scope("nhn:test-api/read").of("scope null", middleware.Scope("nhn:test-api/read"), claim("scope", "null")),
		scope("nhn:test-api/read").of("scope of a wrong type", middleware.Scope("nhn:test-api/read"), claim("scope", `{"nhn:test-api/read":1}`)),
		scope("nhn:test-api/read").of("scope in another case", middleware.Scope("nhn:test-api/read"), mint.Scopes("nhn:test-api/Read")),
		scope("nhn:test-api/read").of("a longer scope", middleware.Scope("nhn:test-api/read"), mint.Scopes("nhn:test-api/readwrite")),
		scope("nhn:test-api/read").of("two scopes in one element", middleware.Scope("nhn:test-api/read"), mint.Scopes("x nhn:test-api/read")),
		scope("a b").of("T151 none of two", middleware.AnyScope("a", "b"), mint.Scopes("c")),
		scope("owner:api'write").of("a scope that does not fit a challenge", middleware.Scope(`owner:api\write`)),

		met.of("a user", middleware.User(), clinician()...),
		forbidden("user").of("a user, and it is a system", middleware.User()),
		met.of("a system", middleware.System()),
		met.of("a system with its client id as sub", middleware.System(), mint.Claim("sub", "helseidtest-client")),
		forbidden("system").of("a system, and it is a user", middleware.System(), clinician()...),
		forbidden("system").of("a system, and it is a user without number", middleware.System(), mint.Claim("sub", "pseudonym")),

		met.of("T154 level 4", middleware.SecurityLevel(4), clinician()...),
		met.of("T154 level 4 where 3 is needed", middleware.SecurityLevel(3), clinician()...),
		level4.of("T154 level 3 where 4 is needed", middleware.SecurityLevel(4), clinician(mint.SecurityLevel(3))...),
		level4.of("T154 level 2 where 4 is needed", middleware.SecurityLevel(4), clinician(mint.SecurityLevel(2))...),
		level4.of("T154 level missing", middleware.SecurityLevel(4), clinician(mint.Claim(level, nil))...),
		level4.of("level null", middleware.SecurityLevel(4), clinician(claim(level, "null"))...),
		level4.of("level as a number", middleware.SecurityLevel(4), clinician(claim(level, "4"))...),
		level4.of("level unknown", middleware.SecurityLevel(4), clinician(claim(level, `"9"`))...),
		login("security_level", map[string]string{"acr_values": "Level3"}).of("level 2 where 3 is needed", middleware.SecurityLevel(3), clinician(mint.SecurityLevel(2))...),
		forbidden("user").of("a level, and it is a system", middleware.SecurityLevel(4)),
		forbidden("user").of("a user whose number is no text", middleware.SecurityLevel(4), mint.SecurityLevel(4), claim(claimPrefix+"identity/pid", "6828399789")),
		forbidden("user").of("a user whose subject is no text", middleware.User(), claim("sub", "5")),
		met.of("a user by pseudonym alone", middleware.User(), claim(claimPrefix+"identity/pid_pseudonym", `"x"`)),
		met.of("a user by number alone", middleware.User(), claim(claimPrefix+"identity/pid", `"06828399789"`)),
		forbidden("user").of("a level, and it is a system with one", middleware.SecurityLevel(4), mint.SecurityLevel(4)),

		met.of("assurance high", middleware.AssuranceLevel(identity.AssuranceHigh), clinician()...),
		met.of("assurance high where substantial is needed", middleware.AssuranceLevel(identity.AssuranceSubstantial), clinician()...),
		login("assurance_level", map[string]string{"acr_values": "High"}).of("assurance substantial where high is needed",
			middleware.AssuranceLevel(identity.AssuranceHigh), clinician(mint.AssuranceLevel("substantial"))...),
		login("assurance_level", map[string]string{"acr_values": "Level3"}).of("assurance low where substantial is needed",
			middleware.AssuranceLevel(identity.AssuranceSubstantial), clinician(mint.AssuranceLevel("low"))...),
		login("assurance_level", map[string]string{"acr_values": "Level2"}).of("assurance missing",
			middleware.AssuranceLevel(identity.AssuranceLow), clinician(mint.Claim(assurance, nil))...),
		login("assurance_level", nil).of("assurance of a wrong type", middleware.AssuranceLevel(identity.AssuranceHigh), clinician(claim(assurance, "true"))...),
		forbidden("user").of("assurance, and it is a system", middleware.AssuranceLevel(identity.AssuranceLow)),

		met.of("T155 HPR number", middleware.HPRNumber(), clinician()...),
		forbidden("hpr_number").of("T155 HPR number missing", middleware.HPRNumber(), clinician(mint.HPRNumber(""))...),
		forbidden("hpr_number").of("HPR number null", middleware.HPRNumber(), clinician(claim(hpr, "null"))...),
		forbidden("hpr_number").of("HPR number as a number", middleware.HPRNumber(), clinician(claim(hpr, "565505933"))...),
		forbidden("hpr_number").of("HPR number that is none", middleware.HPRNumber(), clinician(claim(hpr, `"0"`))...),
		forbidden("user").of("HPR number, and it is a system", middleware.HPRNumber()),
		met.of("T155 HPR number missing where none is needed", middleware.User(), clinician(mint.HPRNumber(""))...),

		met.of("T156 profession", middleware.Profession("TL", "LE"), clinician(attestWith(`"authorization":{"code":"LE","system":"urn:oid:2.16.578.1.12.4.1.1.9060"}`))...),
		forbidden("profession").of("T157 another profession", middleware.Profession("TL"), clinician(attestWith(`"authorization":{"code":"LE","system":"urn:oid:2.16.578.1.12.4.1.1.9060"}`))...),
		forbidden("profession").of("the code of another system", middleware.Profession("LE"), clinician(attestWith(`"authorization":{"code":"LE","system":"urn:oid:2.16.578.1.12.4.1.1.8655"}`))...),
		forbidden("profession").of("profession without system", middleware.Profession("LE"), clinician(attestWith(`"authorization":{"code":"LE"}`))...),
		forbidden("profession").of("T156 no authorization", middleware.Profession("LE"), clinician(attestWith(`"authorization":null`))...),
		forbidden("profession").of("profession of a wrong type", middleware.Profession("LE"), clinician(attestWith(`"authorization":"LE"`))...),
		forbidden("profession").of("no attest", middleware.Profession("LE"), clinician()...),
		forbidden("profession").of("no code", middleware.Profession(""), clinician()...),
		forbidden("profession").of("no code where none is meant", middleware.Profession(""), clinician(attestWith(`"authorization":{"code":"","system":"urn:oid:2.16.578.1.12.4.1.1.9060"}`))...),
		forbidden("user").of("profession, and it is a system", middleware.Profession("LE"), attestWith(`"authorization":{"code":"LE","system":"urn:oid:2.16.578.1.12.4.1.1.9060"}`)),

		met.of("parent in the set", middleware.ParentOrganization("999977775", "994598759")),
		met.of("any parent", middleware.AnyParentOrganization()),
		forbidden("parent_organization").of("another parent", middleware.ParentOrganization("999977775")),
		forbidden("parent_organization").of("no parent", middleware.AnyParentOrganization(), mint.Organization("", "", "")),
		forbidden("parent_organization").of("parent of a wrong type", middleware.ParentOrganization("994598759"), claim(claimPrefix+"client/claims/orgnr_parent", `["994598759"]`)),
		forbidden("parent_organization").of("the child is not the parent", middleware.ParentOrganization("999977775"), mint.Organization("994598759", "999977775", "")),
		met.of("child in the set", middleware.ChildOrganization("999977775"), mint.Organization("994598759", "999977775", "")),
		forbidden("child_organization").of("no child", middleware.AnyChildOrganization()),
		forbidden("child_organization").of("another child", middleware.ChildOrganization("994598759"), mint.Organization("994598759", "999977775", "")),
		met.of("supplier in the set", middleware.SupplierOrganization("987654325"), mint.Organization("994598759", "", "987654325")),
		forbidden("supplier_organization").of("no supplier", middleware.AnySupplierOrganization()),
		forbidden("supplier_organization").of("another supplier", middleware.SupplierOrganization("994598759"), mint.Organization("994598759", "", "987654325")),

		met.of("all of none", middleware.All()),
		met.of("all of two", middleware.All(middleware.System(), middleware.AnyParentOrganization())),
		forbidden("child_organization").of("the second of all", middleware.All(middleware.System(), middleware.AnyChildOrganization())),
		forbidden("user").of("the first of all decides", middleware.All(middleware.User(), middleware.AnyChildOrganization())),
		met.of("the second of any", middleware.Any(middleware.User(), middleware.System())),
		forbidden("user").of("none of any: the first decides", middleware.Any(middleware.User(), middleware.AnyChildOrganization())),
		forbidden("requirement").of("any of none", middleware.Any()),
		met.of("any within all within any", middleware.Any(middleware.User(), middleware.All(middleware.System(), middleware.Any(middleware.AnyChildOrganization(), middleware.AnyParentOrganization())))),
		level4.of("none of any: a login would help", middleware.Any(middleware.SecurityLevel(4), middleware.System()), clinician(mint.SecurityLevel(3))...),
	}
	return append(list, customDemands()...)
}

// attestWith makes a current attest whose practitioner has a member.
func attestWith(member string) mint.TokenOption {
	return claim("nhn:tillitsrammeverk:parameters", fmt.Sprintf(`{"toa":%d,"practitioner":{%s}}`, time.Now().Unix(), member))
}

func customDemands() []demand {
	met := demand{status: http.StatusOK}
	down := demand{status: http.StatusServiceUnavailable, reason: "lookup_unavailable"}
	lookup := func(ok bool, err error) middleware.Requirement {
		return middleware.OrganizationLookup(func(_ context.Context, organization identity.Organization) (bool, error) {
			if organization.Parent != "994598759" {
				return false, errors.New("asked about another organisation")
			}
			return ok, err
		})
	}
	custom := func(err error) middleware.Requirement {
		return func(context.Context, *tokenvalidation.Claims) error { return err }
	}
	return []demand{
		met.of("a lookup that says yes", lookup(true, nil)),
		forbidden("organization").of("a lookup that says no", lookup(false, nil)),
		forbidden("organization").of("a lookup for no organisation", lookup(true, nil), mint.Claim(claimPrefix+"client/claims/orgnr_parent", nil)),
		down.of("a lookup that fails", lookup(false, errors.New("password=secret"))),
		down.of("a lookup that says yes and fails", lookup(true, errors.New("down"))),
		down.of("a lookup that fails with a denial", lookup(false, &middleware.Denial{Reason: "x"})),
		down.of("none of any, and one cannot tell", middleware.Any(middleware.User(), lookup(false, errors.New("down")), middleware.AnyChildOrganization())),
		met.of("one of any is met, and one cannot tell", middleware.Any(lookup(false, errors.New("down")), middleware.System())),
		met.of("a function that says yes", custom(nil)),
		forbidden("requirement").of("a function that fails in its own way", custom(errors.New("patient 06828399789"))),
		forbidden("nights_only").of("a function with a reason", custom(&middleware.Denial{Reason: "nights_only", Detail: "come back at night"})),
		forbidden("nights_only").of("a function that wraps its reason", custom(fmt.Errorf("x: %w", &middleware.Denial{Reason: "nights_only", Detail: "come back at night"}))),
		login("own", map[string]string{"acr_values": "Level4 High", "max_age": "60"}).of("a function that wants another login",
			custom(&middleware.Denial{Reason: "own", Detail: "log in", ACRValues: "Level4 High", MaxAge: time.Minute})),
		login("own", map[string]string{"max_age": "60"}).of("a function that wants a newer login", custom(&middleware.Denial{Reason: "own", Detail: "log in", MaxAge: time.Minute})),
		down.of("a function that cannot tell", custom(fmt.Errorf("database: %w", middleware.ErrUnavailable))),
		forbidden("own").of("a detail with characters that do not fit", custom(&middleware.Denial{Reason: "own", Detail: "say 'friend'"})),
	}
}

func TestRequirements(t *testing.T) {
	t.Parallel()
	for _, d := range demands() {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{cold: true, requirements: []middleware.Requirement{d.requirement}})
			request := w.genuine(d.token...)
			response := w.serve(request)
			require.Equal(t, d.status, response.StatusCode)
			record := w.lastRecord()
			require.Equal(t, d.reason == "", record.Allowed)
			if !record.Allowed {
				require.Equal(t, d.status, record.Status)
			}
			require.Equal(t, d.reason, record.Reason)
			require.Equal(t, "helseidtest-client", record.ClientID, "a refused caller is on record by name")
			if d.reason == "" {
				require.Equal(t, 1, w.reached())
				return
			}
			require.Zero(t, w.reached())
			document, found := refusal(t, request, response)
			require.Equal(t, d.reason, document.Reason)
			switch d.status {
			case http.StatusForbidden:
				require.Equal(t, "insufficient_scope", document.Error)
				require.NotContains(t, found.parameters, "acr_values")
				require.NotContains(t, found.parameters, "max_age")
			case http.StatusUnauthorized:
				require.Equal(t, "insufficient_user_authentication", document.Error)
				require.NotContains(t, found.parameters, "scope")
			}
			for name, value := range d.parameters {
				require.Equal(t, value, found.parameters[name], name)
			}
			require.NotContains(t, document.Detail, "secret")
		})
	}
}

// The age of a login and of an attest, to the second.
func TestAges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{cold: true})
		attest := func(seconds int64) mint.TokenOption {
			return claim("nhn:tillitsrammeverk:parameters", fmt.Sprintf(`{"toa":%d}`, time.Now().Unix()-seconds))
		}
		authenticated := func(seconds int64) mint.TokenOption {
			return mint.Claim("auth_time", time.Now().Unix()-seconds)
		}
		check := func(requirement middleware.Requirement, reason string, options ...mint.TokenOption) {
			t.Helper()
			w.handler = w.auth.Require(w.reach, requirement)
			request := w.genuine(append([]mint.TokenOption{mint.Clinician()}, options...)...)
			if reason == "" {
				w.requireOK(request)
				return
			}
			response, found := w.requireRefused(request, reason)
			if reason == "authentication_age" {
				require.Equal(t, http.StatusUnauthorized, response.StatusCode)
				require.Equal(t, "insufficient_user_authentication", found.parameters["error"])
				require.Equal(t, "600", found.parameters["max_age"])
			} else {
				require.Equal(t, http.StatusForbidden, response.StatusCode)
			}
		}
		age := middleware.AuthenticatedWithin(10 * time.Minute)
		check(age, "", authenticated(0))
		check(age, "", authenticated(600))
		check(age, "authentication_age", authenticated(601))
		check(age, "authentication_age", mint.Claim("auth_time", nil))
		check(age, "authentication_age", claim("auth_time", "null"))
		check(age, "authentication_age", claim("auth_time", `"`+fmt.Sprint(time.Now().Unix())+`"`))
		check(age, "authentication_age", claim("auth_time", "0"))
		check(middleware.FreshAttest(), "", attest(0))
		check(middleware.FreshAttest(), "", attest(3600))
		check(middleware.FreshAttest(), "attestation_has_expired", attest(3601))
		check(middleware.FreshAttest(), "attest_missing")
		check(middleware.FreshAttest(), "attest_missing", claim("nhn:tillitsrammeverk:parameters", "null"))
		check(middleware.FreshAttest(), "attestation_has_expired", claim("nhn:tillitsrammeverk:parameters", "{}"))
		check(middleware.FreshAttest(), "attestation_has_expired", claim("nhn:tillitsrammeverk:parameters", `{"toa":"1"}`))
		_, found := w.requireRefused(w.genuine(mint.Clinician(), attest(3601)), "attestation_has_expired")
		require.Contains(t, found.parameters["error_description"], "attestation_has_expired")
		w.handler = w.auth.Require(w.reach, age)
		w.requireRefused(w.genuine(), "user")
		w.auth.Close()
	})
}

// A time in the future does not count as fresh: it would stay so indefinitely.
func TestAgesFromTheFuture(t *testing.T) {
	t.Parallel()
	inAnHour := time.Now().Add(time.Hour).Unix()
	for reason, test := range map[string]struct {
		requirement middleware.Requirement
		option      mint.TokenOption
	}{
		"authentication_age":      {middleware.AuthenticatedWithin(10 * time.Minute), mint.Claim("auth_time", inAnHour)},
		"attestation_has_expired": {middleware.FreshAttest(), claim("nhn:tillitsrammeverk:parameters", fmt.Sprintf(`{"toa":%d}`, inAnHour))},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{cold: true, requirements: []middleware.Requirement{test.requirement}})
			request := w.genuine(mint.Clinician(), test.option)
			response := w.serve(request)
			require.NotEqual(t, http.StatusOK, response.StatusCode)
			document, _ := refusal(t, request, response)
			require.Equal(t, reason, document.Reason)
		})
	}
}

// All requirements must be met, and are checked in order.
func TestRequirementsInOrder(t *testing.T) {
	t.Parallel()
	var asked []string
	ask := func(name string, err error) middleware.Requirement {
		return func(ctx context.Context, claims *tokenvalidation.Claims) error {
			asked = append(asked, name+" "+claims.ClientID)
			return err
		}
	}
	w := newWorld(t, worldOptions{cold: true, requirements: []middleware.Requirement{ask("a", nil), ask("b", &middleware.Denial{Reason: "b", Detail: "no"}), ask("c", nil)}})
	w.requireRefused(w.genuine(), "b")
	require.Equal(t, []string{"a helseidtest-client", "b helseidtest-client"}, asked)
	// They are called for genuine callers only.
	w.requireRefused(w.genuine(mint.BrokenSignature()), "token_signature")
	require.Len(t, asked, 2)
}

// A requirement gets the request's context.
func TestRequirementContext(t *testing.T) {
	t.Parallel()
	type key struct{}
	w := newWorld(t, worldOptions{cold: true, requirements: []middleware.Requirement{func(ctx context.Context, _ *tokenvalidation.Claims) error {
		if ctx.Value(key{}) != "here" {
			return errors.New("not the request's context")
		}
		return nil
	}}})
	w.requireOK(w.genuine().WithContext(context.WithValue(t.Context(), key{}, "here")))
}

// A requirement that is empty or impossible to meet by mistake is found when the API
// starts.
func TestRequirementMistakes(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(){
		"no scope":            func() { middleware.Scope() },
		"empty scope":         func() { middleware.Scope("a", "") },
		"two scopes in one":   func() { middleware.AnyScope("a b") },
		"any of no scopes":    func() { middleware.AnyScope() },
		"level 0":             func() { middleware.SecurityLevel(0) },
		"level 5":             func() { middleware.SecurityLevel(5) },
		"assurance 0":         func() { middleware.AssuranceLevel(0) },
		"assurance 4":         func() { middleware.AssuranceLevel(4) },
		"no profession":       func() { middleware.Profession() },
		"no lookup":           func() { middleware.OrganizationLookup(nil) },
		"no parents":          func() { middleware.ParentOrganization() },
		"no children":         func() { middleware.ChildOrganization() },
		"no suppliers":        func() { middleware.SupplierOrganization() },
		"parent of 8 digits":  func() { middleware.ParentOrganization("12345678") },
		"child with a letter": func() { middleware.ChildOrganization("12345678x") },
		"an empty supplier":   func() { middleware.SupplierOrganization("") },
		"all of nil":          func() { middleware.All(middleware.HPRNumber(), nil) },
		"any of nil":          func() { middleware.Any(nil) },
	} {
		require.Panics(t, make, name)
	}
}

// A guard needs a handler, and no requirements: a valid token is then enough.
func TestGuardMistakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true})
	w.requireOK(w.genuine())
	for name, make := range map[string]func(){
		"no handler":                   func() { w.auth.Require(nil) },
		"no handler in a guard":        func() { w.auth.Guard()(nil) },
		"a nil requirement":            func() { w.auth.Require(w.reach, nil) },
		"a nil requirement in a guard": func() { w.auth.Guard(middleware.User(), nil) },
	} {
		require.Panics(t, make, name)
	}
}
