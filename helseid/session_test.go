package helseid_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/idtoken"
	"github.com/helseid-go/sdk/internal/verification"
)

// refreshes are the refresh tokens that HelseID has been sent, in order.
func (w *world) refreshes() []string {
	return w.refreshesWith(func(helseidtest.Request) bool { return true })
}

// noncedRefreshes are those that came with a nonce. Without one HelseID does not
// look at the token.
func (w *world) noncedRefreshes() []string {
	return w.refreshesWith(func(request helseidtest.Request) bool { return strings.Contains(request.Proof, `"nonce"`) })
}

func (w *world) refreshesWith(counts func(helseidtest.Request) bool) []string {
	var sent []string
	for _, request := range w.server.Requests(helseidtest.EndpointToken) {
		if request.Form.Get("grant_type") == "refresh_token" && counts(request) {
			sent = append(sent, request.Form.Get("refresh_token"))
		}
	}
	return sent
}

// requireEachOnce checks that no refresh token has been sent twice.
func requireEachOnce(t testing.TB, sent []string) {
	t.Helper()
	seen := make(map[string]bool)
	for _, token := range sent {
		require.False(t, seen[token], "a refresh token was sent twice")
		seen[token] = true
	}
}

func userToken(t testing.TB, session *helseid.Session, resource string) (*helseid.Token, error) {
	t.Helper()
	return session.Token(t.Context(), helseid.TokenRequest{Resource: resource})
}

// A session has one token for each API and organisation, each fetched once and
// without a new login, always with the newest refresh token.
func TestSessionServesAPIsAndOrganisations(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	require.NoError(t, w.server.AddClient(multiTenantLogin(t, w)))
	session := w.logIn(t)
	api := w.api(apiHost, good)
	type call struct{ resource, parent, child string }
	calls := []call{
		{testResource, "999977775", ""}, {testResource, "999977775", "999977776"}, {testResource, "994598759", ""},
		{journalResource, "999977775", ""}, {journalResource, "994598759", "999977776"}, {testResource, "", ""},
	}
	for range 2 {
		for _, c := range calls {
			ctx := t.Context()
			if c.parent != "" {
				ctx = helseid.ForOrganization(ctx, identity.OrganizationNumber(c.parent), identity.OrganizationNumber(c.child))
			}
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, apiURL, strings.NewReader("x"))
			require.NoError(t, err)
			response, err := session.HTTPClient(helseid.TokenRequest{Resource: c.resource}).Do(request)
			require.NoError(t, err)
			_ = response.Body.Close()
		}
	}
	var got []call
	for _, received := range api.received() {
		_, claims := jws(t, strings.TrimPrefix(received.request.Header.Get("Authorization"), "DPoP "))
		text := func(name string) string { text, _ := claims[name].(string); return text }
		got = append(got, call{text("aud"), text(claimParentOrg), text(claimChildOrg)})
	}
	require.Equal(t, append(slices.Clone(calls), calls...), got)
	require.Len(t, w.refreshes(), len(calls)-1, "the login's token serves the last of them")
	requireEachOnce(t, w.refreshes())
	requireDistinctIDs(t, w, api)
	require.Len(t, w.server.Requests(helseidtest.EndpointPAR), 1)
	for _, request := range w.server.Requests(helseidtest.EndpointToken) {
		if request.Form.Get("grant_type") == "refresh_token" {
			require.Contains(t, request.Assertion, "assertion_details")
		}
	}
}

// The login's token serves the requests that it is the answer to, and no others.
func TestFirstTokenOfALogin(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		request   helseid.TokenRequest
		refreshes int
	}{
		"its API":                     {helseid.TokenRequest{Resource: testResource}, 0},
		"its API, all its scopes":     {helseid.TokenRequest{Resource: testResource, Scopes: []string{testScope}}, 0},
		"another API":                 {helseid.TokenRequest{Resource: journalResource}, 1},
		"no API named":                {helseid.TokenRequest{Scopes: []string{testScope}}, 1},
		"its API for an organisation": {helseid.TokenRequest{Resource: testResource, Organization: clientassertion.Organization{Child: "999977775"}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newLoginWorld(t, worldOptions{})
			registration := multiTenantLogin(t, w)
			registration.MultiTenant, registration.ChildOrganizations = false, []string{"999977775"}
			require.NoError(t, w.server.AddClient(registration))
			session := w.logIn(t)
			_, err := session.Token(t.Context(), test.request)
			require.NoError(t, err)
			require.Len(t, w.refreshes(), test.refreshes)
		})
	}
}

// A login for several APIs that names none of them gives a token for all, which
// is discarded; a request that names none is told so.
func TestSeveralAudiences(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	session := w.logInWith(t, helseid.LoginRequest{Scopes: loginScopes})
	_, err := session.Token(t.Context(), helseid.TokenRequest{})
	requireError(t, err, helseid.ErrSeveralAudiences)
	require.ErrorContains(t, err, "Resource")
	token, err := session.Token(t.Context(), helseid.TokenRequest{Resource: journalResource})
	require.NoError(t, err, "the refresh token of the answer before was kept")
	_, claims := jws(t, token.Access.Reveal())
	require.Equal(t, journalResource, claims["aud"])
	require.Len(t, w.refreshes(), 2)
	requireEachOnce(t, w.refreshes())

	// UserInfo is HelseID's own: any token will do.
	_, err = session.UserInfo(t.Context())
	require.NoError(t, err)
	require.Len(t, w.refreshes(), 2)
}

