package helseid_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
)

func (w *world) metadataRequests() int {
	return len(w.server.Requests(helseidtest.EndpointMetadata))
}

// metadataDocument is the server's document with changes; nil leaves out.
func metadataDocument(t testing.TB, w *world, changes map[string]any) string {
	t.Helper()
	document := map[string]any{
		"issuer":         w.server.Issuer(),
		"token_endpoint": w.server.Issuer() + "/connect/token",
		"jwks_uri":       w.server.Issuer() + "/.well-known/openid-configuration/jwks",
	}
	maps.Copy(document, changes)
	maps.DeleteFunc(document, func(_ string, value any) bool { return value == nil })
	text, err := json.Marshal(document)
	require.NoError(t, err)
	return string(text)
}

func TestMetadataDocuments(t *testing.T) {
	t.Parallel()
	change := func(name string, value any) func(testing.TB, *world) string {
		return func(t testing.TB, w *world) string { return metadataDocument(t, w, map[string]any{name: value}) }
	}
	edit := func(old, replacement string) func(testing.TB, *world) string {
		return func(t testing.TB, w *world) string {
			document := metadataDocument(t, w, nil)
			require.Contains(t, document, old)
			return strings.Replace(document, old, replacement, 1)
		}
	}
	text := func(text string) func(testing.TB, *world) string {
		return func(testing.TB, *world) string { return text }
	}
	tests := map[string]struct {
		document func(testing.TB, *world) string
		target   error // nil: good
	}{
		"as it should be":            {change("x", 1), nil},
		"booleans as strings":        {change("frontchannel_logout_supported", "true"), nil},
		"unused members of any type": {change("grant_types_supported", map[string]any{"a": 1}), nil},
		"nothing but what is used":   {change("jwks_uri", nil), nil},
		"endpoint at another path":   {change("token_endpoint", "https://helseid.test/other/token"), nil},
		"endpoint at another host":   {change("token_endpoint", "https://other.test/connect/token"), helseid.ErrInvalidResponse},

		"another issuer":            {change("issuer", "https://elsewhere.example.no"), helseid.ErrIssuerMismatch},
		"issuer with a slash":       {change("issuer", "https://helseid.test/"), helseid.ErrIssuerMismatch},
		"issuer in another case":    {change("issuer", "https://HELSEID.test"), helseid.ErrIssuerMismatch},
		"issuer with a path":        {change("issuer", "https://helseid.test/a"), helseid.ErrIssuerMismatch},
		"issuer over http":          {change("issuer", "http://helseid.test"), helseid.ErrIssuerMismatch},
		"issuer with a person":      {change("issuer", "https://helseid.test/06828399789"), helseid.ErrIssuerMismatch},
		"issuer empty":              {change("issuer", ""), helseid.ErrIssuerMismatch},
		"issuer missing":            {change("issuer", nil), helseid.ErrInvalidResponse},
		"issuer a number":           {change("issuer", 1), helseid.ErrInvalidResponse},
		"issuer twice":              {edit(`"issuer"`, `"issuer":"https://elsewhere.example.no","issuer"`), helseid.ErrInvalidResponse},
		"issuer folded":             {edit(`"issuer"`, `"Issuer":"https://elsewhere.example.no","issuer"`), helseid.ErrInvalidResponse},
		"endpoint missing":          {change("token_endpoint", nil), helseid.ErrInvalidResponse},
		"endpoint empty":            {change("token_endpoint", ""), helseid.ErrInvalidResponse},
		"endpoint a number":         {change("token_endpoint", 1), helseid.ErrInvalidResponse},
		"endpoint relative":         {change("token_endpoint", "/connect/token"), helseid.ErrInvalidResponse},
		"endpoint opaque":           {change("token_endpoint", "https:connect"), helseid.ErrInvalidResponse},
		"endpoint over http":        {change("token_endpoint", "http://helseid.test/connect/token"), helseid.ErrInvalidResponse},
		"endpoint on loopback":      {change("token_endpoint", "http://127.0.0.1/connect/token"), helseid.ErrInvalidResponse},
		"endpoint on ftp":           {change("token_endpoint", "ftp://helseid.test/connect/token"), helseid.ErrInvalidResponse},
		"endpoint with user":        {change("token_endpoint", "https://me:secret@helseid.test/connect/token"), helseid.ErrInvalidResponse},
		"endpoint with fragment":    {change("token_endpoint", "https://helseid.test/connect/token#x"), helseid.ErrInvalidResponse},
		"endpoint that is no URL":   {change("token_endpoint", "https://%zz06828399789/"), helseid.ErrInvalidResponse},
		"endpoint twice":            {edit(`"token_endpoint"`, `"token_endpoint":"https://elsewhere.example.no","token_endpoint"`), helseid.ErrInvalidResponse},
		"endpoint folded":           {edit(`"token_endpoint"`, `"TOKEN_endpoint":"https://elsewhere.example.no","token_endpoint"`), helseid.ErrInvalidResponse},
		"an array":                  {text(`[]`), helseid.ErrInvalidResponse},
		"HTML":                      {text(`<html>06828399789</html>`), helseid.ErrInvalidResponse},
		"cut off":                   {text(`{"issuer":"https://helseid.test","token_end`), helseid.ErrInvalidResponse},
		"empty":                     {text(" "), helseid.ErrInvalidResponse},
		"larger than a document is": {change("x", strings.Repeat("x", 2<<20)), helseid.ErrInvalidResponse},
		"text after it":             {edit(`}`, `} {}`), helseid.ErrInvalidResponse},
		"deeper than a document is": {change("x", literal(strings.Repeat("[", 50)+strings.Repeat("]", 50))), helseid.ErrInvalidResponse},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Body: test.document(t, w)})
			_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
			if test.target == nil {
				if name == "endpoint at another path" {
					requireError(t, err, helseid.ErrInvalidResponse) // 404 of that path: metadata decides where to go
					return
				}
				require.NoError(t, err)
				return
			}
			requireError(t, err, test.target)
			require.ErrorContains(t, err, "metadata")
			require.Zero(t, w.tokenRequests(), "credentials were sent on the word of a bad document")

			// T090: a failed load is not kept.
			_, err = w.client.Token(t.Context(), helseid.TokenRequest{})
			require.NoError(t, err)
		})
	}
}

