package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/middleware"
)

const theSecret = "a-secret-of-the-test"

// world is a proxy with the API behind it.
type world struct {
	testing.TB
	api, proxy *httptest.Server
	elsewhere  *httptest.Server // where the API redirects to
	seen       chan *http.Request
	strayed    chan *http.Request // what has come to the other server
}

// newWorld starts a proxy for a path of an API, which serves what comes with a token and a
// proof.
func newWorld(t *testing.T, below string, serve http.HandlerFunc) *world {
	t.Helper()
	w := &world{TB: t, seen: make(chan *http.Request, 100), strayed: make(chan *http.Request, 100)}
	w.elsewhere = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { w.strayed <- r }))
	t.Cleanup(w.elsewhere.Close)
	hid := helseidtest.NewServer(t)
	w.api = httptest.NewUnstartedServer(nil)
	guard, err := middleware.New(middleware.Config{Issuer: hid.Issuer(), Audience: "nhn:some-api", PublicURL: "http://" + w.api.Listener.Addr().String()})
	require.NoError(t, err)
	t.Cleanup(guard.Close)
	w.api.Config.Handler = guard.Require(func(answer http.ResponseWriter, r *http.Request) {
		w.seen <- r.Clone(context.Background())
		if serve != nil {
			serve(answer, r)
		}
	})
	w.api.Start()
	t.Cleanup(w.api.Close)
	client, err := helseid.New(hid.NewClient(helseidtest.Scopes("nhn:some-api/read")))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	target, err := parseTarget(w.api.URL + below)
	require.NoError(t, err)
	w.proxy = httptest.NewUnstartedServer(&handler{target: target, secret: theSecret, transport: client.Transport(helseid.TokenRequest{})})
	w.proxy.Config.MaxHeaderBytes = maxHeader
	w.proxy.Config.DisableGeneralOptionsHandler = true
	w.proxy.Start()
	t.Cleanup(w.proxy.Close)
	return w
}

// raw sends what no client of net/http would, and returns the answer.
func (w *world) raw(text string) (status int, header http.Header, body string) {
	w.Helper()
	connection, err := net.Dial("tcp", w.proxy.Listener.Addr().String())
	require.NoError(w, err)
	defer connection.Close()
	require.NoError(w, connection.SetDeadline(time.Now().Add(20*time.Second)))
	go func() { _, _ = io.WriteString(connection, text) }() // it may be refused before all is read
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	require.NoError(w, err)
	defer response.Body.Close()
	content, _ := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, string(content)
}

// request is a request as text, with the secret.
func request(line string, headers ...string) string {
	return line + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Proxy-Secret: " + theSecret + "\r\n" + strings.Join(append(headers, "", ""), "\r\n")
}