// T171: an answer without a refresh token leaves the old one good.
func TestT171RefreshWithoutRotation(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{server: []helseidtest.Option{helseidtest.Relaxed(rule.Nonce), helseidtest.WithoutRotation()}})
	session := w.logIn(t)
	for _, request := range []helseid.TokenRequest{
		{Resource: journalResource}, {Resource: journalResource, Scopes: []string{journalScope}}, {Scopes: []string{testScope}},
	} {
		_, err := session.Token(t.Context(), request)
		require.NoError(t, err)
	}
	sent := w.refreshes()
	require.Len(t, sent, 3)
	require.Equal(t, []string{sent[0], sent[0], sent[0]}, sent)
}

// T172: two users' tokens never meet, whatever is asked for and refreshed.
func TestT172UsersAreDistinct(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newLoginWorld(t, worldOptions{server: []helseidtest.Option{helseidtest.Relaxed(rule.Nonce), helseidtest.TokenLifetime(time.Minute)}})
		users := map[string]*helseid.Session{}
		for _, number := range []string{mint.DefaultPersonalIdentityNumber, helseidtest.ClinicianAtLevel3} {
			users[number] = w.logIn(t, helseidtest.AsUser(number))
		}
		system, err := w.client.Token(t.Context(), helseid.TokenRequest{Resource: testResource, Scopes: []string{testScope}})
		require.NoError(t, err)
		for range 3 {
			for number, session := range users {
				for _, resource := range []string{testResource, journalResource} {
					token, err := userToken(t, session, resource)
					require.NoError(t, err)
					_, claims := jws(t, token.Access.Reveal())
					require.Equal(t, number, claims["helseid://claims/identity/pid"])
					require.Equal(t, resource, claims["aud"])
					require.NotEqual(t, system.Access.Reveal(), token.Access.Reveal())
				}
			}
			pause(time.Minute)
		}
		requireEachOnce(t, w.refreshes())
	})
}

// T173: a logout revokes the refresh token and forgets everything.
func TestT173LogoutRevokes(t *testing.T) {
	t.Parallel()
	store := &recordingStore{}
	w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = store }})
	session := w.logIn(t)
	_, err := userToken(t, session, journalResource)
	require.NoError(t, err)
	newest := store.member(t, "refresh_token")
	_, err = session.Logout(t.Context(), helseid.LogoutRequest{})
	require.NoError(t, err)
	revoked := w.server.Requests(helseidtest.EndpointRevocation)
	require.Len(t, revoked, 1)
	require.Equal(t, newest, revoked[0].Form.Get("token"))
	require.Equal(t, "refresh_token", revoked[0].Form.Get("token_type_hint"))
	require.NotEmpty(t, revoked[0].Assertion)
	requireDistinctIDs(t, w)

	for _, resource := range []string{testResource, journalResource} {
		_, err = userToken(t, session, resource)
		requireError(t, err, helseid.ErrLoginRequired)
	}
	require.Empty(t, store.sessions())

	// Once more does no harm.
	target, err := session.Logout(t.Context(), helseid.LogoutRequest{})
	require.NoError(t, err)
	require.NotEmpty(t, target)
}

// T170: the URL at which the session at HelseID ends.
func TestT170LogoutURL(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		request helseid.LogoutRequest
		config  func(*helseid.Config)
		want    url.Values
		err     error
	}{
		"registered":          {helseid.LogoutRequest{}, nil, url.Values{"post_logout_redirect_uri": {"https://ehr.example.no/"}}, nil},
		"with a state":        {helseid.LogoutRequest{State: "x y&z"}, nil, url.Values{"post_logout_redirect_uri": {"https://ehr.example.no/"}, "state": {"x y&z"}}, nil},
		"its own":             {helseid.LogoutRequest{PostLogoutRedirectURI: "https://ehr.example.no/bye"}, nil, url.Values{"post_logout_redirect_uri": {"https://ehr.example.no/bye"}}, nil},
		"none":                {helseid.LogoutRequest{State: "x"}, func(c *helseid.Config) { c.Registered.PostLogoutRedirectURIs = nil }, url.Values{}, nil},
		"insecure":            {helseid.LogoutRequest{PostLogoutRedirectURI: "http://ehr.example.no/"}, nil, nil, helseid.ErrConfig},
		"not a URL":           {helseid.LogoutRequest{PostLogoutRedirectURI: "/bye"}, nil, nil, helseid.ErrConfig},
		"script in its place": {helseid.LogoutRequest{PostLogoutRedirectURI: "javascript:alert(1)"}, nil, nil, helseid.ErrConfig},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newLoginWorld(t, worldOptions{config: test.config})
			session := w.logIn(t)
			text, err := session.Logout(t.Context(), test.request)
			if test.err != nil {
				requireError(t, err, test.err)
				require.Empty(t, text)
				_, err = w.client.Sessions().Get(t.Context(), session.ID().Reveal())
				requireError(t, err, helseid.ErrLoginRequired) // it has ended all the same
				return
			}
			require.NoError(t, err)
			target, err := url.Parse(text)
			require.NoError(t, err)
			require.Equal(t, "/connect/endsession", target.Path)
			query := target.Query()
			_, claims := jws(t, query.Get("id_token_hint"))
			require.Equal(t, session.User().Subject, claims["sub"])
			require.Equal(t, w.config.ClientID, query.Get("client_id"))
			query.Del("id_token_hint")
			query.Del("client_id")
			require.Equal(t, test.want, query)
		})
	}
}

