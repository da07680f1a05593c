package helseidtest_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

// Each error code and each number that HelseID documents occurs here, or it is
// said why it cannot. The tables of each endpoint's own tests hold the ways to
// get there.
func TestEveryDocumentedRefusal(t *testing.T) {
	t.Parallel()
	type request func(t *testing.T) result
	// A system's request with one thing changed.
	system := func(change func(t *testing.T, a *asker, r *attempt)) request {
		return func(t *testing.T) result {
			a := newAsker(t, helseidtest.NewServer(t, helseidtest.InMemory()))
			r := a.build(t, a.nonce(t))
			change(t, a, r)
			return a.send(t, r)
		}
	}
	form := func(name, value string) request {
		return system(func(_ *testing.T, _ *asker, r *attempt) { r.form.Set(name, value) })
	}
	details := func(client helseidtest.Client, details any) request {
		return func(t *testing.T) result { return askWithDetails(t, client, details) }
	}
	pushed := func(change func(t *testing.T, a *asker, r *attempt)) request {
		return func(t *testing.T) result {
			a := newLoginAsker(t)
			r := a.push(t)
			change(t, a, r)
			return a.send(t, r)
		}
	}
	exchanged := func(change func(t *testing.T, a *asker, r *attempt)) request {
		return func(t *testing.T) result {
			a, _, r := newExchange(t)
			change(t, a, r)
			return a.send(t, r)
		}
	}
	single, multi := singleTenantClient(), multiTenantClient()
	listed := multiTenantClient()
	listed.ChildOrganizations = []string{"222333444"}

	tests := map[string]struct {
		ask        request
		code, says string
	}{
		"use_dpop_nonce":                 {system(func(_ *testing.T, _ *asker, r *attempt) { delete(r.proof, "nonce") }), "use_dpop_nonce", "nonce"},
		"invalid_dpop_proof":             {system(func(_ *testing.T, _ *asker, r *attempt) { r.proof["htm"] = "GET" }), "invalid_dpop_proof", "htm"},
		"invalid_request, method":        {system(func(_ *testing.T, _ *asker, r *attempt) { r.method = "GET" }), "invalid_request", "POST"},
		"invalid_request, content type":  {system(func(_ *testing.T, _ *asker, r *attempt) { r.contentType = "text/plain" }), "invalid_request", "Content-Type"},
		"invalid_client, unknown key":    {system(func(t *testing.T, _ *asker, r *attempt) { r.assertionKey = newKey(t) }), "invalid_client", "registered key"},
		"invalid_client, unknown client": {form("client_id", "somebody"), "invalid_client", "unknown client"},
		"unauthorized_client, grant type": {system(func(t *testing.T, a *asker, _ *attempt) {
			a.register(t, helseidtest.Client{ID: clientID, GrantTypes: []string{"refresh_token"}})
		}), "unauthorized_client", "grant type"},
		"unauthorized_client, no redirect URI": {pushed(func(_ *testing.T, _ *asker, r *attempt) { r.form.Del("redirect_uri") }), "unauthorized_client", "redirect_uri"},
		"unsupported_grant_type":               {form("grant_type", "password"), "unsupported_grant_type", ""},
		"unsupported_response_type":            {pushed(func(_ *testing.T, _ *asker, r *attempt) { r.form.Del("response_type") }), "unsupported_response_type", ""},
		"invalid_scope, not granted":           {form("scope", "nhn:test-api/delete"), "invalid_scope", "not granted"},
		"invalid_scope, identity":              {form("scope", "openid"), "invalid_scope", "identity"},
		"invalid_grant": {func(t *testing.T) result {
			a := newLoginAsker(t)
			return a.send(t, a.redeem(t, "unknown"))
		}, "invalid_grant", "unknown"},
		"invalid_target": {exchanged(func(_ *testing.T, _ *asker, r *attempt) { r.form.Set("resource", "nhn:test-api") }), "invalid_target", "resource"},
		"access_denied": {func(t *testing.T) result {
			a := newLoginAsker(t)
			push, object := a.push(t), a.requestObject(t)
			push.form.Set("request", sign(t, object.key, object.header, object.claims))
			r := a.redeem(t, a.login(t, push).Get("code"))
			r.assertion["assertion_details"] = goodAttest()
			return a.send(t, r)
		}, "access_denied", "HID-DOUBLE-STRUCTURE"},
		"exchange, subject_token":       {exchanged(func(_ *testing.T, _ *asker, r *attempt) { r.form.Set("subject_token", "x") }), "invalid_request", "subject_token"},
		"exchange, actor not permitted": {exchanged(func(t *testing.T, a *asker, _ *attempt) { a.register(t, loginClient()) }), "invalid_request", "does not permit"},
		"exchange, too many": {exchanged(func(_ *testing.T, a *asker, r *attempt) {
			options := []mint.TokenOption{}
			for range 5 {
				options = append(options, mint.ExchangedBy(mint.Actor{ClientID: clientID}))
			}
			r.form.Set("subject_token", a.server.Token(options...))
		}), "invalid_request", "at most 5"},
		"exchange, audience of another owner": {exchanged(func(_ *testing.T, a *asker, r *attempt) {
			r.form.Set("subject_token", a.server.Token(mint.ClientID(clientID), mint.Audience("nhn:another-api")))
		}), "invalid_request", "another API"},

		"HID-1001": {details(multi, organization(multiSystem, "NO:ORGNR:222333444")), "invalid_request", ""},
		"HID-1002": {details(single, organization(singleSystem, "111222333")), "invalid_request", ""},
		"HID-1003": {details(listed, organization(multiSystem, "NO:ORGNR:111222333:999977775")), "invalid_request", ""},
		"HID-1004": {details(multi, organization(multiSystem, "NO:ORGNR:1")), "invalid_request", ""},
		"HID-1005": {details(single, organization(multiSystem, "NO:ORGNR:111222333")), "invalid_request", ""},
		"HID-1006": {details(multi, organization(singleSystem, "222333444")), "invalid_request", ""},
		"HID-1007": {details(single, object{"type": "x"}), "invalid_request", ""},
		"HID-1009": {pushed(func(_ *testing.T, _ *asker, r *attempt) { r.assertion["assertion_details"] = goodAttest() }), "invalid_request", ""},
	}
	cannotOccur := map[string]string{
		"HID-1008": "it is for clients with a shared secret: this server has none, as HelseID now",
		"HID-1010": "it is for conflicts with static claims and enterprise certificates: no registration here has any",
	}
	seen := map[string]bool{}
	for name, test := range tests {
		seen[test.code] = true
		number := regexp.MustCompile(`^HID-\d+$`).FindString(name)
		seen[number] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := test.ask(t)
			require.Equal(t, http.StatusBadRequest, answer.status)
			require.Equal(t, test.code, answer.Error, answer.Description)
			require.Contains(t, answer.Description, test.says)
			if number != "" {
				require.True(t, strings.HasPrefix(answer.Description, number+":"), answer.Description)
			}
			require.Empty(t, answer.AccessToken)
			require.Empty(t, answer.RequestURI)
		})
	}
	for _, name := range []string{
		"use_dpop_nonce", "invalid_dpop_proof", "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client",
		"unsupported_grant_type", "unsupported_response_type", "invalid_scope", "access_denied", "invalid_target",
		"HID-1001", "HID-1002", "HID-1003", "HID-1004", "HID-1005", "HID-1006", "HID-1007", "HID-1008", "HID-1009", "HID-1010",
	} {
		require.NotEqual(t, seen[name], cannotOccur[name] != "", name)
	}
	require.Equal(t, "222333444", claimsOf(t, askWithDetails(t, listed, organization(multiSystem, "NO:ORGNR:111222333:222333444")).AccessToken)[childClaim])
}

