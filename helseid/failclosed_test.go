package helseid_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
)

// An organisation that got lost on the way does not turn a call for it into one for
// none, wherever a token is asked for.
func TestEmptyOrganization(t *testing.T) {
	t.Parallel()
	named := helseid.TokenRequest{Scopes: []string{testScope}, Organization: clientassertion.Organization{Parent: parentOrg}}
	for name, base := range map[string]helseid.TokenRequest{"": {Scopes: []string{testScope}}, ", the request names one": named} {
		for text, parts := range map[string][2]string{"empty": {"", ""}, "spaces": {" ", ""}, "spaces and tabs": {"  ", "\t"}} {
			for way, ask := range tokenWays() {
				t.Run(text+name+" by "+way, func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, worldOptions{})
					for _, ctx := range []context.Context{
						t.Context(),
						helseid.ForOrganization(t.Context(), parentOrg, ""),
						helseid.WithTokenRequest(t.Context(), named),
					} {
						_, err := ask(t, w, helseid.ForOrganization(ctx, identity.OrganizationNumber(parts[0]), identity.OrganizationNumber(parts[1])), base)
						requireError(t, err, helseid.ErrConfig)
						require.ErrorContains(t, err, "ForOrganization")
					}
					require.Empty(t, w.server.Requests(), "nothing is sent")
				})
			}
		}
	}
	t.Run("of a session", func(t *testing.T) {
		t.Parallel()
		w := newLoginWorld(t, worldOptions{})
		session := w.logIn(t)
		before := len(w.server.Requests())
		ctx := helseid.ForOrganization(t.Context(), "", "")
		_, err := session.Token(ctx, helseid.TokenRequest{Resource: testResource})
		requireError(t, err, helseid.ErrConfig)
		requireError(t, session.TokenSource(helseid.TokenRequest{}).Authorize(ctx, newRequest(t, http.MethodGet, apiURL, nil)), helseid.ErrConfig)
		_, err = session.HTTPClient(helseid.TokenRequest{}).Do(newRequest(t, http.MethodGet, apiURL, nil).WithContext(ctx))
		requireError(t, err, helseid.ErrConfig)
		require.ErrorContains(t, err, "a multi-tenant client's own calls", "which may not leave it out")
		require.Len(t, w.server.Requests(), before)
	})
	t.Run("of an exchange", func(t *testing.T) {
		t.Parallel()
		w := newExchangeWorld(t, worldOptions{})
		caller := w.callerWith(t, mint.DefaultPersonalIdentityNumber)
		_, err := w.client.Exchange(helseid.ForOrganization(t.Context(), "", ""), caller, helseid.TokenRequest{Scopes: []string{downstreamScope}})
		requireError(t, err, helseid.ErrConfig)
	})
}

// With RequireOrganization a call that is for no organisation is an error.
func TestRequireOrganization(t *testing.T) {
	t.Parallel()
	demanding := helseid.TokenRequest{Scopes: []string{testScope}, RequireOrganization: true}
	for way, ask := range tokenWays() {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			request := helseid.WithTokenRequest(t.Context(), demanding)
			ways := []context.Context{request}
			if way != "Authorize" {
				ways = append(ways, t.Context(), helseid.WithTokenRequest(t.Context(), helseid.TokenRequest{Scopes: []string{testScope}}))
			}
			for _, ctx := range ways {
				_, err := ask(t, w, ctx, demanding)
				requireError(t, err, helseid.ErrConfig)
				require.ErrorContains(t, err, "RequireOrganization")
			}
			require.Empty(t, w.server.Requests(), "nothing is sent")
			_, err := ask(t, w, helseid.ForOrganization(request, "", childOrg), demanding)
			require.NotErrorIs(t, err, helseid.ErrConfig)
			require.Len(t, w.server.Requests(), 2, "metadata and a token")
		})
	}
	t.Run("of a session", func(t *testing.T) {
		t.Parallel()
		w := newLoginWorld(t, worldOptions{})
		session := w.logIn(t)
		before := len(w.server.Requests())
		request := helseid.TokenRequest{Resource: testResource, RequireOrganization: true}
		_, err := session.Token(t.Context(), request)
		requireError(t, err, helseid.ErrConfig)
		require.Len(t, w.server.Requests(), before)
		_, err = session.Token(helseid.ForOrganization(t.Context(), "", childOrg), request)
		require.NotErrorIs(t, err, helseid.ErrConfig)
	})
	t.Run("of a session whose login named one", func(t *testing.T) {
		t.Parallel()
		w := newLoginWorld(t, worldOptions{})
		require.NoError(t, w.server.AddClient(multiTenantLogin(t, w)))
		login := loginRequest()
		login.Organization = clientassertion.Organization{Parent: "999977775"}
		session := w.logInWith(t, login)
		_, err := session.Token(t.Context(), helseid.TokenRequest{Resource: testResource, RequireOrganization: true})
		require.NoError(t, err)
		login.Organization, login.JournalID = clientassertion.Organization{}, journalID
		session = w.logInWith(t, login)
		_, err = session.Token(t.Context(), helseid.TokenRequest{Resource: testResource, RequireOrganization: true})
		requireError(t, err, helseid.ErrConfig)
	})
}

