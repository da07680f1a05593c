package helseid_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// Metadata that names an endpoint elsewhere sends no credential and no browser there,
// and no key is believed from there, unless the origin was named.
func TestEndpointsElsewhere(t *testing.T) {
	t.Parallel()
	const elsewhere = "login.example.no"
	logIn := func(t *testing.T, w *world) error {
		login, err := w.client.StartLogin(t.Context(), loginRequest())
		if err != nil {
			return err
		}
		target, err := w.server.LogIn(login.URL)
		require.NoError(t, err)
		_, err = w.client.FinishLogin(t.Context(), login.State, target.Query())
		return err
	}
	uses := map[string]func(t *testing.T, w *world) error{
		"token_endpoint": func(t *testing.T, w *world) error {
			_, err := w.client.Token(t.Context(), apiRequest)
			return err
		},
		"jwks_uri":                              logIn,
		"pushed_authorization_request_endpoint": logIn,
		"authorization_endpoint": func(t *testing.T, w *world) error {
			_, err := w.client.StartLogin(t.Context(), loginRequest())
			return err
		},
		"end_session_endpoint": func(t *testing.T, w *world) error {
			_, err := w.client.LogoutURL(t.Context())
			return err
		},
		"userinfo_endpoint": func(t *testing.T, w *world) error {
			_, err := w.logIn(t).UserInfo(t.Context())
			return err
		},
		"revocation_endpoint": func(t *testing.T, w *world) error {
			_, err := w.logIn(t).Logout(t.Context(), helseid.LogoutRequest{})
			return err
		},
	}
	for member, use := range uses {
		for _, named := range []bool{false, true} {
			t.Run(member, func(t *testing.T) {
				t.Parallel()
				w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) {
					if named {
						c.EndpointOrigins = []string{"https://" + elsewhere}
					}
				}})
				original, err := http.NewRequest(http.MethodGet, w.server.Issuer()+"/.well-known/openid-configuration", nil)
				require.NoError(t, err)
				response, err := w.net.helseid.RoundTrip(original)
				require.NoError(t, err)
				var document map[string]any
				require.NoError(t, json.NewDecoder(response.Body).Decode(&document))
				require.NoError(t, response.Body.Close())
				place, err := url.Parse(document[member].(string))
				require.NoError(t, err)
				place.Host = elsewhere
				document[member] = place.String()
				w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Body: metadataDocument(t, w, document), Times: -1})
				stranger := w.api(elsewhere, func(r *http.Request) *http.Response { return answer(http.StatusNotFound) })
				err = use(t, w)
				if named {
					if member == "end_session_endpoint" || member == "authorization_endpoint" {
						require.NoError(t, err) // the browser goes there
						return
					}
					require.NotEmpty(t, stranger.received(), "it answers nothing of use, but is asked")
					return
				}
				require.Error(t, err)
				requireNoSecret(t, err)
				require.ErrorContains(t, err, "EndpointOrigins")
				require.ErrorContains(t, err, member)
				require.ErrorContains(t, err, elsewhere)
				require.Empty(t, stranger.received(), "nothing is sent there")
			})
		}
	}
	for _, bad := range []string{"", "login.example.no", "http://login.example.no", "https://login.example.no/path"} {
		config := newWorld(t, worldOptions{}).config
		config.EndpointOrigins = []string{bad}
		_, err := helseid.New(config)
		requireError(t, err, helseid.ErrConfig)
		require.ErrorContains(t, err, "EndpointOrigins")
		_, err = tokenvalidation.New(tokenvalidation.Config{Issuer: "https://issuer.test", Audience: "a", EndpointOrigins: []string{bad}})
		require.ErrorIs(t, err, tokenvalidation.ErrConfig)
		require.ErrorContains(t, err, "EndpointOrigins")
	}
}