// HelseID is down when a user logs out: here the session has ended.
func TestLogoutInAnOutage(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newLoginWorld(t, worldOptions{})
		session := w.logIn(t)
		w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointRevocation, Status: 503, Times: -1})
		target, err := session.Logout(t.Context(), helseid.LogoutRequest{})
		requireError(t, err, helseid.ErrUnavailable)
		require.NotEmpty(t, target)
		_, err = w.client.Sessions().Get(t.Context(), session.ID().Reveal())
		requireError(t, err, helseid.ErrLoginRequired)
	})
}

// refresh-token-test of the conformance suite: an API refuses the token twice,
// and each time the newest refresh token is used.
func TestAPIRefusesAUsersToken(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newLoginWorld(t, worldOptions{})
		session := w.logIn(t)
		client := session.HTTPClient(helseid.TokenRequest{Resource: testResource})
		for round := range 2 {
			pause(31 * time.Second)
			api := w.api(apiHost, inTurn(tokenRefused()))
			response, err := get(t, client, apiURL)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, response.StatusCode)
			require.Len(t, api.received(), 2)
			require.Len(t, w.refreshes(), round+1)
		}
		requireEachOnce(t, w.refreshes())
	})
}

// An audience that is an array of one API is that API, also after a refresh.
func TestAudienceInAnArray(t *testing.T) {
	t.Parallel()
	for audience, want := range map[string]error{
		`"` + journalResource + `"`:                  nil,
		`["` + journalResource + `"]`:                nil,
		`["` + journalResource + `", "nhn:another"]`: helseid.ErrSeveralAudiences,
	} {
		w := newLoginWorld(t, worldOptions{})
		session := w.logIn(t)
		w.server.AlterAccessTokens(mint.Claim("aud", json.RawMessage(audience)))
		_, err := session.Token(t.Context(), helseid.TokenRequest{Resource: journalResource})
		require.ErrorIs(t, err, want, audience)
	}
}

// A lost refresh is reported, and its token is not sent again, whatever was lost: the
// request, the answer, or its content.
func TestLostRefresh(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault helseidtest.Fault
		lost  bool
		err   error
	}{
		"cut before processing":    {helseidtest.Fault{Cut: true}, true, helseid.ErrUnavailable},
		"cut after processing":     {helseidtest.Fault{AfterProcessing: true, Cut: true}, true, helseid.ErrUnavailable},
		"half an answer":           {helseidtest.Fault{AfterProcessing: true, HalfBody: true}, true, helseid.ErrUnavailable},
		"internal error":           {helseidtest.Fault{Status: 500}, true, helseid.ErrUnavailable},
		"internal error, in words": {helseidtest.Fault{Status: 500, Body: `{"error":"server_error"}`}, true, helseid.ErrUnavailable},
		"gateway timeout":          {helseidtest.Fault{AfterProcessing: true, Status: 504}, true, helseid.ErrUnavailable},
		"a page":                   {helseidtest.Fault{Status: 200, Header: http.Header{"Content-Type": {"text/html"}}, Body: "<html>"}, true, helseid.ErrInvalidResponse},
		"not JSON":                 {helseidtest.Fault{Status: 200, Body: "{"}, true, helseid.ErrInvalidResponse},
		"two refresh tokens":       {helseidtest.Fault{Status: 200, Body: `{"refresh_token":"a","refresh_token":"b"}`}, true, helseid.ErrInvalidResponse},
		"refresh token no string":  {helseidtest.Fault{Status: 200, Body: `{"refresh_token":7}`}, true, helseid.ErrInvalidResponse},
		"refused":                  {helseidtest.Fault{Status: 400, Body: `{"error":"invalid_grant"}`}, true, helseid.ErrLoginRequired},

		"unavailable":       {helseidtest.Fault{Status: 503}, false, helseid.ErrUnavailable},
		"another refusal":   {helseidtest.Fault{Status: 400, Body: `{"error":"invalid_target"}`}, false, nil},
		"unknown client":    {helseidtest.Fault{Status: 401, Body: `{"error":"invalid_client"}`}, false, nil},
		"a proxy's refusal": {helseidtest.Fault{Status: 407, Body: "no"}, false, helseid.ErrInvalidResponse},
		"a redirect":        {helseidtest.Fault{Status: 302}, false, helseid.ErrInvalidResponse},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newLoginWorld(t, worldOptions{})
				session := w.logIn(t)
				w.server.Inject(test.fault)
				_, err := userToken(t, session, journalResource)
				if test.err != nil {
					requireError(t, err, test.err)
				}
				require.Error(t, err)
				require.Equal(t, test.lost, errors.Is(err, helseid.ErrLoginRequired), "%v", err)
				require.Len(t, w.refreshes(), 1)

				_, err = userToken(t, session, journalResource)
				_, again := w.client.Sessions().Get(t.Context(), session.ID().Reveal())
				require.NoError(t, again, "it is still known who the user is")
				if !test.lost {
					require.NoError(t, err)
					return
				}
				requireError(t, err, helseid.ErrLoginRequired)
				require.Len(t, w.refreshes(), 1, "the token is not sent again")
				_, err = userToken(t, session, testResource)
				require.NoError(t, err, "the access token in hand is as good as before")
			})
		})
	}
}

// The relaxation: a refresh token is sent again when the outcome is unknown.
func TestResendUnansweredRefreshTokens(t *testing.T) {
	t.Parallel()
	for name, processed := range map[string]bool{"not processed": false, "processed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.ResendUnansweredRefreshTokens = true }})
				session := w.logIn(t)
				w.server.Inject(helseidtest.Fault{AfterProcessing: processed, Cut: true})
				_, err := userToken(t, session, journalResource)
				requireError(t, err, helseid.ErrUnavailable)
				require.NotErrorIs(t, err, helseid.ErrLoginRequired)
				_, err = userToken(t, session, journalResource)
				require.Len(t, w.refreshes(), 2)
				if processed {
					requireError(t, err, helseid.ErrLoginRequired)
					return
				}
				require.NoError(t, err)
			})
		})
	}
}