func TestIssuerWithPath(t *testing.T) {
	t.Parallel()
	for configured, path := range map[string]string{
		"/session/1": "/session/1", "/session/1/": "/session/1", "": "", "/": "", "//": "",
	} {
		w := newWorld(t, worldOptions{
			server: []helseidtest.Option{helseidtest.Path(path)},
			config: func(c *helseid.Config) { c.Issuer = "https://" + helseidHost + configured },
		})
		var paths []string
		w.net.inspect = func(r *http.Request) { paths = append(paths, r.URL.Path) }
		w.token(t)
		require.Equal(t, []string{path + "/.well-known/openid-configuration", path + "/connect/token", path + "/connect/token"}, paths)
	}
}

func TestT089TwoIssuersTwoDocuments(t *testing.T) {
	t.Parallel()
	first, second := newWorld(t, worldOptions{}), newWorld(t, worldOptions{server: []helseidtest.Option{helseidtest.Path("/b"), helseidtest.Relaxed(rule.Nonce)}})
	first.token(t)
	second.token(t)
	first.token(t)
	require.Equal(t, 1, first.metadataRequests())
	require.Equal(t, 1, second.metadataRequests())
	second.config.Issuer = first.config.Issuer
	_, err := newClient(t, second.config).Token(t.Context(), helseid.TokenRequest{})
	requireError(t, err, helseid.ErrInvalidResponse) // a 404
}