// What is refused has reached nobody. The request that it differs from is let through.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", nil)
	without := func(text, line string) string { return strings.Replace(text, line+"\r\n", "", 1) }
	good := request("GET /a?b=c")
	for name, test := range map[string]struct {
		text   string
		status int
	}{
		"the good one":                   {good, 200},
		"the good one, by address":       {strings.Replace(good, "Host: localhost", "Host: 127.0.0.1:80", 1), 200},
		"typed into the address bar":     {request("GET /a", "Sec-Fetch-Site: none"), 200},
		"rebinding":                      {strings.Replace(good, "Host: localhost", "Host: evil.example", 1), 421},
		"rebinding, a longer name":       {strings.Replace(good, "Host: localhost", "Host: localhost.evil.example", 1), 421},
		"rebinding, an address":          {strings.Replace(good, "Host: localhost", "Host: 10.0.0.1", 1), 421},
		"rebinding, a user":              {strings.Replace(good, "Host: localhost", "Host: localhost@evil.example", 1), 400},
		"no Host":                        {without(good, "Host: localhost"), 400},
		"two Hosts":                      {request("GET /a", "Host: evil.example"), 400},
		"an Origin":                      {request("GET /a", "Origin: https://evil.example"), 403},
		"an Origin of its own":           {request("GET /a", "Origin: http://localhost"), 403},
		"an Origin of null":              {request("GET /a", "Origin: null"), 403},
		"an empty Origin":                {request("GET /a", "Origin:"), 403},
		"a preflight":                    {without(request("OPTIONS /a", "Origin: https://evil.example", "Access-Control-Request-Headers: x-proxy-secret"), "X-Proxy-Secret: "+theSecret), 403},
		"from another site":              {request("GET /a", "Sec-Fetch-Site: cross-site"), 403},
		"from the same site":             {request("GET /a", "Sec-Fetch-Site: same-site"), 403},
		"from both":                      {request("GET /a", "Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"), 403},
		"no secret":                      {without(good, "X-Proxy-Secret: "+theSecret), 403},
		"another secret":                 {strings.Replace(good, theSecret, theSecret+"x", 1), 403},
		"a part of the secret":           {strings.Replace(good, theSecret, theSecret[:5], 1), 403},
		"an empty secret":                {strings.Replace(good, theSecret, "", 1), 403},
		"the secret and another":         {request("GET /a", "X-Proxy-Secret: x"), 403},
		"the secret twice":               {request("GET /a", "X-Proxy-Secret: "+theSecret), 403},
		"the secret in the query":        {without(request("GET /a?X-Proxy-Secret="+theSecret), "X-Proxy-Secret: "+theSecret), 403},
		"through it":                     {request("GET " + w.elsewhere.URL + "/a"), 421},
		"through it, to itself":          {request("GET http://localhost/a"), 421},
		"through it, to the API":         {request("GET " + w.api.URL + "/a"), 421},
		"a tunnel":                       {request("CONNECT evil.example:443"), 421},
		"a tunnel to a path":             {request("CONNECT /a"), 421},
		"TRACE":                          {request("TRACE /a"), 405},
		"the server as a whole":          {request("OPTIONS *"), 400},
		"an upgrade":                     {request("GET /a", "Connection: upgrade", "Upgrade: websocket"), 501},
		"an upgrade alone":               {request("GET /a", "Upgrade: h2c"), 501},
		"another host as path":           {request("GET //evil.example/a"), 400},
		"another host as path, encoded":  {request("GET /%2Fevil.example/a"), 400},
		"another host as path, backward": {request(`GET /\evil.example/a`), 400},
		"up":                             {request("GET /../a"), 400},
		"up, encoded":                    {request("GET /a/%2e%2e/b"), 400},
		"up, all encoded":                {request("GET /%2e%2e%2fa"), 400},
		"up, with a parameter":           {request("GET /..;a=b/c"), 400},
		"up, with an encoded parameter":  {request("GET /a/..%3b/c"), 400},
		"no slash":                       {request("GET evil.example"), 400},
		"a broken escape":                {request("GET /%zz"), 400},
		"a header with a space":          {request("GET /a", "Authorization : Bearer x"), 400},
		"two lengths":                    {request("POST /a", "Content-Length: 1", "Content-Length: 2"), 400},
		"long headers":                   {request("GET /a", "X-A: "+strings.Repeat("a", 64<<10)), 431},
	} {
		t.Run(name, func(t *testing.T) {
			status, header, body := w.raw(test.text)
			require.Equal(t, test.status, status, body)
			if status == http.StatusOK {
				<-w.seen
				return
			}
			require.Empty(t, w.seen, "it has reached the API")
			require.NotContains(t, body, theSecret)
			require.Empty(t, header.Get("WWW-Authenticate"), "a browser would ask for a password")
		})
	}
	require.Empty(t, w.strayed)
}