// A client that is closed while it renews a session waits for what that brings:
// the session is other processes', too.
func TestCloseDuringARefresh(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault  helseidtest.Fault
		closed bool
	}{
		"answered late":                {helseidtest.Fault{AfterProcessing: true, Delay: 5 * time.Second}, false},
		"refused late, for the moment": {helseidtest.Fault{Delay: 5 * time.Second, Status: 503}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = &helseid.MemoryStore{} }})
				session := w.logIn(t)
				w.server.Inject(test.fault)
				outcome := make(chan error, 1)
				go func() {
					_, err := session.Token(context.Background(), helseid.TokenRequest{Resource: journalResource})
					outcome <- err
				}()
				synctest.Wait()
				require.Len(t, w.refreshes(), 1)
				w.client.Close()
				err := <-outcome
				require.Equal(t, test.closed, errors.Is(err, helseid.ErrClosed), "%v", err)
				require.Len(t, w.refreshes(), 1, "nothing is begun any more")

				other := newClient(t, w.config)
				again, err := other.Sessions().Get(t.Context(), session.ID().Reveal())
				require.NoError(t, err)
				_, err = userToken(t, again, journalResource)
				require.NoError(t, err)
				require.Len(t, w.refreshes(), 2)
				if !test.closed {
					requireEachOnce(t, w.refreshes())
				}
			})
		})
	}
}

// A nonce challenge does not use the refresh token up.
func TestNonceAtARefresh(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{server: []helseidtest.Option{helseidtest.TokenLifetime(time.Minute)}})
	w.server.DemandNewNonceEachTime(true)
	session := w.logIn(t)
	w.server.Inject(helseidtest.Fault{Status: 400, Header: http.Header{"Dpop-Nonce": {"fresh"}}, Body: `{"error":"use_dpop_nonce"}`})
	_, err := userToken(t, session, journalResource)
	require.Error(t, err, "the nonce was not HelseID's")
	require.NotErrorIs(t, err, helseid.ErrLoginRequired)
	_, err = userToken(t, session, journalResource)
	require.NoError(t, err)
	requireDistinctIDs(t, w)
}

// rt_expires_in is honoured: nothing is sent with a refresh token that has
// expired.
func TestRefreshTokenExpires(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newLoginWorld(t, worldOptions{server: []helseidtest.Option{
			helseidtest.Relaxed(rule.Nonce), helseidtest.RefreshTokenLifetime(time.Hour), helseidtest.TokenLifetime(10 * time.Minute),
		}})
		session := w.logIn(t)
		require.WithinDuration(t, time.Now().Add(time.Hour), session.Expiry(), time.Second)
		pause(59 * time.Minute)
		_, err := userToken(t, session, testResource)
		require.NoError(t, err)
		pause(time.Minute)
		before := w.tokenRequests()
		_, err = userToken(t, session, journalResource)
		requireError(t, err, helseid.ErrLoginRequired)
		_, err = w.client.Sessions().Get(t.Context(), session.ID().Reveal())
		requireError(t, err, helseid.ErrLoginRequired)
		require.Equal(t, before, w.tokenRequests())
	})
}

// Without rt_expires_in a session lasts for twelve hours, and without a refresh
// token as long as its access token.
func TestSessionWithoutRefreshToken(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newLoginWorld(t, worldOptions{})
		session := w.logInWith(t, helseid.LoginRequest{Scopes: []string{testScope}, Resources: []string{testResource}})
		require.WithinDuration(t, time.Now().Add(12*time.Hour), session.Expiry(), time.Second)
		_, err := userToken(t, session, testResource)
		require.NoError(t, err)
		replaced := helseid.WithTokenRequest(t.Context(), helseid.TokenRequest{}) // which also means the login's only API
		_, err = session.TokenSource(helseid.TokenRequest{}).Token(replaced)
		require.NoError(t, err)
		pause(11 * time.Minute)
		_, err = userToken(t, session, testResource)
		requireError(t, err, helseid.ErrLoginRequired)
		require.ErrorContains(t, err, "ScopeOfflineAccess")
		require.Empty(t, w.refreshes())
		_, err = w.client.Sessions().Get(t.Context(), session.ID().Reveal())
		require.NoError(t, err)

		// For what another login would not give either there is another error.
		for _, request := range []helseid.TokenRequest{
			{Resource: journalResource}, {Resource: testResource, Scopes: []string{otherScope}},
			{Resource: testResource, Organization: clientassertion.Organization{Child: "999977775"}},
		} {
			_, err = session.Token(t.Context(), request)
			requireError(t, err, helseid.ErrNoRefreshToken)
			require.NotErrorIs(t, err, helseid.ErrLoginRequired)
		}
		_, err = session.Token(t.Context(), helseid.TokenRequest{}) // the login's own
		requireError(t, err, helseid.ErrLoginRequired)
		require.Empty(t, w.refreshes())

		// A token for several APIs has been discarded: a new login gives no other.
		several := w.logInWith(t, helseid.LoginRequest{Scopes: []string{testScope, journalScope}})
		_, err = several.Token(t.Context(), helseid.TokenRequest{})
		requireError(t, err, helseid.ErrSeveralAudiences)

		// Without resources, the login's only API may be named or not.
		one := w.logInWith(t, helseid.LoginRequest{Scopes: []string{testScope}})
		for _, request := range []helseid.TokenRequest{{}, {Resource: testResource}, {Resource: testResource, Scopes: []string{testScope}}} {
			_, err = one.Token(t.Context(), request)
			require.NoError(t, err)
		}
	})
}

