package helseid_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

// ofLogin makes a logout token one of a session's user, for the world's client.
func (w *world) logoutToken(session *helseid.Session, options ...mint.TokenOption) string {
	standard := []mint.TokenOption{
		mint.Audience(w.config.ClientID),
		mint.Claim("sub", session.User().Subject),
		mint.Claim("sid", session.User().SessionID),
	}
	token := w.server.LogoutToken(append(standard, options...)...)
	secrets.add("logout token", token)
	return token
}

func postLogout(t testing.TB, handler http.Handler, form url.Values) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/backchannel", strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, request)
	require.Equal(t, "no-store", response.Header().Get("Cache-Control"))
	return response
}

func (w *world) lives(t testing.TB, session *helseid.Session) bool {
	t.Helper()
	_, err := w.client.Sessions().Get(t.Context(), session.ID().Reveal())
	if err != nil {
		requireError(t, err, helseid.ErrLoginRequired)
	}
	return err == nil
}

// A logout token ends the sessions that it names, and no others.
func TestBackChannelLogout(t *testing.T) {
	t.Parallel()
	claim := mint.Claim
	for name, test := range map[string]struct {
		options []mint.TokenOption
		own     bool // the session of the same sid lives on
		sibling bool // another session of the same user lives on
	}{
		"sid and sub":         {nil, false, true},
		"sid alone":           {[]mint.TokenOption{claim("sub", nil)}, false, true},
		"sub alone":           {[]mint.TokenOption{claim("sid", nil)}, false, false},
		"another sid":         {[]mint.TokenOption{claim("sid", "another")}, true, true},
		"another's sub":       {[]mint.TokenOption{claim("sub", "b3RoZXI=")}, true, true},
		"another's sub alone": {[]mint.TokenOption{claim("sub", "b3RoZXI="), claim("sid", nil)}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newLoginWorld(t, worldOptions{})
			own, sibling := w.logIn(t), w.logIn(t)
			stranger := w.logIn(t, helseidtest.AsUser(helseidtest.ClinicianAtLevel3))
			require.NotEqual(t, own.User().SessionID, sibling.User().SessionID)
			response := postLogout(t, w.client.Sessions().BackChannelLogout(), url.Values{"logout_token": {w.logoutToken(own, test.options...)}})
			require.Equal(t, http.StatusOK, response.Code)
			require.Equal(t, test.own, w.lives(t, own))
			require.Equal(t, test.sibling, w.lives(t, sibling))
			require.True(t, w.lives(t, stranger))
			if !test.own {
				_, err := userToken(t, own, testResource)
				requireError(t, err, helseid.ErrLoginRequired)
				require.NotEmpty(t, w.server.Requests(helseidtest.EndpointRevocation))
			}
			// It may come twice.
			response = postLogout(t, w.client.Sessions().BackChannelLogout(), url.Values{"logout_token": {w.logoutToken(own, test.options...)}})
			require.Equal(t, http.StatusOK, response.Code)
		})
	}
}

// What is not a logout token of HelseID's for this client ends nothing.
func TestBackChannelLogoutRefusals(t *testing.T) {
	t.Parallel()
	claim, header := mint.Claim, mint.Header
	w := newLoginWorld(t, worldOptions{})
	session := w.logIn(t)
	handler := w.client.Sessions().BackChannelLogout()
	for name, options := range map[string][]mint.TokenOption{
		"another client":    {mint.Audience("another")},
		"another issuer":    {claim("iss", "https://evil.example")},
		"no events":         {claim("events", nil)},
		"another event":     {claim("events", map[string]any{"http://schemas.openid.net/event/other": map[string]any{}})},
		"event of no kind":  {claim("events", map[string]any{"http://schemas.openid.net/event/backchannel-logout": "x"})},
		"events as a list":  {claim("events", []string{"http://schemas.openid.net/event/backchannel-logout"})},
		"with a nonce":      {claim("nonce", "x")},
		"nobody":            {claim("sub", nil), claim("sid", nil)},
		"sid of no kind":    {claim("sid", 7)},
		"no jti":            {claim("jti", nil)},
		"no iat":            {claim("iat", nil)},
		"no exp":            {claim("exp", nil)},
		"expired":           {mint.Expired()},
		"an access token":   {header("typ", "at+jwt")},
		"not signed":        {header("alg", "none")},
		"broken signature":  {mint.BrokenSignature()},
		"another's own key": {mint.SignedWithUnknownKey()},
	} {
		response := postLogout(t, handler, url.Values{"logout_token": {w.logoutToken(session, options...)}})
		require.Equal(t, http.StatusBadRequest, response.Code, name)
		require.Contains(t, response.Body.String(), "invalid_request", name)
		require.Empty(t, secrets.find(response.Body.String()), name)
		require.True(t, w.lives(t, session), name)
	}
	idToken := w.server.IDToken(mint.Audience(w.config.ClientID), claim("sub", session.User().Subject), claim("sid", session.User().SessionID))
	for name, form := range map[string]url.Values{
		"nothing": {}, "empty": {"logout_token": {""}}, "no token": {"logout_token": {"abc"}}, "an ID token": {"logout_token": {idToken}},
		"two tokens": {"logout_token": {w.logoutToken(session), w.logoutToken(session)}}, "too long": {"logout_token": {strings.Repeat("x", 100_000)}},
	} {
		require.Equal(t, http.StatusBadRequest, postLogout(t, handler, form).Code, name)
	}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?"+url.Values{"logout_token": {w.logoutToken(session)}}.Encode(), nil)
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, request)
	require.Equal(t, http.StatusMethodNotAllowed, response.Code)
	require.Equal(t, "POST", response.Header().Get("Allow"))

	// The body counts, not the URL.
	request = httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/?"+url.Values{"logout_token": {w.logoutToken(session)}}.Encode(), nil)
	response = httptest.NewRecorder()
	handler.ServeHTTP(response, request)
	require.Equal(t, http.StatusBadRequest, response.Code)
	require.True(t, w.lives(t, session))
}

