package helseid_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/middleware"
)

const (
	downstreamScope    = "nhn:downstream/read"
	downstreamResource = "nhn:downstream"
)

// newExchangeWorld is a world whose client is an API that may exchange its
// callers' tokens for tokens to another API.
func newExchangeWorld(t testing.TB, options worldOptions) *world {
	t.Helper()
	w := newWorld(t, options)
	require.NoError(t, w.server.AddClient(helseidtest.Client{
		ID: w.config.ClientID, PublicJWKs: [][]byte{w.config.Key.PublicJWK()}, Scopes: []string{downstreamScope},
		GrantTypes: []string{"urn:ietf:params:oauth:grant-type:token-exchange", "client_credentials"},
		APIs:       []string{testResource}, ParentOrganization: mint.DefaultParentOrganization,
	}))
	return w
}

// callerWith logs a user in to a client whose tokens the API may exchange, and
// returns the user's token for the API.
func (w *world) callerWith(t testing.TB, number string) identity.Secret {
	t.Helper()
	config := w.server.NewClient(helseidtest.RedirectURI(redirectURI), helseidtest.Scopes(testScope))
	require.NoError(t, w.server.AddClient(helseidtest.Client{
		ID: config.ClientID, PublicJWKs: [][]byte{config.Key.PublicJWK()}, Scopes: []string{testScope},
		GrantTypes: []string{"authorization_code", "refresh_token"}, RedirectURIs: []string{redirectURI}, Actors: []string{w.config.ClientID},
	}))
	config.HTTPClient = w.config.HTTPClient
	client := newClient(t, config)
	login, err := client.StartLogin(t.Context(), helseid.LoginRequest{Scopes: []string{testScope}, Resources: []string{testResource}})
	require.NoError(t, err)
	target, err := w.server.LogIn(login.URL, helseidtest.AsUser(number))
	require.NoError(t, err)
	session, err := client.FinishLogin(t.Context(), login.State, target.Query())
	require.NoError(t, err)
	token, err := userToken(t, session, testResource)
	require.NoError(t, err)
	secrets.add("subject token", token.Access.Reveal())
	return token.Access
}

// An API calls another one on behalf of its caller.
func TestTokenExchange(t *testing.T) {
	t.Parallel()
	w := newExchangeWorld(t, worldOptions{})
	caller := w.callerWith(t, mint.DefaultPersonalIdentityNumber)
	request := helseid.TokenRequest{Scopes: []string{downstreamScope}}
	before := w.tokenRequests()
	token, err := w.client.Exchange(t.Context(), caller, request)
	require.NoError(t, err)
	_, claims := jws(t, token.Access.Reveal())
	require.Equal(t, downstreamResource, claims["aud"])
	require.Equal(t, mint.DefaultPersonalIdentityNumber, claims["helseid://claims/identity/pid"])
	require.Equal(t, w.config.ClientID, claims["client_id"])
	require.NotEmpty(t, claims["helseid://claims/client/original_client_id"])

	sent := w.server.Requests(helseidtest.EndpointToken)
	form := sent[len(sent)-1].Form
	require.Equal(t, "urn:ietf:params:oauth:grant-type:token-exchange", form.Get("grant_type"))
	require.Equal(t, caller.Reveal(), form.Get("subject_token"))
	require.Equal(t, "urn:ietf:params:oauth:token-type:access_token", form.Get("subject_token_type"))
	require.Equal(t, downstreamScope, form.Get("scope"))
	require.NotContains(t, form, "requested_token_type")

	// Calls share the token of their subject, and no other.
	api := w.api(apiHost, good)
	other := w.callerWith(t, helseidtest.ClinicianAtLevel3)
	client := w.client.HTTPClient(request)
	for _, subject := range []helseid.SubjectToken{caller, other, caller, other, nil} {
		ctx := t.Context()
		if subject != nil {
			ctx = helseid.WithSubjectToken(ctx, subject)
		}
		call, err := http.NewRequestWithContext(ctx, http.MethodGet, apiURL, nil)
		require.NoError(t, err)
		response, err := client.Do(call)
		require.NoError(t, err)
		_ = response.Body.Close()
	}
	var persons []any
	for _, call := range api.received() {
		_, claims := jws(t, call.request.Header.Get("Authorization")[len("DPoP "):])
		persons = append(persons, claims["helseid://claims/identity/pid"])
		proofClaims(t, w, call.request, apiURL)
	}
	first, second := any(mint.DefaultPersonalIdentityNumber), any(helseidtest.ClinicianAtLevel3)
	require.Equal(t, []any{first, second, first, second, nil}, persons, "the last is the system itself")
	exchanges := 0
	for _, request := range w.server.Requests(helseidtest.EndpointToken)[before:] {
		if request.Form.Has("subject_token") {
			exchanges++
		}
	}
	require.Equal(t, 2, exchanges)
	requireDistinctIDs(t, w, api)
}

// Without a caller's token nothing is sent, least of all as the system.
func TestTokenExchangeWithoutASubject(t *testing.T) {
	t.Parallel()
	w := newExchangeWorld(t, worldOptions{})
	for name, subject := range map[string]helseid.SubjectToken{
		"no middleware": middleware.Token(t.Context()), "empty": identity.NewSecret(""), "not a token": identity.NewSecret("a b"),
		"header in its place": identity.NewSecret("DPoP abc"), "too long": identity.NewSecret(string(make([]byte, 100_000))),
	} {
		_, err := w.client.Exchange(t.Context(), subject, helseid.TokenRequest{Scopes: []string{downstreamScope}})
		requireError(t, err, helseid.ErrConfig)
		require.ErrorContains(t, err, "exchange", name)
	}
	require.Empty(t, w.server.Requests())
}