// T167: a refreshed ID token is of the same login, or the session ends.
func TestT167RefreshedIDToken(t *testing.T) {
	t.Parallel()
	claim := mint.Claim
	now := time.Now().Unix()
	for name, test := range map[string]struct {
		change mint.TokenOption
		reason verification.Reason
	}{
		"the same":           {claim("x", 1), ""},
		"another issuer":     {claim("iss", "https://evil.example"), verification.ReasonIssuer},
		"another person":     {claim("sub", "b3RoZXI="), idtoken.ReasonOtherLogin},
		"another number":     {claim("helseid://claims/identity/pid", helseidtest.ClinicianAtLevel3), idtoken.ReasonOtherLogin},
		"another client":     {claim("aud", "another"), verification.ReasonAudience},
		"another audience":   {mint.Audience("another", "third"), verification.ReasonAudience},
		"another login":      {claim("auth_time", now-7200), idtoken.ReasonOtherLogin},
		"another session":    {claim("sid", "another"), idtoken.ReasonOtherLogin},
		"another nonce":      {claim("nonce", "another"), idtoken.ReasonOtherLogin},
		"another level":      {claim("helseid://claims/identity/security_level", "3"), idtoken.ReasonOtherLogin},
		"issued before":      {claim("iat", now-7200), verification.ReasonTime},
		"no auth_time":       {claim("auth_time", nil), ""},
		"of another token":   {claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), idtoken.ReasonTokenHash},
		"a forged signature": {mint.BrokenSignature(), verification.ReasonSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newLoginWorld(t, worldOptions{})
			session := w.logIn(t)
			w.server.AlterIDTokens(test.change)
			token, err := userToken(t, session, journalResource)
			if test.reason == "" {
				require.NoError(t, err)
				return
			}
			requireError(t, err, helseid.ErrLoginRequired)
			require.Nil(t, token)
			var refused *idtoken.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, test.reason, refused.Reason)
			w.server.AlterIDTokens()
			_, err = userToken(t, session, journalResource)
			requireError(t, err, helseid.ErrLoginRequired)
			require.Len(t, w.refreshes(), 1)
		})
	}
}

// An access token that cannot be used does not cost the session: the refresh
// token that came with it is kept.
func TestUnusableTokenOfARefresh(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(map[string]any){
		"no access token":        func(r map[string]any) { delete(r, "access_token") },
		"a bearer token":         func(r map[string]any) { r["token_type"] = "Bearer" },
		"expired on arrival":     func(r map[string]any) { r["expires_in"] = 0 },
		"without the scope":      func(r map[string]any) { r["scope"] = "openid" },
		"a token of another key": func(r map[string]any) { r["access_token"] = "eyJh.eyJj.x" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newLoginWorld(t, worldOptions{})
			session := w.logIn(t)
			w.server.AlterTokenResponse(change)
			_, err := session.Token(t.Context(), helseid.TokenRequest{Resource: journalResource, Scopes: []string{journalScope}})
			require.Error(t, err)
			requireNoSecret(t, err)
			require.NotErrorIs(t, err, helseid.ErrLoginRequired)
			w.server.AlterTokenResponse()
			_, err = session.Token(t.Context(), helseid.TokenRequest{Resource: journalResource})
			require.NoError(t, err)
			requireEachOnce(t, w.refreshes())
		})
	}
}

// HelseID's keys cannot be had at a refresh: the session lives on.
func TestRefreshWithoutKeys(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = &helseid.MemoryStore{} }})
		session := w.logIn(t)
		other := newClient(t, w.config) // which has fetched no keys yet
		same, err := other.Sessions().Get(t.Context(), session.ID().Reveal())
		require.NoError(t, err)
		w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointJWKS, Status: 503, Times: -1})
		_, err = userToken(t, same, journalResource)
		requireError(t, err, helseid.ErrUnavailable)
		require.NotErrorIs(t, err, helseid.ErrLoginRequired)
		w.server.ClearFaults()
		pause(time.Minute)
		_, err = userToken(t, same, journalResource)
		require.NoError(t, err)
		requireEachOnce(t, w.refreshes())
	})
}

// recordingStore is a Store in memory that can be looked into, and that
// fails when told to.
type recordingStore struct {
	helseid.MemoryStore
	mu   sync.Mutex
	rows map[string]helseid.StoredRow
	fail func(operation string) error // before the operation
	late func(operation string) error // after it
}

func (s *recordingStore) call(operation string, inner func() error) error {
	s.mu.Lock()
	fail, late := s.fail, s.late
	s.mu.Unlock()
	if fail != nil {
		if err := fail(operation); err != nil {
			return err
		}
	}
	if err := inner(); err != nil {
		return err
	}
	if late != nil {
		return late(operation)
	}
	return nil
}

