package helseid_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
)

// bearerConfig is a client that may have bearer tokens.
func bearerConfig(t *testing.T, server *helseidtest.Server, allow bool) helseid.Config {
	t.Helper()
	file := server.ConfigFile(helseidtest.Client{Scopes: []string{"nhn:some-api/read"}, AllowBearer: allow})
	config, err := helseid.ParseConfig(file)
	require.NoError(t, err)
	return config
}

// T081: bearer and DPoP tokens of one client are kept apart, and each is
// fetched once. A bearer token comes only when it is asked for.
func TestT081UnboundBearerToken(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	client := newClient(t, bearerConfig(t, server, true))
	var seen http.Header
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header }))
	defer api.Close()

	bearer := helseid.TokenRequest{UnboundBearerToken: true}
	for range 2 {
		token, err := client.Token(t.Context(), bearer)
		require.NoError(t, err)
		require.Equal(t, "Bearer", token.Type)
		response, err := client.HTTPClient(bearer).Get(api.URL)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, "Bearer "+token.Access.Reveal(), seen.Get("Authorization"))
		require.Empty(t, seen.Values("DPoP"))
	}
	requests := server.Requests(helseidtest.EndpointToken)
	require.Len(t, requests, 1, "no nonce is needed without a proof")
	require.Empty(t, requests[0].Proof)

	bound, err := client.Token(t.Context(), helseid.TokenRequest{})
	require.NoError(t, err)
	require.Equal(t, "DPoP", bound.Type)
	again, err := client.Token(t.Context(), bearer)
	require.NoError(t, err)
	require.NotEqual(t, bound.Access.Reveal(), again.Access.Reveal())
}

// Neither side falls back to the other kind.
func TestNoFallbackBetweenTokenTypes(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	client := newClient(t, bearerConfig(t, server, false))
	_, err := client.Token(t.Context(), helseid.TokenRequest{UnboundBearerToken: true})
	var refusal *helseid.TokenError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "invalid_dpop_proof", refusal.Code)

	for name, test := range map[string]struct {
		body    string
		request helseid.TokenRequest
	}{
		"bearer in place of DPoP":     {`{"access_token":"a","token_type":"Bearer","expires_in":600}`, helseid.TokenRequest{}},
		"DPoP in place of bearer":     {`{"access_token":"a","token_type":"DPoP","expires_in":600}`, helseid.TokenRequest{UnboundBearerToken: true}},
		"a bound token called bearer": {`{"access_token":"` + server.Token() + `","token_type":"Bearer","expires_in":600}`, helseid.TokenRequest{UnboundBearerToken: true}},
	} {
		t.Run(name, func(t *testing.T) {
			server.Inject(helseidtest.Fault{Body: test.body})
			_, err := newClient(t, bearerConfig(t, server, true)).Token(t.Context(), test.request)
			require.ErrorIs(t, err, helseid.ErrInvalidResponse)
		})
	}
}

// bearerLogin is a logged-in user of a client that may have bearer tokens too.
func bearerLogin(t *testing.T, options ...helseidtest.Option) (*world, *helseid.Session) {
	t.Helper()
	w := newLoginWorld(t, worldOptions{server: append(options, helseidtest.Relaxed(rule.Nonce))})
	require.NoError(t, w.server.AddClient(helseidtest.Client{
		ID: w.config.ClientID, PublicJWKs: [][]byte{w.config.Key.PublicJWK()}, AllowBearer: true, Scopes: []string{testScope, otherScope, journalScope},
		GrantTypes: []string{"authorization_code", "refresh_token"}, RedirectURIs: []string{redirectURI},
	}))
	return w, w.logIn(t)
}

// A user's calls to an API that has not moved to DPoP, beside those to one that
// has. Each kind is asked for by name.
func TestUnboundBearerTokenOfASession(t *testing.T) {
	t.Parallel()
	w, session := bearerLogin(t, helseidtest.Relaxed(rule.Binding))
	api := w.api(apiHost, good)
	request := helseid.TokenRequest{Resource: journalResource, UnboundBearerToken: true}
	for range 2 {
		response, err := session.HTTPClient(request).Get(apiURL)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}
	for _, call := range api.received() {
		require.Regexp(t, "^Bearer ", call.request.Header.Get("Authorization"))
		require.Empty(t, call.request.Header.Values("DPoP"))
	}
	refreshes := w.refreshesWith(func(helseidtest.Request) bool { return true })
	require.Len(t, refreshes, 1, "one token serves both calls")
	require.Len(t, w.refreshesWith(func(r helseidtest.Request) bool { return r.Proof == "" }), 1)

	bound, err := userToken(t, session, journalResource)
	require.NoError(t, err)
	require.Equal(t, "DPoP", bound.Type)
	requireEachOnce(t, w.refreshes())
}

// A HelseID that binds refresh tokens to the key ends the session, as the doc
// comment says.
func TestUnboundBearerTokenMayCostTheSession(t *testing.T) {
	t.Parallel()
	_, session := bearerLogin(t)
	_, err := session.Token(t.Context(), helseid.TokenRequest{Resource: journalResource, UnboundBearerToken: true})
	requireError(t, err, helseid.ErrLoginRequired)
}

// An unbound bearer token is replaced as one with a proof is, and a challenge for a
// nonce means nothing to it.
func TestRefusedBearerToken(t *testing.T) {
	t.Parallel()
	for challenge, replaced := range map[string]bool{
		`Bearer error="invalid_token"`:                                true,
		`DPoP error="invalid_token"`:                                  true,
		`DPoP error="invalid_dpop_proof", Bearer error=invalid_token`: true,
		`DPoP error="invalid_dpop_proof"`:                             false,
		`DPoP error="use_dpop_nonce"`:                                 false,
		`Bearer error="insufficient_scope", error_description="a, b"`: false,
		`Bearer realm="x"`:                                            false,
	} {
		t.Run(challenge, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{})
				file := w.server.ConfigFile(helseidtest.Client{Scopes: []string{testScope}, AllowBearer: true})
				config, err := helseid.ParseConfig(file)
				require.NoError(t, err)
				config.HTTPClient = &http.Client{Transport: w.net}
				client := newClient(t, config)
				api := w.api(apiHost, inTurn(answer(401, "WWW-Authenticate", challenge, "DPoP-Nonce", "one")))
				request := helseid.TokenRequest{Scopes: []string{testScope}, UnboundBearerToken: true}
				_, err = client.Token(t.Context(), request)
				require.NoError(t, err)
				pause(30 * time.Second)
				response, err := get(t, client.HTTPClient(request), apiURL)
				require.NoError(t, err)
				if !replaced {
					require.Equal(t, 401, response.StatusCode)
					require.Len(t, api.received(), 1)
					require.Equal(t, 1, w.tokenRequests())
					return
				}
				require.Equal(t, 200, response.StatusCode)
				require.Equal(t, 2, w.tokenRequests())
				calls := api.received()
				require.Len(t, calls, 2)
				require.NotEqual(t, calls[0].request.Header.Get("Authorization"), calls[1].request.Header.Get("Authorization"))
				require.Empty(t, calls[1].request.Header.Get("DPoP"))
			})
		})
	}
}
