package helseid_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/claims"
	"github.com/helseid-go/sdk/internal/jose"
)

const testJournalID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"

func testAttest() *clientassertion.Attest {
	return &clientassertion.Attest{LegalEntity: "994598759", PurposeOfUse: clientassertion.PurposeTreatment, DecisionID: "1"}
}

// claimsOf reads a token without looking at its signature.
func claimsOf(t *testing.T, token *helseid.Token) map[string]json.RawMessage {
	t.Helper()
	compact, err := jose.ParseCompact(token.Access.Reveal(), 1<<20)
	require.NoError(t, err)
	var claims map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(compact.Payload, &claims))
	return claims
}

const attestClaim = "nhn:tillitsrammeverk:parameters"

// The login's first token has the details of the code's exchange, serves the
// requests for them without another request, and no request without them. The state
// may have been in another process meanwhile.
func TestCodeExchangeDetails(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	require.NoError(t, w.server.AddClient(multiTenantLogin(t, w)))
	request := loginRequest()
	request.CodeExchange = helseid.CodeExchange{JournalID: testJournalID, Attest: testAttest()}
	state, answer := w.callback(t, request)
	encoded, err := state.Encode()
	require.NoError(t, err)
	state, err = helseid.DecodeLoginState(encoded)
	require.NoError(t, err)
	session, err := w.client.FinishLogin(t.Context(), state, answer)
	require.NoError(t, err)

	same := helseid.TokenRequest{Resource: testResource, JournalID: testJournalID, Attest: testAttest()}
	token, err := session.Token(t.Context(), same)
	require.NoError(t, err)
	require.Empty(t, w.refreshes(), "it is the login's own")
	require.Contains(t, claimsOf(t, token), attestClaim)
	require.Contains(t, claimsOf(t, token), "nhn:sfm:journal-id")
	require.LessOrEqual(t, token.Expiry.Sub(state.Expiry().Add(-helseid.LoginLifetime)), claims.AttestLifetime)

	for name, other := range map[string]helseid.TokenRequest{
		"nothing":         {Resource: testResource},
		"another journal": {Resource: testResource, Attest: testAttest()},
		"another API":     {Resource: journalResource, JournalID: testJournalID, Attest: testAttest()},
	} {
		before := len(w.refreshes())
		got, err := session.Token(t.Context(), other)
		require.NoError(t, err, name)
		require.Len(t, w.refreshes(), before+1, name)
		require.NotEqual(t, token.Access.Reveal(), got.Access.Reveal(), name)
		_, attested := claimsOf(t, got)[attestClaim]
		require.Equal(t, other.Attest != nil, attested, name)
	}
}

// What HelseID refuses is refused before anything is sent, unless its documentation
// is in doubt and the caller says so.
func TestCodeExchangeMistakes(t *testing.T) {
	t.Parallel()
	organization := clientassertion.Organization{Parent: "994598759"}
	detail, err := clientassertion.OrganizationDetail(organization, "", clientassertion.Variants{})
	require.NoError(t, err)
	for name, test := range map[string]struct {
		request helseid.LoginRequest
		want    string
	}{
		"an organisation in JSON": {helseid.LoginRequest{CodeExchange: helseid.CodeExchange{Details: []clientassertion.Detail{detail}}}, "HID-1009"},
		"a journal that is none":  {helseid.LoginRequest{CodeExchange: helseid.CodeExchange{JournalID: "1"}}, "JournalID"},
		"beside a request object": {helseid.LoginRequest{Attest: testAttest(), CodeExchange: helseid.CodeExchange{JournalID: testJournalID}}, "one or the other"},
	} {
		w := newLoginWorld(t, worldOptions{})
		_, err := w.client.StartLogin(t.Context(), test.request)
		requireError(t, err, helseid.ErrConfig)
		require.ErrorContains(t, err, "CodeExchange", name)
		require.ErrorContains(t, err, test.want, name)
		require.Empty(t, w.server.Requests(), name)
	}
	request := loginRequest()
	request.CodeExchange.OrganizationDespiteHID1009 = organization
	w := newLoginWorld(t, worldOptions{})
	require.NoError(t, w.server.AddClient(multiTenantLogin(t, w)))
	session := w.logInWith(t, request)
	_, err = session.Token(t.Context(), helseid.TokenRequest{Resource: testResource, Organization: organization})
	require.NoError(t, err)
	require.Empty(t, w.refreshes())
}