// A transport that takes any certificate is refused, except towards loopback; then
// tokens go nowhere else either.
func TestInsecureSkipVerify(t *testing.T) {
	t.Parallel()
	insecure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // it is to be refused
	base := newWorld(t, worldOptions{}).config
	for issuer, refused := range map[string]bool{
		"https://helseid-sts.nhn.no": true, "https://issuer.test": true, "https://localhost.issuer.test": true, "https://10.0.0.1": true,
		"https://localhost:8443": false, "https://127.0.0.1": false, "http://[::1]:80": false,
	} {
		config := base
		config.Issuer, config.HTTPClient = issuer, insecure
		client, err := helseid.New(config)
		_, validatorErr := tokenvalidation.New(tokenvalidation.Config{Issuer: issuer, Audience: "a", HTTPClient: insecure})
		if refused {
			requireError(t, err, helseid.ErrConfig)
			require.ErrorContains(t, err, "HTTPClient")
			require.ErrorContains(t, err, "InsecureSkipVerify")
			require.ErrorIs(t, validatorErr, tokenvalidation.ErrConfig)
			continue
		}
		require.NoError(t, errors.Join(err, validatorErr))
		client.Close()
		config.EndpointOrigins = []string{"https://login.example.no"}
		_, err = helseid.New(config)
		requireError(t, err, helseid.ErrConfig)
	}
	t.Run("verifies by itself", func(t *testing.T) {
		t.Parallel()
		config := base
		config.Issuer = "https://issuer.test"
		config.HTTPClient = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error { return nil }, //nolint:gosec // it verifies
		}}}
		newClient(t, config)
	})
	t.Run("a transport of this library", func(t *testing.T) {
		t.Parallel()
		config := base
		config.Issuer, config.HTTPClient = "https://localhost", insecure
		config.HTTPClient = newClient(t, config).HTTPClient(helseid.TokenRequest{})
		config.Issuer = "https://issuer.test"
		_, err := helseid.New(config)
		requireError(t, err, helseid.ErrConfig)
	})
	t.Run("calls of APIs", func(t *testing.T) {
		t.Parallel()
		config := base
		config.Issuer, config.HTTPClient = "https://127.0.0.1:1", insecure
		client := newClient(t, config)
		_, err := get(t, client.HTTPClient(apiRequest), apiURL)
		require.ErrorIs(t, err, helseid.ErrInsecureURL)
		require.ErrorContains(t, err, "InsecureSkipVerify")
		_, err = get(t, client.HTTPClient(apiRequest), "https://127.0.0.1:2/")
		require.ErrorIs(t, err, helseid.ErrUnavailable, "it asks for a token")
	})
}

// Every request names this library, unless the caller names something else for a
// call of an API.
func TestUserAgent(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	var mu sync.Mutex
	seen := make(map[string]int)
	w.net.inspect = func(request *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[request.URL.Path]++
		require.Regexp(t, `^helseid-go/[A-Za-z0-9.+_-]+$`, request.Header.Get("User-Agent"), request.URL.Path)
	}
	session := w.logIn(t)
	_, err := session.UserInfo(t.Context())
	require.NoError(t, err)
	_, err = session.Logout(t.Context(), helseid.LogoutRequest{})
	require.NoError(t, err)
	for _, endpoint := range []helseidtest.Endpoint{
		helseidtest.EndpointMetadata, helseidtest.EndpointJWKS, helseidtest.EndpointToken, helseidtest.EndpointPAR, helseidtest.EndpointUserInfo, helseidtest.EndpointRevocation,
	} {
		require.Positive(t, seen[string(endpoint)], endpoint)
	}

	t.Run("APIs", func(t *testing.T) {
		t.Parallel()
		var got []string
		api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, sent := r.Header["User-Agent"]
			got = append(got, r.UserAgent())
			if !sent {
				got[len(got)-1] = "none"
			}
		}))
		defer api.Close()
		w := newWorld(t, worldOptions{})
		w.net.fallback = http.DefaultTransport
		for _, header := range []http.Header{nil, {}, {"User-Agent": {"journal/3"}}, {"User-Agent": {""}}} {
			request := newRequest(t, http.MethodGet, api.URL, nil)
			request.Header = header
			before := header.Clone()
			response, err := w.client.HTTPClient(apiRequest).Do(request)
			require.NoError(t, err)
			_ = response.Body.Close()
			require.Equal(t, before.Get("User-Agent"), request.Header.Get("User-Agent"), "the caller's request stays as it was")
		}
		require.Len(t, got, 4)
		require.Regexp(t, "^helseid-go/", got[0])
		require.Equal(t, []string{got[0], got[0], "journal/3", "none"}, got)
	})
}