// A client all of whose calls are on behalf of a caller can say so: then a context
// without a subject token is a mistake, and not the system's own call.
func TestRequireSubjectToken(t *testing.T) {
	t.Parallel()
	w := newExchangeWorld(t, worldOptions{})
	caller := w.callerWith(t, mint.DefaultPersonalIdentityNumber)
	api := w.api(apiHost, good)
	request := helseid.TokenRequest{Scopes: []string{downstreamScope}, RequireSubjectToken: true}
	client := w.client.HTTPClient(request)
	call := func(ctx context.Context) error {
		outgoing, err := http.NewRequestWithContext(ctx, http.MethodGet, apiURL, nil)
		require.NoError(t, err)
		response, err := client.Do(outgoing)
		if err == nil {
			_ = response.Body.Close()
		}
		return err
	}
	require.NoError(t, call(helseid.WithSubjectToken(t.Context(), caller)))
	before := len(w.server.Requests())
	err := call(t.Context())
	requireError(t, err, helseid.ErrConfig)
	require.ErrorContains(t, err, "WithSubjectToken")
	_, err = w.client.Token(t.Context(), request)
	requireError(t, err, helseid.ErrConfig)
	requireError(t, call(helseid.WithTokenRequest(t.Context(), request)), helseid.ErrConfig)
	require.Len(t, w.server.Requests(), before, "nothing is sent")
	require.Len(t, api.received(), 1)
}

// HelseID's answers to an exchange.
func TestTokenExchangeAnswers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		issued any
		err    error
	}{
		"an access token":  {"urn:ietf:params:oauth:token-type:access_token", nil},
		"unsaid":           {nil, nil},
		"a refresh token":  {"urn:ietf:params:oauth:token-type:refresh_token", helseid.ErrInvalidResponse},
		"of a wrong type":  {7, helseid.ErrInvalidResponse},
		"an empty one":     {"", helseid.ErrInvalidResponse},
		"in another case":  {"URN:ietf:params:oauth:token-type:access_token", helseid.ErrInvalidResponse},
		"a list of one":    {[]string{"urn:ietf:params:oauth:token-type:access_token"}, helseid.ErrInvalidResponse},
		"a bearer's name":  {"Bearer", helseid.ErrInvalidResponse},
		"an ID token":      {"urn:ietf:params:oauth:token-type:id_token", helseid.ErrInvalidResponse},
		"a JWT of no kind": {"urn:ietf:params:oauth:token-type:jwt", helseid.ErrInvalidResponse},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newExchangeWorld(t, worldOptions{})
			caller := w.callerWith(t, mint.DefaultPersonalIdentityNumber)
			w.server.AlterTokenResponse(func(response map[string]any) {
				response["issued_token_type"] = test.issued
				if test.issued == nil {
					delete(response, "issued_token_type")
				}
			})
			_, err := w.client.Exchange(t.Context(), caller, helseid.TokenRequest{Scopes: []string{downstreamScope}})
			if test.err == nil {
				require.NoError(t, err)
				return
			}
			requireError(t, err, test.err)
			require.ErrorContains(t, err, "issued_token_type")
		})
	}
}

// A refusal is HelseID's own words, and one subject's does not hold up another.
func TestTokenExchangeRefused(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newExchangeWorld(t, worldOptions{})
		caller := w.callerWith(t, mint.DefaultPersonalIdentityNumber)
		request := helseid.TokenRequest{Scopes: []string{downstreamScope}}
		stranger := identity.NewSecret(w.server.Token(mint.Clinician(), mint.Audience("nhn:another-api")))
		secrets.add("subject token", stranger.Reveal())
		for range 3 {
			_, err := w.client.Exchange(t.Context(), stranger, request)
			var refusal *helseid.TokenError
			require.ErrorAs(t, err, &refusal)
			require.Contains(t, refusal.Advice(), "does not exchange this token")
			requireNoSecret(t, err)
		}
		_, err := w.client.Exchange(t.Context(), caller, request)
		require.NoError(t, err)
		_, err = w.client.Token(t.Context(), request)
		require.NoError(t, err)
		pause(11 * time.Minute)
		_, err = w.client.Exchange(t.Context(), caller, request)
		var refusal *helseid.TokenError
		require.ErrorAs(t, err, &refusal, "the caller's token has expired")
	})
}

// An exchange for an organisation is another token.
func TestTokenExchangeForAnOrganisation(t *testing.T) {
	t.Parallel()
	w := newExchangeWorld(t, worldOptions{})
	caller := w.callerWith(t, mint.DefaultPersonalIdentityNumber)
	before := w.tokenRequests()
	request := helseid.TokenRequest{Scopes: []string{downstreamScope}}
	_, err := w.client.Exchange(helseid.ForOrganization(t.Context(), "", "999977775"), caller, request)
	var refusal *helseid.TokenError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "HID-1002", refusal.HID)
	_, err = w.client.Exchange(t.Context(), caller, request)
	require.NoError(t, err)
	sent := w.server.Requests(helseidtest.EndpointToken)[before:]
	require.Len(t, sent, 2)
	require.Contains(t, sent[0].Assertion, "assertion_details")
	require.NotContains(t, sent[1].Assertion, "assertion_details")
}