// failWith makes operations fail before they are carried out, failLate afterwards.
func (s *recordingStore) failWith(fail func(operation string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

func (s *recordingStore) failLate(late func(operation string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = late
}

func (s *recordingStore) Load(ctx context.Context, key string) (row helseid.StoredRow, err error) {
	err = s.call("load", func() error { row, err = s.MemoryStore.Load(ctx, key); return err })
	return row, err
}

func (s *recordingStore) Save(ctx context.Context, key string, session helseid.StoredRow) (saved bool, err error) {
	err = s.call("save", func() error {
		saved, err = s.MemoryStore.Save(ctx, key, session)
		if saved {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.rows == nil {
				s.rows = make(map[string]helseid.StoredRow)
			}
			s.rows[key] = session
		}
		return err
	})
	return saved, err
}

func (s *recordingStore) Delete(ctx context.Context, key string) error {
	return s.call("delete", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.rows, key)
		return s.MemoryStore.Delete(ctx, key)
	})
}

// sessions are the rows that are sessions, by key.
func (s *recordingStore) sessions() map[string]helseid.StoredRow {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := maps.Clone(s.rows)
	maps.DeleteFunc(found, func(key string, _ helseid.StoredRow) bool { return !strings.HasPrefix(key, "session-") })
	return found
}

// member reads a member of the only session.
func (s *recordingStore) member(t testing.TB, name string) string {
	t.Helper()
	text, _ := s.members(t)[name].(string)
	return text
}

// marked reports that a refresh of the only session is under way.
func (s *recordingStore) marked(t testing.TB) bool {
	t.Helper()
	_, marked := s.members(t)["refreshing"]
	return marked
}

func (s *recordingStore) members(t testing.TB) map[string]any {
	t.Helper()
	sessions := s.sessions()
	require.Len(t, sessions, 1)
	var members map[string]any
	for _, row := range sessions {
		require.NoError(t, json.Unmarshal(row.Data, &members))
	}
	return members
}

// The stored form is as it was promised: no ids, a version, one session a row.
func TestStoredSession(t *testing.T) {
	t.Parallel()
	store := &recordingStore{}
	w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = store }})
	session := w.logIn(t)
	require.Len(t, store.sessions(), 1)
	store.mu.Lock()
	defer store.mu.Unlock()
	require.Len(t, store.rows, 4, "the session, where logouts at HelseID find it, and that its login is finished")
	for key, row := range store.rows {
		require.Regexp(t, `^(session|sid|sub|login)-[0-9a-f]{64}$`, key)
		require.NotContains(t, string(row.Data), session.ID().Reveal())
		if strings.HasPrefix(key, "login-") {
			require.WithinDuration(t, time.Now().Add(helseid.LoginLifetime), row.Expiry, time.Minute)
			continue
		}
		require.False(t, row.Expiry.Before(session.Expiry()))
		var members map[string]any
		require.NoError(t, json.Unmarshal(row.Data, &members))
		require.EqualValues(t, 1, members["version"])
		if strings.HasPrefix(key, "session-") {
			for _, name := range []string{"issuer", "client_id", "jkt", "id_token", "refresh_token", "refresh_until", "created"} {
				require.Contains(t, members, name)
			}
			require.NotContains(t, members, "access_token")
			require.NotContains(t, members, "refreshing")
		}
	}
	require.Empty(t, secrets.findPart(fmt.Sprintf("%v %+v", session.ID(), session.ID())))
}

// A session is found by its id, by the client that it belongs to, with the key
// that its tokens are bound to.
func TestSessionIsFound(t *testing.T) {
	t.Parallel()
	store := &recordingStore{}
	w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = store }})
	session := w.logIn(t)
	id := session.ID().Reveal()
	require.GreaterOrEqual(t, len(id), 32)
	second := w.logIn(t)
	require.NotEqual(t, id, second.ID().Reveal(), "each login has an id of its own")

	restarted := newClient(t, w.config)
	found, err := restarted.Sessions().Get(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, session.User(), found.User())
	require.Equal(t, session.Scopes(), found.Scopes())
	require.Equal(t, []string{testResource, journalResource}, found.Resources())
	_, err = userToken(t, found, testResource)
	require.NoError(t, err)

	otherKey, otherClient, otherIssuer := w.config, w.config, w.config
	otherKey.DPoPKey, err = dpop.GenerateKey(dpop.KeyOptions{})
	require.NoError(t, err)
	otherClient.ClientID = "another"
	otherIssuer.Issuer = "https://other.test"
	for _, config := range []helseid.Config{otherKey, otherClient, otherIssuer} {
		_, err = newClient(t, config).Sessions().Get(t.Context(), id)
		requireError(t, err, helseid.ErrLoginRequired)
	}
	for _, text := range []string{"", "x", id + "x", id[1:], strings.ToUpper(id), "session-" + id, strings.Repeat("x", 1<<20), "\x00"} {
		_, err = w.client.Sessions().Get(t.Context(), text)
		requireError(t, err, helseid.ErrLoginRequired)
	}

	// What else stands in the row is not a session.
	for key := range store.sessions() {
		for _, data := range []string{"", "null", "[]", `{"version":2}`, "\x00", `{"version":1,"issuer":7}`} {
			row, err := store.Load(t.Context(), key)
			require.NoError(t, err)
			row.Data = []byte(data)
			_, err = store.Save(t.Context(), key, row)
			require.NoError(t, err)
		}
	}
	_, err = w.client.Sessions().Get(t.Context(), id)
	requireError(t, err, helseid.ErrLoginRequired)
	_, err = userToken(t, session, journalResource)
	requireError(t, err, helseid.ErrLoginRequired)
}

func TestSessionConfig(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	config := w.config
	config.Store, config.DPoPKey = &helseid.MemoryStore{}, nil
	_, err := helseid.New(config)
	requireError(t, err, helseid.ErrConfig)
	require.ErrorContains(t, err, "DPoPKey is required with Store")
	require.ErrorContains(t, err, "leave Store out to keep sessions in this client's memory")

	session := w.logIn(t)
	_, err = session.Token(t.Context(), helseid.TokenRequest{Scopes: []string{"a b"}})
	requireError(t, err, helseid.ErrConfig)
	_, err = session.TokenSource(helseid.TokenRequest{}).Token(helseid.WithSubjectToken(t.Context(), identity.NewSecret("abc")))
	requireError(t, err, helseid.ErrConfig)
	require.Empty(t, w.refreshes())
}