// askWithDetails asks for a token with details.
func askWithDetails(t *testing.T, client helseidtest.Client, list any) result {
	t.Helper()
	return ask(t, client, "assertion_details", list, "")
}

// What HelseID answers alike, the server does as well: a program that tells them apart by the
// description would not work with HelseID.
func TestRefusalsThatAreAlike(t *testing.T) {
	t.Parallel()
	for name, asks := range map[string][]func(t *testing.T, r *attempt){
		"invalid_client": {
			func(_ *testing.T, r *attempt) { r.form.Set("client_id", "somebody") },
			func(t *testing.T, r *attempt) { r.assertionKey = newKey(t) },
			func(_ *testing.T, r *attempt) { r.assertionHeader["kid"] = "unknown" },
		},
		"invalid_scope": {
			func(_ *testing.T, r *attempt) { r.form.Set("scope", "openid") },
			func(_ *testing.T, r *attempt) { r.form.Set("scope", "nhn:test-api/delete") },
			func(_ *testing.T, r *attempt) { r.form.Set("scope", "nhn:misspelt") },
		},
	} {
		descriptions := make(map[string]bool)
		for _, change := range asks {
			a := newAsker(t, helseidtest.NewServer(t, helseidtest.InMemory()))
			r := a.build(t, a.nonce(t))
			change(t, r)
			answer := a.send(t, r)
			require.Equal(t, name, answer.Error)
			descriptions[answer.Description] = true
		}
		require.Len(t, descriptions, 1, name)
	}
}
