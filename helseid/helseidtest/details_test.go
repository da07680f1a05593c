package helseidtest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
)

const (
	multiSystem     = "urn:oid:1.0.6523"
	singleSystem    = "urn:oid:2.16.578.1.12.4.1.4.101"
	oldSingleSystem = "urn:oid:2.16.578.1.12.4.1.2.101"

	parentClaim   = "helseid://claims/client/claims/orgnr_parent"
	childClaim    = "helseid://claims/client/claims/orgnr_child"
	supplierClaim = "helseid://claims/client/claims/orgnr_supplier"
	tenancyClaim  = "helseid://claims/client/client_tenancy"
)

type object = map[string]any

func organization(system, value string) object {
	return object{"type": "helseid_authorization", "practitioner_role": object{"organization": object{"identifier": object{
		"system": system, "type": "ENH", "value": value,
	}}}}
}

func journal(id any) object {
	return object{"type": "nhn:sfm:journal-id", "value": object{"journal_id": id}}
}

func attest(members ...string) object {
	detail := object{"type": "nhn:tillitsrammeverk:parameters"}
	for _, name := range members {
		detail[name] = object{"x": name}
	}
	if _, ok := detail["patients"]; ok {
		detail["patients"] = []any{object{"x": "patients"}}
	}
	return detail
}

func multiTenantClient() helseidtest.Client {
	return helseidtest.Client{
		ID: clientID, MultiTenant: true, Delegations: []string{"111222333"}, ParentOrganization: "994598759",
		UnsignedTerms: map[string][]string{"111222333": {"nhn:test-api/write"}},
	}
}

func singleTenantClient() helseidtest.Client {
	return helseidtest.Client{
		ID: clientID, ChildOrganizations: []string{"222333444"}, ParentOrganization: "994598759",
		UnsignedTerms: map[string][]string{"994598759": {"nhn:test-api/write"}},
	}
}

// ask sends a token request with details under a claim.
func ask(t testing.TB, client helseidtest.Client, claim string, details any, scope string) result {
	t.Helper()
	a := newAsker(t, helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.Relaxed(rule.Nonce)))
	a.register(t, client)
	attempt := a.build(t, "")
	if details != nil {
		attempt.assertion[claim] = details
	}
	if scope != "" {
		attempt.form.Set("scope", scope)
	}
	return a.send(t, attempt)
}