// T169: the mark of a refresh is a lock that expires. A process has ended in the
// middle of one: the others wait as long as it may have taken, and then do not send
// its token again.
func TestT169ProcessEndsInARefresh(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		store := &recordingStore{}
		w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = store }})
		session := w.logIn(t)
		for key := range store.sessions() {
			row, err := store.Load(t.Context(), key)
			require.NoError(t, err)
			var members map[string]any
			require.NoError(t, json.Unmarshal(row.Data, &members))
			members["refreshing"], members["refresher"] = time.Now().UnixMilli(), "one that has ended"
			row.Data, err = json.Marshal(members)
			require.NoError(t, err)
			saved, err := store.Save(t.Context(), key, row)
			require.NoError(t, err)
			require.True(t, saved)
		}
		_, err := userToken(t, session, journalResource)
		requireError(t, err, helseid.ErrUnavailable)
		require.NotErrorIs(t, err, helseid.ErrLoginRequired, "it may be at work yet")
		pause(time.Minute)
		_, err = userToken(t, session, journalResource)
		requireError(t, err, helseid.ErrLoginRequired)
		_, err = userToken(t, session, testResource)
		require.NoError(t, err, "the access token in hand is as good as before")
		require.Empty(t, w.refreshes())
	})
}

// A store that fails costs no session: what could not be stored is stored later, and a
// write that succeeded despite an error is recognised.
func TestSessionStoreFails(t *testing.T) {
	t.Parallel()
	failing := errors.New("out of order: refresh_token=secret")
	for name, test := range map[string]struct {
		arm  func(*recordingStore)
		err  error // of the first request for a token
		sent int   // refreshes after it
	}{
		"down":                               {func(s *recordingStore) { s.failWith(func(string) error { return failing }) }, helseid.ErrStore, 0},
		"cannot save":                        {func(s *recordingStore) { s.failWith(failAt("save", failing, 0, -1)) }, helseid.ErrStore, 0},
		"does not take the mark, says so":    {func(s *recordingStore) { s.failWith(failAt("save", failing, 0, 1)) }, helseid.ErrStore, 0},
		"takes the mark, says not":           {func(s *recordingStore) { s.failLate(failAt("save", failing, 0, 1)) }, helseid.ErrStore, 0},
		"does not take the outcome, once":    {func(s *recordingStore) { s.failWith(failAt("save", failing, 1, 1)) }, nil, 1},
		"takes the outcome, says not":        {func(s *recordingStore) { s.failLate(failAt("save", failing, 1, 1)) }, nil, 1},
		"does not take the outcome for long": {func(s *recordingStore) { s.failWith(failAt("save", failing, 1, -1)) }, nil, 1},
		"loses everything after the mark":    {func(s *recordingStore) { s.failWith(failAt("", failing, 2, -1)) }, nil, 1},
		"takes the outcome and goes silent":  {func(s *recordingStore) { s.failLate(failAt("save", failing, 1, -1)) }, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				store := &recordingStore{}
				w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = store }})
				session := w.logIn(t)
				test.arm(store)
				_, err := userToken(t, session, journalResource)
				require.Len(t, w.refreshes(), test.sent)
				if test.err != nil {
					requireError(t, err, test.err)
					require.ErrorIs(t, err, failing)
					require.NotErrorIs(t, err, helseid.ErrLoginRequired)
					require.NotContains(t, err.Error(), "secret")
				} else {
					require.NoError(t, err)
				}
				store.failWith(nil)
				store.failLate(nil)
				_, err = session.Token(t.Context(), helseid.TokenRequest{Resource: journalResource, Scopes: []string{journalScope}})
				require.NoError(t, err, "the store is back")
				require.False(t, store.marked(t))

				other, err := newClient(t, w.config).Sessions().Get(t.Context(), session.ID().Reveal())
				require.NoError(t, err)
				_, err = userToken(t, other, testResource)
				require.NoError(t, err, "in another process, too")
				requireEachOnce(t, w.refreshes())
			})
		})
	}
}

// failAt fails the operations of a kind, or all, after so many that succeed, so
// many times or for ever.
func failAt(kind string, err error, after, times int) func(string) error {
	var seen atomic.Int64
	return func(operation string) error {
		if kind != "" && operation != kind {
			return nil
		}
		n := int(seen.Add(1))
		if n <= after || times >= 0 && n > after+times {
			return nil
		}
		return err
	}
}

func TestLoginWithoutAStore(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{"load", "save"} {
		store := &recordingStore{}
		store.failWith(failAt(operation, errors.New("down"), 0, -1))
		w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = store }})
		state, callback := w.callback(t, loginRequest())
		_, err := w.client.FinishLogin(t.Context(), state, callback)
		requireError(t, err, helseid.ErrStore)
		require.ErrorIs(t, err, helseid.ErrLogin)
		require.Empty(t, store.sessions(), "nothing is left")
	}
}