func TestMetadataCache(t *testing.T) {
	t.Parallel()
	// This token is not cached, so each call uses the metadata.
	fetch := func(t *testing.T, w *world) error {
		w.server.Inject(helseidtest.Fault{Body: w.tokenAnswer(t, map[string]any{"expires_in": nil})})
		_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
		return err
	}
	t.Run("T087 T091 kept for 24 hours", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			start := time.Now()
			require.NoError(t, fetch(t, w))
			for _, step := range []struct {
				at       time.Duration
				requests int
			}{
				{time.Hour, 1}, {24*time.Hour - 1, 1}, {24 * time.Hour, 2}, {25 * time.Hour, 2},
				{48*time.Hour - 1, 2}, {48 * time.Hour, 3}, {30 * 24 * time.Hour, 4},
			} {
				at(start, step.at)
				require.NoError(t, fetch(t, w))
				require.Equal(t, step.requests, w.metadataRequests(), "after %v", step.at)
			}
		})
	})
	for name, fault := range map[string]helseidtest.Fault{
		"500":            {Status: 500, Times: -1},
		"404":            {Status: 404, Times: -1},
		"cut connection": {Cut: true, Times: -1},
		"HTML":           {Body: "<html>", Times: -1},
		"another issuer": {Body: `{"issuer":"https://elsewhere.example.no","token_endpoint":"https://elsewhere.example.no/t"}`, Times: -1},
		"no answer":      {Delay: time.Hour, Times: -1},
	} {
		t.Run("T088 an old document is better than none: "+name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{})
				require.NoError(t, fetch(t, w))
				pause(24 * time.Hour)
				fault.Endpoint = helseidtest.EndpointMetadata
				w.server.Inject(fault)
				require.NoError(t, fetch(t, w))
				tried := w.metadataRequests()
				require.Greater(t, tried, 1)
				pause(58 * time.Second) // less than the time since the attempt began, or a little more
				require.NoError(t, fetch(t, w))
				pause(2 * time.Minute)
				require.NoError(t, fetch(t, w))
				require.Greater(t, w.metadataRequests(), tried, "it is tried again")

				w.server.ClearFaults()
				pause(2 * time.Minute)
				require.NoError(t, fetch(t, w))
				renewed := w.metadataRequests()
				pause(23 * time.Hour)
				require.NoError(t, fetch(t, w))
				require.Equal(t, renewed, w.metadataRequests(), "the new document is kept for a day again")
			})
		})
	}
	t.Run("an attempt to renew at most once a minute", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			start := time.Now()
			require.NoError(t, fetch(t, w))
			w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Status: 404, Times: -1})
			for _, step := range []struct {
				after    time.Duration
				requests int
			}{{0, 2}, {time.Second, 2}, {time.Minute - 1, 2}, {time.Minute, 3}, {2*time.Minute - 1, 3}} {
				at(start, 24*time.Hour+step.after)
				require.NoError(t, fetch(t, w))
				require.Equal(t, step.requests, w.metadataRequests(), "after %v", step.after)
			}
		})
	})
	t.Run("T090 a failed load is not kept", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Status: 503, Times: 3})
			requireError(t, fetch(t, w), helseid.ErrUnavailable)
			require.Equal(t, 3, w.metadataRequests(), "tried three times")
			w.server.ClearFaults()
			require.NoError(t, fetch(t, w))
		})
	})
	t.Run("a hiccup is not noticed", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			for _, fault := range []helseidtest.Fault{{Status: 503, Times: 2}, {Status: 429, Times: 2}, {Cut: true, Times: 2}, {Delay: time.Hour, Times: 2}} {
				fault.Endpoint = helseidtest.EndpointMetadata
				w := newWorld(t, worldOptions{})
				w.server.Inject(fault)
				require.NoError(t, fetch(t, w))
			}
		})
	})
	t.Run("a wish to wait for a day is not obeyed", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			for _, wish := range []string{"86400", "99999999999", "-5", "Wed, 21 Oct 2099 07:28:00 GMT"} {
				w := newWorld(t, worldOptions{})
				w.server.Inject(helseidtest.Fault{
					Endpoint: helseidtest.EndpointMetadata, Status: 503, Times: 2, Header: http.Header{"Retry-After": {wish}},
				})
				start := time.Now()
				require.NoError(t, fetch(t, w))
				require.LessOrEqual(t, time.Since(start), 5*time.Second, wish)
			}
		})
	})
	t.Run("an answer that never comes", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Delay: time.Hour, Times: -1})
			start := time.Now()
			requireError(t, fetch(t, w), helseid.ErrUnavailable)
			require.LessOrEqual(t, time.Since(start), 20*time.Second)
		})
	})
	t.Run("several tokens share one load", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Delay: time.Second})
			var group sync.WaitGroup
			for _, request := range []helseid.TokenRequest{{}, {Scopes: []string{testScope}}, {Scopes: []string{otherScope}}, {Resource: "nhn:test-api"}} {
				group.Go(func() {
					_, err := w.client.Token(t.Context(), request)
					assert.NoError(t, err)
				})
			}
			group.Wait()
			require.Equal(t, 1, w.metadataRequests())
		})
	})
}

func TestMetadataRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{config: func(c *helseid.Config) { c.HTTPClient.Jar = recordingJar{} }})
	var first http.Header
	w.net.inspect = func(r *http.Request) {
		if first == nil {
			first = r.Header.Clone()
		}
	}
	w.token(t)
	require.NotContains(t, first, "Dpop")
	require.NotContains(t, first, "Authorization")
	require.Equal(t, "application/json", first.Get("Accept"))
}

func TestMetadataRedirects(t *testing.T) {
	t.Parallel()
	var trapped atomic.Int64
	trap := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		trapped.Add(1)
		_, _ = io.WriteString(w, `{}`)
	}))
	defer trap.Close()
	server := httptest.NewServer(http.RedirectHandler(trap.URL, http.StatusFound))
	defer server.Close()
	client := newClient(t, helseid.Config{Issuer: server.URL, ClientID: "client", Key: testKey(t), HTTPClient: server.Client()})
	_, err := client.Token(t.Context(), helseid.TokenRequest{})
	requireError(t, err, helseid.ErrInvalidResponse)
	require.ErrorContains(t, err, "302")
	require.Zero(t, trapped.Load())
}

func TestHelseIDIsDown(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	client := newClient(t, helseid.Config{Issuer: server.URL, ClientID: "client", Key: testKey(t), TokenRetries: -1})
	_, err := client.Token(t.Context(), helseid.TokenRequest{})
	requireError(t, err, helseid.ErrUnavailable)
	require.ErrorContains(t, err, "check the issuer")
}

// A client fetches the metadata once, for itself and for the keys of ID tokens.
func TestOneMetadataForALogin(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	session := w.logIn(t)
	_, err := userToken(t, session, journalResource)
	require.NoError(t, err)
	_, err = session.UserInfo(t.Context())
	require.NoError(t, err)
	_, err = session.Logout(t.Context(), helseid.LogoutRequest{})
	require.NoError(t, err)
	require.Len(t, w.server.Requests(helseidtest.EndpointMetadata), 1)
	require.Len(t, w.server.Requests(helseidtest.EndpointJWKS), 1)
}