// The API sees its own address, the path as it was written, and nothing that the caller or
// a proxy has put there as a credential.
func TestWhatTheAPISees(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "/base/", nil)
	status, _, body := w.raw(request("PUT /a%2Fb//c%20d/?q=1;2&x=%zz", "authorization: Bearer mine", "AUTHORIZATION: DPoP mine", "dpop: mine", "Cookie: a=b",
		"Proxy-Authorization: Basic eDp4", "Connection: X-Own, close", "X-Own: 1", "Keep-Alive: 5", "TE: gzip", "X-Forwarded-For: 10.0.0.1",
		"X-Forwarded-Host: evil.example", "Forwarded: host=evil.example", "Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "X-Kept: 2", "Content-Length: 2") + "{}")
	require.Equal(t, http.StatusOK, status, body)
	seen := <-w.seen
	require.Equal(t, "/base/a%2Fb//c%20d/?q=1;2&x=%zz", seen.RequestURI)
	require.Equal(t, "http://"+seen.Host, w.api.URL)
	require.Equal(t, "2", seen.Header.Get("X-Kept"))
	require.Len(t, seen.Header.Values("Authorization"), 1)
	require.True(t, strings.HasPrefix(seen.Header.Get("Authorization"), "DPoP ey"))
	require.Len(t, seen.Header.Values(dpop.HeaderName), 1)
	require.EqualValues(t, 2, seen.ContentLength)
	for _, name := range []string{secretHeader, "Cookie", "Proxy-Authorization", "X-Own", "Keep-Alive", "Te", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Sec-Fetch-Site", "Sec-Fetch-Mode", "User-Agent"} {
		if name != "User-Agent" {
			require.Empty(t, seen.Header.Values(name), name)
		}
	}
}

// What the API answers arrives, without what is for its client alone.
func TestWhatTheCallerSees(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", func(answer http.ResponseWriter, _ *http.Request) {
		answer.Header().Set("Set-Cookie", "session=early")
		answer.WriteHeader(http.StatusEarlyHints)
		for _, name := range []string{"Set-Cookie", "DPoP-Nonce", "Strict-Transport-Security", "Alt-Svc", "Access-Control-Allow-Origin", "Clear-Site-Data", "Refresh"} {
			answer.Header().Set(name, "x")
		}
		answer.Header().Set("X-Kept", "1")
		answer.Header().Set("WWW-Authenticate", `DPoP error="invalid_token"`)
		answer.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(answer, "the body")
	})
	status, header, body := w.raw(request("GET /a"))
	require.Equal(t, http.StatusTeapot, status)
	require.Equal(t, "the body", body)
	require.Equal(t, "1", header.Get("X-Kept"))
	require.NotEmpty(t, header.Get("WWW-Authenticate"))
	for _, name := range []string{"Set-Cookie", "DPoP-Nonce", "Strict-Transport-Security", "Alt-Svc", "Access-Control-Allow-Origin", "Clear-Site-Data", "Refresh"} {
		require.Empty(t, header.Values(name), name)
	}
}