// A user logs out while the session is being refreshed: the token that comes is
// revoked and not used.
func TestLogoutDuringARefresh(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		store := &recordingStore{}
		w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = store }})
		session := w.logIn(t)
		other, err := newClient(t, w.config).Sessions().Get(t.Context(), session.ID().Reveal())
		require.NoError(t, err)
		w.server.Inject(helseidtest.Fault{AfterProcessing: true, Delay: 2 * time.Second})
		failed := make(chan error, 1)
		go func() {
			_, err := other.Token(t.Context(), helseid.TokenRequest{Resource: journalResource})
			failed <- err
		}()
		pause(time.Second)
		_, err = session.Logout(t.Context(), helseid.LogoutRequest{})
		require.NoError(t, err)
		require.Empty(t, w.server.Requests(helseidtest.EndpointRevocation), "that token is being used up")
		requireError(t, <-failed, helseid.ErrLoginRequired)
		revoked := w.server.Requests(helseidtest.EndpointRevocation)
		require.Len(t, revoked, 1)
		require.NotEqual(t, w.refreshes()[0], revoked[0].Form.Get("token"))
		require.Empty(t, store.sessions())
	})
}

// An attest of the whole session ends it after an hour.
func TestSessionWithAnAttest(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newLoginWorld(t, worldOptions{server: []helseidtest.Option{helseidtest.Relaxed(rule.Nonce), helseidtest.TokenLifetime(50 * time.Minute)}})
		request := loginRequest()
		request.Attest = &clientassertion.Attest{LegalEntity: "999977775", PurposeOfUse: clientassertion.PurposeTreatment, DecisionID: "5b1c"}
		session := w.logInWith(t, request)
		require.WithinDuration(t, time.Now().Add(time.Hour), session.Expiry(), time.Second)
		pause(49 * time.Minute)
		token, err := userToken(t, session, journalResource)
		require.NoError(t, err)
		require.WithinDuration(t, time.Now().Add(11*time.Minute), token.Expiry, time.Second, "not as long as HelseID says")
		pause(11 * time.Minute)
		_, err = userToken(t, session, journalResource)
		requireError(t, err, helseid.ErrLoginRequired)
	})
}

// One session, many goroutines, two APIs, three organisations, tokens of a few
// seconds, two processes that share a store, a HelseID that revokes everything
// when a refresh token comes twice: nothing is lost and none is sent twice.
func TestSessionUnderLoad(t *testing.T) {
	t.Parallel()
	for name, processes := range map[string]int{"one process": 1, "two processes": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const goroutines, seconds = 200, 20
			bubble(t, func(t *testing.T) {
				w := newLoginWorld(t, worldOptions{
					server: []helseidtest.Option{helseidtest.TokenLifetime(3 * time.Second)},
					config: func(c *helseid.Config) { c.Store = &helseid.MemoryStore{} },
				})
				require.NoError(t, w.server.AddClient(multiTenantLogin(t, w)))
				first := w.logIn(t)
				sessions := []*helseid.Session{first}
				for range processes - 1 {
					session, err := newClient(t, w.config).Sessions().Get(t.Context(), first.ID().Reveal())
					require.NoError(t, err)
					sessions = append(sessions, session)
				}
				w.api(apiHost, good)
				organizations := []clientassertion.Organization{
					{Parent: "999977775"}, {Parent: "999977775", Child: "999977776"}, {Parent: "994598759"},
				}
				var (
					running sync.WaitGroup
					calls   atomic.Int64
				)
				end := time.Now().Add(seconds * time.Second)
				for i := range goroutines {
					running.Go(func() {
						session := sessions[i%processes]
						resource := []string{testResource, journalResource}[i/processes%2]
						client := session.HTTPClient(helseid.TokenRequest{Resource: resource, Organization: organizations[i/2/processes%3]})
						for time.Now().Before(end) {
							request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, apiURL, nil)
							if err != nil {
								t.Error(err)
								return
							}
							response, err := client.Do(request)
							if err != nil {
								t.Error(err)
								return
							}
							_ = response.Body.Close()
							calls.Add(1)
							pause(500 * time.Millisecond)
						}
					})
				}
				running.Wait()
				require.EqualValues(t, goroutines*seconds*2, calls.Load())
				sent := w.noncedRefreshes()
				require.Greater(t, len(sent), 6*processes*5)
				requireEachOnce(t, sent)
				_, err := userToken(t, first, testResource)
				require.NoError(t, err)
			})
		})
	}
}

// T168: a session's token is renewed near its end and not before, not again right
// after a failure, and waited for when it has ended.
func TestT168RefreshTiming(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newLoginWorld(t, worldOptions{})
		session := w.logIn(t)
		start := time.Now()
		first, err := userToken(t, session, testResource)
		require.NoError(t, err)
		ask := func(after time.Duration) (renewed bool, refreshes int) {
			at(start, after)
			token, err := userToken(t, session, testResource)
			require.NoError(t, err)
			synctest.Wait()
			return token.Access.Reveal() != first.Access.Reveal(), len(w.refreshes())
		}
		for _, step := range []struct {
			after     time.Duration
			fail      bool // HelseID says "not now"
			renewed   bool
			refreshes int
		}{
			{5 * time.Minute, false, false, 0}, // not near its end
			{9*time.Minute + 29*time.Second, false, false, 0},
			{9*time.Minute + 31*time.Second, true, false, 1},  // near its end, and the renewal fails
			{9*time.Minute + 36*time.Second, false, false, 1}, // not again so soon
			{9*time.Minute + 42*time.Second, false, false, 2}, // again, in the background
			{9*time.Minute + 43*time.Second, false, true, 2},
		} {
			if step.fail {
				w.server.Inject(helseidtest.Fault{Status: 503})
			}
			renewed, refreshes := ask(step.after)
			require.Equal(t, step.renewed, renewed, step.after)
			require.Equal(t, step.refreshes, refreshes, step.after)
		}
		at(start, 30*time.Minute) // it has ended altogether
		_, err = userToken(t, session, testResource)
		require.NoError(t, err)
		require.Len(t, w.refreshes(), 3)
		requireEachOnce(t, w.refreshes()[1:])
	})
}