// What the request of a client requires is not undone by a context that names another
// request, and a list without an origin is not read as "any".
func TestOriginsDoNotWiden(t *testing.T) {
	t.Parallel()
	narrow := helseid.TokenRequest{Scopes: []string{testScope}, AllowedOrigins: []string{"https://other.example.no"}}
	t.Run("another request without a list", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		api := w.api(apiHost, good)
		request := newRequest(t, http.MethodGet, apiURL, nil).WithContext(helseid.WithTokenRequest(t.Context(), apiRequest))
		_, err := w.client.HTTPClient(narrow).Do(request)
		require.ErrorIs(t, err, helseid.ErrOriginRefused)
		require.Empty(t, api.received())
	})
	t.Run("an empty list", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		_, err := w.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{testScope}, AllowedOrigins: []string{}})
		requireError(t, err, helseid.ErrConfig)
		require.ErrorContains(t, err, "AllowedOrigins")
		config := w.config
		config.AllowedOrigins = []string{}
		_, err = helseid.New(config)
		requireError(t, err, helseid.ErrConfig)
		require.ErrorContains(t, err, "AllowedOrigins")
		require.Empty(t, w.server.Requests())
	})
}

// The client's origins hold for every request: one that names others cannot widen
// them.
func TestAllowedOriginsOfTheClient(t *testing.T) {
	t.Parallel()
	const otherHost = "other.example.no"
	both, one, other := []string{"https://api.example.no", "https://other.example.no/"}, []string{"https://API.example.no:443"}, []string{"https://other.example.no"}
	for name, test := range map[string]struct {
		client, request []string
		allowed, widens bool // apiURL, and the other host
	}{
		"none":                    {nil, nil, true, true},
		"the client's one":        {one, nil, true, false},
		"the client's other":      {other, nil, false, true},
		"both":                    {both, nil, true, true},
		"narrowed":                {both, one, true, false},
		"narrowed to the other":   {both, other, false, true},
		"not widened":             {one, both, true, false},
		"nothing in common":       {one, other, false, false},
		"the request's one alone": {nil, one, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{config: func(c *helseid.Config) { c.AllowedOrigins = test.client }})
			request := helseid.TokenRequest{Scopes: []string{testScope}, AllowedOrigins: test.request}
			for target, allowed := range map[string]bool{apiURL: test.allowed, "https://" + otherHost + "/": test.widens} {
				outgoing := newRequest(t, http.MethodGet, target, nil)
				api := w.api(outgoing.URL.Host, good)
				_, err := get(t, w.client.HTTPClient(request), target)
				authorized := w.client.TokenSource(request).Authorize(t.Context(), outgoing)
				if allowed {
					require.NoError(t, err)
					require.NoError(t, authorized)
					continue
				}
				require.ErrorIs(t, err, helseid.ErrOriginRefused)
				require.ErrorIs(t, authorized, helseid.ErrOriginRefused)
				require.Empty(t, api.received())
			}
		})
	}
	t.Run("a redirect among them is not followed", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{config: func(c *helseid.Config) { c.AllowedOrigins = both }})
		w.api(apiHost, inTurn(answer(302, "Location", "https://other.example.no/")))
		stranger := w.api(otherHost, good)
		_, err := get(t, w.client.HTTPClient(apiRequest), apiURL)
		require.ErrorIs(t, err, helseid.ErrOriginRefused)
		require.Empty(t, stranger.received())
	})
	t.Run("UserInfo is HelseID's", func(t *testing.T) {
		t.Parallel()
		w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.AllowedOrigins = one }})
		session := w.logIn(t)
		_, err := session.UserInfo(t.Context())
		require.NoError(t, err)
		_, err = get(t, session.HTTPClient(helseid.TokenRequest{Resource: testResource}), "https://"+otherHost)
		require.ErrorIs(t, err, helseid.ErrOriginRefused)
	})
	for _, bad := range []string{"", "x", "api.example.no", "http://api.example.no", "https://api.example.no/v1", "https://api.example.no?a", "https://u@api.example.no", "*"} {
		config := newWorld(t, worldOptions{}).config
		config.AllowedOrigins = []string{"https://good.example.no", bad}
		_, err := helseid.New(config)
		requireError(t, err, helseid.ErrConfig)
		require.ErrorContains(t, err, "AllowedOrigins")
	}
}
