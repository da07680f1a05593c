package helseid_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
)

const (
	redirectURI     = "https://ehr.example.no/callback"
	journalScope    = "nhn:journal-api/read"
	journalResource = "nhn:journal-api"
	testResource    = "nhn:test-api"
)

// loginScopes are what the tests' logins ask for unless they say otherwise.
var loginScopes = []string{
	helseid.ScopeProfile, helseid.ScopeOfflineAccess, helseid.ScopePersonalIdentityNumber, helseid.ScopeSecurityLevel,
	helseid.ScopeHPRNumber, testScope, journalScope,
}

// newLoginWorld is a world with a client that logs users in for two APIs.
func newLoginWorld(t testing.TB, options worldOptions) *world {
	t.Helper()
	inner := options.config
	var server *helseidtest.Server
	options.scopes = []string{testScope, otherScope, journalScope}
	w := newWorld(t, options)
	server = w.server
	config := server.NewClient(helseidtest.RedirectURI(redirectURI), helseidtest.Scopes(options.scopes...))
	config.HTTPClient, config.OnEvent, config.DPoPKey = w.config.HTTPClient, w.config.OnEvent, w.config.DPoPKey
	if inner != nil {
		inner(&config)
	}
	w.config = config
	w.client = newClient(t, config)
	return w
}

func loginRequest() helseid.LoginRequest {
	return helseid.LoginRequest{Scopes: loginScopes, Resources: []string{testResource, journalResource}}
}

// callback starts a login and walks it as far as the redirect URI.
func (w *world) callback(t testing.TB, request helseid.LoginRequest, browser ...helseidtest.LoginOption) (*helseid.LoginState, url.Values) {
	t.Helper()
	login, err := w.client.StartLogin(t.Context(), request)
	require.NoError(t, err)
	target, err := w.server.LogIn(login.URL, browser...)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(target.String(), redirectURI+"?"), "the browser was sent to %s", target)
	return login.State, target.Query()
}

// logIn walks a login to its end.
func (w *world) logIn(t testing.TB, browser ...helseidtest.LoginOption) *helseid.Session {
	t.Helper()
	return w.logInWith(t, loginRequest(), browser...)
}

func (w *world) logInWith(t testing.TB, request helseid.LoginRequest, browser ...helseidtest.LoginOption) *helseid.Session {
	t.Helper()
	state, answer := w.callback(t, request, browser...)
	session, err := w.client.FinishLogin(t.Context(), state, answer)
	require.NoError(t, err)
	secrets.add("session id", session.ID().Reveal())
	return session
}

// T163: the browser carries a reference to the request, and nothing else.
func TestT163LoginURL(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	login, err := w.client.StartLogin(t.Context(), loginRequest())
	require.NoError(t, err)
	target, err := url.Parse(login.URL)
	require.NoError(t, err)
	require.Equal(t, "https://helseid.test/connect/authorize", target.Scheme+"://"+target.Host+target.Path)
	require.Len(t, target.Query(), 2)
	require.Equal(t, w.config.ClientID, target.Query().Get("client_id"))
	require.True(t, strings.HasPrefix(target.Query().Get("request_uri"), "urn:ietf:params:oauth:request_uri:"))
	require.Empty(t, target.Fragment)
}

func TestLogin(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	session := w.logIn(t)
	user := session.User()
	require.Equal(t, "KVART GREVLING", user.Name)
	require.Equal(t, identity.SecurityLevel4, user.SecurityLevel)
	require.Equal(t, identity.HPRNumber(mint.DefaultHPRNumber), user.HPRNumber)
	require.Equal(t, mint.DefaultPersonalIdentityNumber, user.PersonalIdentityNumber.Reveal())

	api := w.api(apiHost, good)
	for _, resource := range []string{testResource, journalResource, testResource} {
		response, err := get(t, session.HTTPClient(helseid.TokenRequest{Resource: resource}), apiURL)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode)
	}
	var audiences []any
	for _, call := range api.received() {
		proofClaims(t, w, call.request, apiURL)
		_, claims := jws(t, strings.TrimPrefix(call.request.Header.Get("Authorization"), "DPoP "))
		audiences = append(audiences, claims["aud"])
		require.Equal(t, user.Subject, claims["sub"])
	}
	require.Equal(t, []any{testResource, journalResource, testResource}, audiences)
	require.Len(t, w.server.Requests(helseidtest.EndpointToken), 2, "one token for each API, and no second login")
	require.Len(t, w.server.Requests(helseidtest.EndpointPAR), 1)

	again, err := w.client.Sessions().Get(t.Context(), session.ID().Reveal())
	require.NoError(t, err)
	require.Equal(t, user, again.User())
	require.WithinDuration(t, session.Expiry(), again.Expiry(), time.Second)

	info, err := session.UserInfo(t.Context())
	require.NoError(t, err)
	require.Equal(t, identity.HPRNumber(mint.DefaultHPRNumber), info.HPRDetails.HPRNumber)

	target, err := session.Logout(t.Context(), helseid.LogoutRequest{State: "after"})
	require.NoError(t, err)
	next, err := w.server.LogOut(target)
	require.NoError(t, err)
	require.Equal(t, "https://ehr.example.no/?state=after", next.String())
	_, err = session.Token(t.Context(), helseid.TokenRequest{Resource: testResource})
	requireError(t, err, helseid.ErrLoginRequired)
	_, err = w.client.Sessions().Get(t.Context(), session.ID().Reveal())
	requireError(t, err, helseid.ErrLoginRequired)
}