// What cannot be found out is no refusal: HelseID may ask again.
func TestBackChannelLogoutInTrouble(t *testing.T) {
	t.Parallel()
	store := &recordingStore{}
	w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = store }})
	session := w.logIn(t)
	form := url.Values{"logout_token": {w.logoutToken(session)}}
	w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointJWKS, Status: 503, Times: -1})
	response := postLogout(t, newClient(t, w.config).Sessions().BackChannelLogout(), form)
	require.Equal(t, http.StatusServiceUnavailable, response.Code)
	require.True(t, w.lives(t, session))
	w.server.ClearFaults()

	store.failWith(failAt("", errors.New("down"), 0, -1))
	response = postLogout(t, w.client.Sessions().BackChannelLogout(), form)
	require.Equal(t, http.StatusServiceUnavailable, response.Code)
	require.NotEmpty(t, response.Header().Get("Retry-After"))
	store.failWith(nil)

	// Any process will do.
	response = postLogout(t, newClient(t, w.config).Sessions().BackChannelLogout(), form)
	require.Equal(t, http.StatusOK, response.Code)
	require.False(t, w.lives(t, session))
	require.Empty(t, store.sessions())
}

// In a frame of HelseID's only the id of its session leads to one.
func TestFrontChannelLogout(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	session := w.logIn(t)
	handler := w.client.Sessions().FrontChannelLogout()
	call := func(method string, query url.Values) *httptest.ResponseRecorder {
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, httptest.NewRequestWithContext(t.Context(), method, "/front?"+query.Encode(), nil))
		require.Equal(t, "no-store", response.Header().Get("Cache-Control"))
		return response
	}
	issuer, sid := w.server.Issuer(), session.User().SessionID
	for name, query := range map[string]url.Values{
		"nothing": {}, "no sid": {"iss": {issuer}}, "no iss": {"sid": {sid}}, "empty sid": {"iss": {issuer}, "sid": {""}},
		"another issuer": {"iss": {"https://evil.example"}, "sid": {sid}}, "two sids": {"iss": {issuer}, "sid": {sid, sid}},
		"two issuers": {"iss": {issuer, issuer}, "sid": {sid}},
	} {
		require.Equal(t, http.StatusBadRequest, call(http.MethodGet, query).Code, name)
		require.True(t, w.lives(t, session), name)
	}
	require.Equal(t, http.StatusOK, call(http.MethodGet, url.Values{"iss": {issuer}, "sid": {"another"}}).Code)
	require.True(t, w.lives(t, session))
	require.Equal(t, http.StatusMethodNotAllowed, call(http.MethodPost, url.Values{"iss": {issuer}, "sid": {sid}}).Code)
	require.True(t, w.lives(t, session))
	require.Equal(t, http.StatusOK, call(http.MethodGet, url.Values{"iss": {issuer}, "sid": {sid}}).Code)
	require.False(t, w.lives(t, session))
}

// Two clients can share a store: a user's logout from one is none from the other.
func TestClientsShareAStore(t *testing.T) {
	t.Parallel()
	store := &helseid.MemoryStore{}
	w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = store }})
	own := w.logIn(t)
	config := w.server.NewClient(helseidtest.RedirectURI(redirectURI), helseidtest.Scopes(testScope))
	config.HTTPClient, config.DPoPKey, config.Store = w.config.HTTPClient, w.config.DPoPKey, store
	other := newClient(t, config)
	login, err := other.StartLogin(t.Context(), helseid.LoginRequest{})
	require.NoError(t, err)
	target, err := w.server.LogIn(login.URL)
	require.NoError(t, err)
	theirs, err := other.FinishLogin(t.Context(), login.State, target.Query())
	require.NoError(t, err)
	require.Equal(t, own.User().Subject, theirs.User().Subject)

	_, err = other.Sessions().Get(t.Context(), own.ID().Reveal())
	requireError(t, err, helseid.ErrLoginRequired)
	token := w.logoutToken(own, mint.Claim("sid", nil))
	require.Equal(t, http.StatusOK, postLogout(t, w.client.Sessions().BackChannelLogout(), url.Values{"logout_token": {token}}).Code)
	require.False(t, w.lives(t, own))
	_, err = other.Sessions().Get(t.Context(), theirs.ID().Reveal())
	require.NoError(t, err)
	theirsToken := w.logoutToken(own, mint.Claim("sid", nil), mint.Audience(config.ClientID))
	require.Equal(t, http.StatusOK, postLogout(t, other.Sessions().BackChannelLogout(), url.Values{"logout_token": {theirsToken}}).Code)
	_, err = other.Sessions().Get(t.Context(), theirs.ID().Reveal())
	requireError(t, err, helseid.ErrLoginRequired)
}