// HelseID's own numbers are those of its page on errors with organisation
// numbers.
func TestDetailRefusals(t *testing.T) {
	t.Parallel()
	single, multi := singleTenantClient(), multiTenantClient()
	for name, test := range map[string]struct {
		client  helseidtest.Client
		details any
		number  string
	}{
		"no delegation":                    {multi, organization(multiSystem, "NO:ORGNR:222333444"), "HID-1001"},
		"child not listed":                 {single, organization(singleSystem, "111222333"), "HID-1002"},
		"parent of eight digits":           {multi, organization(multiSystem, "NO:ORGNR:11122233"), "HID-1004"},
		"child of eight digits":            {multi, organization(multiSystem, "NO:ORGNR:111222333:22233344"), "HID-1004"},
		"three numbers":                    {multi, organization(multiSystem, "NO:ORGNR:111222333:222333444:333444555"), "HID-1004"},
		"no parent":                        {multi, organization(multiSystem, "NO:ORGNR::222333444"), "HID-1004"},
		"single-tenant child with letters": {single, organization(singleSystem, "22233344x"), "HID-1004"},
		"single-tenant client's parent":    {single, organization(multiSystem, "NO:ORGNR:111222333"), "HID-1005"},
		"multi-tenant client's child":      {multi, organization(singleSystem, "222333444"), "HID-1006"},
		"multi-tenant, older system":       {multi, organization(oldSingleSystem, "222333444"), "HID-1006"},
		"multi-tenant, nobody":             {multi, nil, "HID-1007"},
		"multi-tenant, a journal alone":    {multi, journal("a"), "HID-1007"},
		"without prefix":                   {multi, organization(multiSystem, "111222333"), "HID-1007"},
		"prefix in other case":             {multi, organization(multiSystem, "no:orgnr:111222333"), "HID-1007"},
		"another system":                   {multi, organization("urn:oid:1.0.652301", "NO:ORGNR:111222333"), "HID-1007"},
		"another type of identifier": {multi, object{"type": "helseid_authorization", "practitioner_role": object{"organization": object{"identifier": object{
			"system": multiSystem, "type": "PRS", "value": "NO:ORGNR:111222333",
		}}}}, "HID-1007"},
		"twice":                              {multi, []any{organization(multiSystem, "NO:ORGNR:111222333"), organization(multiSystem, "NO:ORGNR:111222333")}, "HID-1007"},
		"unknown type":                       {single, object{"type": "x"}, "HID-1007"},
		"no type":                            {single, object{}, "HID-1007"},
		"a text":                             {single, `{"type":"x"}`, "HID-1007"},
		"an empty array":                     {single, []any{}, "HID-1007"},
		"an array of texts":                  {single, []any{"x"}, "HID-1007"},
		"single-tenant client's journal":     {single, journal("a"), "HID-1007"},
		"journal without id":                 {multi, []any{organization(multiSystem, "NO:ORGNR:111222333"), journal("")}, "HID-1007"},
		"journal whose id is a number":       {multi, []any{organization(multiSystem, "NO:ORGNR:111222333"), journal(1)}, "HID-1007"},
		"attest without anything":            {single, attest(), "HID-1007"},
		"attest without care_relationship":   {single, attest("practitioner"), "HID-1007"},
		"attest without practitioner":        {single, attest("care_relationship"), "HID-1007"},
		"attest, patients in place of care":  {single, attest("practitioner", "patients"), "HID-1007"},
		"attest, patients in place of a who": {single, attest("care_relationship", "patients"), "HID-1007"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := ask(t, test.client, "assertion_details", test.details, "")
			require.Equal(t, http.StatusBadRequest, answer.status)
			require.Equal(t, "invalid_request", answer.Error)
			require.Regexp(t, "^"+test.number+":", answer.Description)
			require.Empty(t, answer.AccessToken)
		})
	}
}

func TestDetailsBecomeClaims(t *testing.T) {
	t.Parallel()
	single, multi := singleTenantClient(), multiTenantClient()
	parent := organization(multiSystem, "NO:ORGNR:111222333")
	for name, test := range map[string]struct {
		client  helseidtest.Client
		claim   string
		details any
		want    object
	}{
		"single-tenant, nobody":        {single, "", nil, object{parentClaim: "994598759", tenancyClaim: "single-tenant"}},
		"single-tenant child":          {single, "", organization(singleSystem, "222333444"), object{parentClaim: "994598759", childClaim: "222333444", tenancyClaim: "single-tenant"}},
		"single-tenant, older system":  {single, "", organization(oldSingleSystem, "222333444"), object{parentClaim: "994598759", childClaim: "222333444", tenancyClaim: "single-tenant"}},
		"parent":                       {multi, "", parent, object{parentClaim: "111222333", supplierClaim: "994598759", tenancyClaim: "multi-tenant"}},
		"parent, with the colon":       {multi, "", organization(multiSystem, "NO:ORGNR:111222333:"), object{parentClaim: "111222333", supplierClaim: "994598759", tenancyClaim: "multi-tenant"}},
		"parent and child, not listed": {multi, "", organization(multiSystem, "NO:ORGNR:111222333:999977775"), object{parentClaim: "111222333", childClaim: "999977775", supplierClaim: "994598759", tenancyClaim: "multi-tenant"}},
		"under the older name":         {multi, "authorization_details", parent, object{parentClaim: "111222333", supplierClaim: "994598759", tenancyClaim: "multi-tenant"}},
		"one in an array":              {multi, "", []any{parent}, object{parentClaim: "111222333", supplierClaim: "994598759", tenancyClaim: "multi-tenant"}},
		"and a journal":                {multi, "", []any{parent, journal("an-id")}, object{parentClaim: "111222333", supplierClaim: "994598759", tenancyClaim: "multi-tenant", "nhn:sfm:journal-id": "an-id"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.claim == "" {
				test.claim = "assertion_details"
			}
			answer := ask(t, test.client, test.claim, test.details, "")
			require.Equal(t, http.StatusOK, answer.status, answer.Description)
			_, claims := jws(t, answer.AccessToken)
			for _, name := range []string{parentClaim, childClaim, supplierClaim, tenancyClaim, "nhn:sfm:journal-id", "nhn:tillitsrammeverk:parameters"} {
				require.Equal(t, test.want[name], claims[name], name)
			}
		})
	}
	t.Run("an attest gets its time", func(t *testing.T) {
		t.Parallel()
		answer := ask(t, single, "assertion_details", attest("practitioner", "care_relationship", "patients"), "")
		require.Equal(t, http.StatusOK, answer.status, answer.Description)
		_, claims := jws(t, answer.AccessToken)
		got := claims["nhn:tillitsrammeverk:parameters"].(object)
		require.InDelta(t, float64(time.Now().Unix()), got["toa"], 5)
		delete(got, "toa")
		want := attest("practitioner", "care_relationship", "patients")
		delete(want, "type")
		require.Equal(t, want, got)
	})
	t.Run("both names at once", func(t *testing.T) {
		t.Parallel()
		a := newAsker(t, helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.Relaxed(rule.Nonce)))
		a.register(t, multi)
		attempt := a.build(t, "")
		attempt.assertion["assertion_details"], attempt.assertion["authorization_details"] = parent, parent
		require.Equal(t, "invalid_request", a.send(t, attempt).Error)
	})
}