// What comes after a body is dropped, both ways.
func TestTrailers(t *testing.T) {
	t.Parallel()
	trailers := make(chan http.Header, 1)
	w := newWorld(t, "", func(answer http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		trailers <- r.Trailer
		answer.Header().Set("Trailer", "Set-Cookie")
		_, _ = io.WriteString(answer, "the body")
		_ = http.NewResponseController(answer).Flush()
		answer.Header().Set("Set-Cookie", "late=1")
		answer.Header().Set(http.TrailerPrefix+"X-Late", "1")
	})
	connection, err := net.Dial("tcp", w.proxy.Listener.Addr().String())
	require.NoError(t, err)
	defer connection.Close()
	require.NoError(t, connection.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(connection, request("POST /a", "Transfer-Encoding: chunked", "Trailer: Authorization, Cookie")+"2\r\n{}\r\n0\r\nAuthorization: Bearer x\r\nCookie: a=b\r\n\r\n")
	require.NoError(t, err)
	raw, err := io.ReadAll(connection)
	require.NoError(t, err)
	require.Contains(t, string(raw), "the body")
	require.NotContains(t, string(raw), "late=1")
	require.NotContains(t, string(raw), "X-Late")
	require.Empty(t, <-trailers)
}

// Neither the token nor the secret follows a redirect to another origin: programs send
// their own headers along.
func TestRedirects(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		location string // of the API, or several with | between; %s is another server, %p the API itself
		status   int
		want     int
		next     string
	}{
		"another origin":          {"%s/next?secret=1", 302, 502, ""},
		"another origin, 307":     {"%s/next", 307, 502, ""},
		"another origin, second":  {"/base/next|%s/next?secret=1", 302, 502, ""},
		"another origin, hidden":  {"|%s/next?secret=1", 302, 502, ""},
		"nowhere":                 {"", 302, 302, ""},
		"without a scheme":        {"//evil.example/base/next", 302, 502, ""},
		"another scheme":          {"ftp://evil.example/", 302, 502, ""},
		"not readable":            {"http://[", 302, 502, ""},
		"out of the path":         {"/other", 302, 502, ""},
		"out of the path, longer": {"/based", 302, 502, ""},
		"up out of the path":      {"/base/../other", 302, 502, ""},
		"to a host as path":       {"/base//evil.example", 302, 502, ""},
		"within":                  {"/base/next?a=b", 302, 302, "/next?a=b"},
		"within, whole":           {"%p/base/a%2Fb", 302, 302, "/a%2Fb"},
		"within, relative":        {"next", 303, 303, "/next"},
		"the root":                {"/base", 302, 302, "/"},
		"what was made":           {"/base/things/7", 201, 201, "/things/7"},
		"what was made elsewhere": {"%s/things/7", 201, 201, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var w *world
			w = newWorld(t, "/base", func(answer http.ResponseWriter, _ *http.Request) {
				for location := range strings.SplitSeq(test.location, "|") {
					answer.Header().Add("Location", strings.NewReplacer("%s", w.elsewhere.URL, "%p", w.api.URL).Replace(location))
				}
				answer.WriteHeader(test.status)
			})
			status, header, body := w.raw(request("GET /a"))
			require.Equal(t, test.want, status, body)
			require.Equal(t, test.next, header.Get("Location"))
			require.NotContains(t, body, "secret=1")
			require.Empty(t, w.strayed)
			require.Len(t, w.seen, 1)
		})
	}
}

// Both bodies are streamed: the API has the first half before the second is sent, and so
// has the caller.
func TestStreams(t *testing.T) {
	t.Parallel()
	halves := make(chan string, 2)
	w := newWorld(t, "", func(answer http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(answer).EnableFullDuplex()
		buffer := make([]byte, 5)
		for range 2 {
			if _, err := io.ReadFull(r.Body, buffer); err != nil {
				panic(http.ErrAbortHandler)
			}
			halves <- string(buffer)
			_, _ = answer.Write(buffer)
			_ = http.NewResponseController(answer).Flush()
		}
	})
	body, sending := io.Pipe()
	defer func() { _ = sending.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	outgoing, err := http.NewRequestWithContext(ctx, "POST", w.proxy.URL+"/a", body)
	require.NoError(t, err)
	outgoing.Header.Set(secretHeader, theSecret)
	go func() { _, _ = io.WriteString(sending, "first") }()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(outgoing)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, "first", <-halves)
	buffer := make([]byte, 5)
	_, err = io.ReadFull(response.Body, buffer)
	require.NoError(t, err)
	require.Equal(t, "first", string(buffer))
	go func() { _, _ = io.WriteString(sending, "later"); _ = sending.Close() }()
	_, err = io.ReadFull(response.Body, buffer)
	require.NoError(t, err)
	require.Equal(t, "later", string(buffer))
}

