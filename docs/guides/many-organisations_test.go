package guides_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/testkit"
)

func TestManyOrganisations(t *testing.T) {
	server := newServer(t)
	clientFile(t, server, helseidtest.Scopes("nhn:some-api/read"), helseidtest.Delegations("994598759"))
	ctx := t.Context()
	// region client
	config, err := helseid.LoadConfig("client.json")
	require.NoError(t, err)
	config.HTTPClient = server.HTTPClient()                        // hide
	config.Tenancy = identity.MultiTenant                          // the file does not say it
	config.AllowedOrigins = []string{"https://api.example.nhn.no"} // and no other gets a token
	client, err := helseid.New(config)
	require.NoError(t, err)
	defer client.Close()
	api := client.HTTPClient(helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}}) // one for all customers
	// endregion

	// region call
	ctx = helseid.ForOrganization(ctx, "994598759", "999977775") // parent and child
	request, err := http.NewRequestWithContext(ctx, "GET", "https://api.example.nhn.no/v1/things", nil)
	require.NoError(t, err)
	response, err := api.Do(request)
	// endregion
	require.NoError(t, err)
	require.Equal(t, "994598759 999977775", body(t, response))

	// region check
	err = client.Check(helseid.ForOrganization(ctx, "994598759", ""), helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}})
	// endregion
	require.NoError(t, err)
	require.ErrorIs(t, client.Check(t.Context(), helseid.TokenRequest{}), helseid.ErrConfig)

	_, err = api.Get("https://api.example.nhn.no/v1/things")
	require.ErrorIs(t, err, helseid.ErrConfig)
	require.Empty(t, customerProblem(helseid.ForOrganization(ctx, "994598759", ""), client))
	require.Contains(t, customerProblem(helseid.ForOrganization(ctx, "999977774", ""), client), "Altinn")
}

// region problem

// customerProblem says what a customer must mend before calls for it succeed.
func customerProblem(ctx context.Context, client *helseid.Client) string {
	_, err := client.Token(ctx, helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}})
	var refused *helseid.TokenError
	var scopes *helseid.ScopeError
	switch {
	case errors.As(err, &refused) && refused.HID == "HID-1001":
		return "somebody there must delegate to us in Altinn, or the number is wrong"
	case errors.As(err, &refused) && refused.HID == "HID-1002":
		return "the sub-unit is not on our client's whitelist in HelseID Selvbetjening"
	case errors.As(err, &scopes) && len(scopes.Rejected) > 0:
		return "it must sign the terms of the API"
	case err != nil:
		return "not the customer's fault: " + err.Error()
	}
	return ""
}

// endregion

func TestSingleTenant(t *testing.T) {
	server := newServer(t)
	config := server.NewClient(helseidtest.Client{ChildOrganizations: []string{"999977775"}}, helseidtest.Scopes("nhn:some-api/read"))
	client, ctx := newClient(t, config), t.Context()
	// region single
	ctx = helseid.ForOrganization(ctx, "", "999977775") // a sub-unit; HelseID knows the parent
	// endregion
	_, err := client.Token(ctx, helseid.TokenRequest{})
	require.NoError(t, err)
}

func TestTermsOfAnAPI(t *testing.T) {
	server := newServer(t)
	config := server.NewClient(helseidtest.Client{
		MultiTenant: true, Delegations: []string{"994598759"},
		UnsignedTerms: map[string][]string{"994598759": {"nhn:some-api/write"}},
	}, helseidtest.Scopes("nhn:some-api/read", "nhn:some-api/write"))
	client := newClient(t, config)
	ctx := helseid.ForOrganization(t.Context(), "994598759", "")
	request := helseid.TokenRequest{Scopes: []string{"nhn:some-api/read", "nhn:some-api/write"}}
	_, err := client.Token(ctx, request)
	require.ErrorIs(t, err, helseid.ErrScopeNotGranted)
	// region terms
	request.AcceptMissingScopes = true
	token, err := client.Token(ctx, request)
	// token.RejectedScopes are those whose terms the customer has not signed
	// endregion
	require.NoError(t, err)
	_, err = client.Token(ctx, helseid.TokenRequest{})
	require.NoError(t, err, "a request that names no scopes misses none")
	require.Equal(t, []string{"nhn:some-api/write"}, token.RejectedScopes)
}

func TestAttestOfAPatient(t *testing.T) {
	server := newServer(t)
	client := newClient(t, server.NewClient(helseidtest.Scopes("nhn:some-api/read")))
	ctx := t.Context()
	// region attest
	request := helseid.TokenRequest{
		Scopes: []string{"nhn:some-api/read"},
		Attest: &clientassertion.Attest{ // why this clinician may see this patient: tillitsrammeverket
			Authorization: clientassertion.Code{Code: "LE"},
			LegalEntity:   "994598759",
			PurposeOfUse:  clientassertion.PurposeTreatment,
			DecisionID:    "c8f2bd8c-3e6d-4b9b-9d6a-0f0f3f3c1f55",
		},
	}
	source := client.TokenSource(request) // session.TokenSource for a user
	defer source.Forget(ctx)              // when the user turns to another patient
	// endregion
	require.NotNil(t, source)
}

func TestDelegationsComeAndGo(t *testing.T) {
	// region test
	server := helseidtest.NewServer(t)
	config := server.NewClient(helseidtest.Scopes("nhn:some-api/read"), helseidtest.Delegations("994598759"))
	client, err := helseid.New(config)
	require.NoError(t, err)
	defer client.Close()
	err = server.RevokeDelegation("994598759", config.ClientID)
	require.NoError(t, err)
	_, err = client.Token(helseid.ForOrganization(t.Context(), "994598759", ""), helseid.TokenRequest{})
	var refused *helseid.TokenError
	if !errors.As(err, &refused) || refused.HID != "HID-1001" {
		t.Error(err)
	}
	// endregion
}

// A first refusal is not remembered, and later ones for 30 seconds at most.
func TestRefusalsAreRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		config := server.NewClient(helseidtest.Client{MultiTenant: true}, helseidtest.Scopes("nhn:some-api/read"))
		client := newClient(t, config)
		ask := func() error {
			_, err := client.Token(helseid.ForOrganization(t.Context(), "994598759", ""), helseid.TokenRequest{})
			return err
		}
		delegate := func() { require.NoError(t, server.Delegate("994598759", config.ClientID)) }
		require.Error(t, ask())
		delegate()
		require.NoError(t, ask())
		require.NoError(t, server.RevokeDelegation("994598759", config.ClientID))
		client = newClient(t, config)
		require.Error(t, ask())
		require.Error(t, ask())
		delegate()
		require.Error(t, ask())
		testkit.Sleep(30 * time.Second)
		require.NoError(t, ask())
	})
}