// A token is granted without the scopes whose terms the organisation has not
// signed.
func TestUnsignedTerms(t *testing.T) {
	t.Parallel()
	parent := organization(multiSystem, "NO:ORGNR:111222333")
	const both = testScope + " nhn:test-api/write"
	t.Run("multi-tenant", func(t *testing.T) {
		t.Parallel()
		answer := ask(t, multiTenantClient(), "assertion_details", parent, both)
		require.Equal(t, http.StatusOK, answer.status)
		require.Equal(t, testScope, answer.Scope)
		require.Equal(t, []any{testScope}, tokenScopes(t, answer))
	})
	t.Run("single-tenant", func(t *testing.T) {
		t.Parallel()
		answer := ask(t, singleTenantClient(), "assertion_details", nil, both)
		require.Equal(t, http.StatusOK, answer.status)
		require.Equal(t, testScope, answer.Scope)
	})
	t.Run("what was not asked for is not rejected", func(t *testing.T) {
		t.Parallel()
		answer := ask(t, multiTenantClient(), "assertion_details", parent, testScope)
		require.Equal(t, http.StatusOK, answer.status)
		require.Equal(t, testScope, answer.Scope)
		// Whether rejected_scope stands in the answer, package helseid's tests
		// see: it has no place in result.
	})
	t.Run("the registration stays as it was", func(t *testing.T) {
		t.Parallel()
		client := multiTenantClient()
		client.Scopes = []string{testScope, "nhn:test-api/write"}
		for range 3 {
			require.Equal(t, testScope, ask(t, client, "assertion_details", parent, "").Scope)
		}
		require.Equal(t, []string{testScope, "nhn:test-api/write"}, client.Scopes)
	})
}

func tokenScopes(t testing.TB, answer result) any {
	_, claims := jws(t, answer.AccessToken)
	return claims["scope"]
}

// A request that is only delayed is one request.
func TestDelayedRequestIsRecordedOnce(t *testing.T) {
	t.Parallel()
	a := newAsker(t, helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.Relaxed(rule.Nonce)))
	a.server.Inject(helseidtest.Fault{Delay: time.Millisecond})
	require.Equal(t, http.StatusOK, a.send(t, a.build(t, "")).status)
	require.Len(t, a.server.Requests(helseidtest.EndpointToken), 1)
}