// A small body is sent again when the API demands a nonce.
func TestNonce(t *testing.T) {
	t.Parallel()
	issuer, err := dpop.NewNonceIssuer(dpop.NonceIssuerConfig{})
	require.NoError(t, err)
	hid := helseidtest.NewServer(t)
	api := httptest.NewUnstartedServer(nil)
	config := middleware.Config{Issuer: hid.Issuer(), Audience: "nhn:some-api", PublicURL: "http://" + api.Listener.Addr().String()}
	config.Proof.Nonces = issuer
	guard, err := middleware.New(config)
	require.NoError(t, err)
	defer guard.Close()
	api.Config.Handler = guard.Require(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	api.Start()
	defer api.Close()
	client, err := helseid.New(hid.NewClient(helseidtest.Scopes("nhn:some-api/read")))
	require.NoError(t, err)
	defer client.Close()
	target, err := parseTarget(api.URL)
	require.NoError(t, err)
	recorder := httptest.NewRecorder()
	incoming := httptest.NewRequest("POST", "/a", strings.NewReader("small"))
	incoming.Host = "localhost"
	incoming.Header.Set(secretHeader, theSecret)
	var told string
	(&handler{target: target, secret: theSecret, transport: client.Transport(helseid.TokenRequest{}), observe: func(method, path string, status int) {
		told = fmt.Sprint(method, path, status)
	}}).ServeHTTP(recorder, incoming)
	require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
	require.Equal(t, "small", recorder.Body.String())
	require.Equal(t, "POST/a200", told)
}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestFailures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err    error
		status int
	}{
		"HelseID is down": {fmt.Errorf("%w: %w", helseid.ErrNoToken, helseid.ErrUnavailable), 503},
		"a refusal":       {fmt.Errorf("%w: %w", helseid.ErrNoToken, &helseid.TokenError{Code: "invalid_scope", StatusCode: 400}), 502},
		"the API is down": {errors.New("connection refused"), 502},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target, err := parseTarget("https://api.example")
			require.NoError(t, err)
			recorder := httptest.NewRecorder()
			incoming := httptest.NewRequest("GET", "/a?secret=1", nil)
			incoming.Host = "localhost"
			incoming.Header.Set(secretHeader, theSecret)
			(&handler{target: target, secret: theSecret, transport: failing{test.err}}).ServeHTTP(recorder, incoming)
			require.Equal(t, test.status, recorder.Code)
			require.Contains(t, recorder.Body.String(), test.err.Error())
			require.NotContains(t, recorder.Body.String(), "secret=1")
		})
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "api.example", "http://api.example", "https://u:p@api.example", "https://api.example?a", "https://api.example/?", "https://api.example#a", "ftp://api.example", "::"} {
		_, err := parseTarget(text)
		require.Error(t, err, text)
		require.NotContains(t, err.Error(), "u:p")
	}
	for text, want := range map[string]string{"https://api.example/": "https://api.example", "http://localhost:1/a%2Fb/": "http://localhost:1/a%2Fb"} {
		target, err := parseTarget(text)
		require.NoError(t, err)
		require.Equal(t, want, target.String())
	}
}

// What is under way when the program is stopped comes to its end.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	arrived, release := make(chan struct{}), make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(arrived)
			<-release
			_, _ = io.WriteString(w, "the end")
		}))
	}()
	body := make(chan string, 1)
	go func() {
		defer close(body)
		response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(httptest.NewRequest("GET", "http://"+listener.Addr().String(), nil))
		if err != nil {
			t.Error(err)
			return
		}
		defer response.Body.Close()
		content, _ := io.ReadAll(response.Body)
		body <- string(content)
	}()
	<-arrived
	stop()
	require.Eventually(t, func() bool {
		connection, err := net.Dial("tcp", listener.Addr().String())
		if err == nil {
			_ = connection.Close()
		}
		return err != nil
	}, 10*time.Second, 5*time.Millisecond, "it takes nothing new")
	require.Empty(t, ended)
	close(release)
	require.Equal(t, "the end", <-body)
	require.NoError(t, <-ended)
}
