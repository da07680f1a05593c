package middleware_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/middleware"
)

// socket is an API on a real socket, with a file server behind the guard.
type socket struct {
	*world
	address string
	base    string       // of the URLs that proofs are made for
	served  atomic.Value // the path that the last request was served at
}

func newSocket(t *testing.T, config func(*middleware.Config)) *socket {
	t.Helper()
	s := &socket{world: newWorld(t, worldOptions{cold: true, config: config})}
	files := http.FileServerFS(fstest.MapFS{
		"public.txt": {Data: []byte("public")}, "secret.txt": {Data: []byte("secret")},
		"v1/public": {Data: []byte("public")}, "admin/secret": {Data: []byte("secret")},
	})
	server := httptest.NewUnstartedServer(s.auth.Guard()(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		s.served.Store(r.URL.Path)
		files.ServeHTTP(rw, r)
	})))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	s.base = "http://api.example.no"
	if config != nil {
		var c middleware.Config
		if config(&c); c.PublicURL != "" {
			s.base = c.PublicURL
		}
	}
	s.address = server.Listener.Addr().String()
	return s
}

// credentials are the headers of a request with a proof for this path.
func (s *socket) credentials(path string) (authorization, proof string) {
	token := s.server.Token()
	return "DPoP " + token, s.server.Proof(http.MethodGet, s.base+path, token)
}

// http1 sends a request line as it is given.
func (s *socket) http1(t *testing.T, target, host, signed string, headers ...string) (status int, body string) {
	t.Helper()
	connection, err := net.Dial("tcp", s.address)
	require.NoError(t, err)
	defer connection.Close()
	authorization, proof := s.credentials(signed)
	lines := append([]string{"GET " + target + " HTTP/1.1", "Host: " + host, "Authorization: " + authorization, "DPoP: " + proof, "Connection: close"}, headers...)
	_, err = io.WriteString(connection, strings.Join(lines, "\r\n")+"\r\n\r\n")
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	require.NoError(t, err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(data)
}

// http2 sends pseudo-headers as they are given, and waits for the end of the answer.
func (s *socket) http2(t *testing.T, path, authority, signed string) {
	t.Helper()
	connection, err := net.Dial("tcp", s.address)
	require.NoError(t, err)
	defer connection.Close()
	authorization, proof := s.credentials(signed)
	var block []byte
	for _, field := range [][2]string{
		{":method", "GET"}, {":scheme", "http"}, {":authority", authority}, {":path", path}, {"authorization", authorization}, {"dpop", proof},
	} {
		block = append(block, 0) // a literal that is not indexed (RFC 7541 section 6.2.2)
		for _, text := range field {
			block = append(appendHPACK(block, len(text)), text...)
		}
	}
	const settings, headers, goAway, endStream, endHeaders = 4, 1, 7, 1, 4
	message := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(settings, 0, 0, nil)...)
	_, err = connection.Write(append(message, frame(headers, endStream|endHeaders, 1, block)...))
	require.NoError(t, err)
	for header := make([]byte, 9); ; {
		_, err := io.ReadFull(connection, header)
		require.NoError(t, err)
		length := int64(header[0])<<16 | int64(header[1])<<8 | int64(header[2])
		_, err = io.CopyN(io.Discard, connection, length)
		require.NoError(t, err)
		stream, over := binary.BigEndian.Uint32(header[5:]), header[4]&endStream != 0
		if stream == 1 && (over || header[3] > headers) || header[3] == goAway {
			return
		}
	}
}

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	head := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(head, stream), payload...)
}

// appendHPACK writes the length of a literal string (RFC 7541 section 5.1).
func appendHPACK(block []byte, length int) []byte {
	if length < 127 {
		return append(block, byte(length))
	}
	block = append(block, 127)
	for length -= 127; length >= 128; length >>= 7 {
		block = append(block, byte(length&127|128))
	}
	return append(block, byte(length))
}

// A proof must be for the path that is served, whatever the form of the request target.
// For each target here, a proof for another path would be accepted if the target were
// parsed differently than net/http parses it.
func TestRequestTargets(t *testing.T) {
	t.Parallel()
	public := func(c *middleware.Config) { c.PublicURL = "https://api.example.no" }
	proxied := func(c *middleware.Config) {
		c.TrustedProxies = append(c.TrustedProxies, netip.MustParsePrefix("127.0.0.0/8"))
	}
	for name, test := range map[string]struct {
		config             func(*middleware.Config)
		target, host, path string // the last is what the proof is for
		headers            []string
	}{
		"a number sign":                       {nil, "/public.txt#/../secret.txt", "api.example.no", "/public.txt", nil},
		"a number sign, PublicURL":            {public, "/public.txt#/../secret.txt", "api.example.no", "/public.txt", nil},
		"a number sign and a query":           {public, "/public.txt#?/../secret.txt", "api.example.no", "/public.txt", nil},
		"an unknown scheme":                   {public, "x:/admin/https://y/v1/public", "api.example.no", "/v1/public", nil},
		"an unknown scheme and any host":      {public, "x:any://h/v1/public", "api.example.no", "/v1/public", nil},
		"a scheme without a host":             {public, "http:/admin/http://api.example.no/v1/public", "api.example.no", "/v1/public", nil},
		"another scheme":                      {public, "ftp://api.example.no/v1/public", "api.example.no", "/v1/public", nil},
		"a host with a query":                 {nil, "/secret.txt", "api.example.no?", "/", nil},
		"a host with a path":                  {nil, "/secret.txt", "api.example.no/v1", "/v1/secret.txt", nil},
		"a host with a number sign":           {nil, "/secret.txt", "api.example.no#", "/", nil},
		"a host with a user":                  {nil, "/secret.txt", "x@api.example.no", "/secret.txt", nil},
		"a host with a backslash":             {nil, "/secret.txt", `api.example.no\v1`, "/secret.txt", nil},
		"a forwarded host with a query":       {proxied, "/secret.txt", "internal", "/", []string{"X-Forwarded-Host: api.example.no?"}},
		"a forwarded host with a path":        {proxied, "/secret.txt", "internal", "/v1/secret.txt", []string{"X-Forwarded-Host: api.example.no/v1"}},
		"a forwarded host with a number sign": {proxied, "/secret.txt", "internal", "/", []string{"X-Forwarded-Host: api.example.no#"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSocket(t, test.config)
			_, body := s.http1(t, test.target, test.host, test.path, test.headers...)
			require.Nil(t, s.served.Load(), "it was let in")
			require.NotContains(t, body, "secret\n")
			require.NotEqual(t, "secret", body)
		})
	}
	for name, test := range map[string]struct {
		config                      func(*middleware.Config)
		target, host, served, proof string
	}{
		"a path":                                 {nil, "/public.txt", "api.example.no", "/public.txt", "/public.txt"},
		"a path and a query":                     {nil, "/public.txt?a=/b#c", "api.example.no", "/public.txt", "/public.txt"},
		"an absolute URL":                        {nil, "http://api.example.no/public.txt", "api.example.no", "/public.txt", "/public.txt"},
		"an absolute URL in capitals, PublicURL": {public, "HTTP://API.EXAMPLE.NO/public.txt?x", "api.example.no", "/public.txt", "/public.txt"},
		"a URL within a path":                    {public, "/v1/public;http://y/x", "api.example.no", "/v1/public;http://y/x", "/v1/public;http://y/x"},
		"an encoded character":                   {public, "/publi%63.txt", "api.example.no", "/public.txt", "/public.txt"},
	} {
		t.Run("good: "+name, func(t *testing.T) {
			t.Parallel()
			s := newSocket(t, test.config)
			s.http1(t, test.target, test.host, test.proof)
			require.Equal(t, test.served, s.served.Load())
		})
	}
	for name, test := range map[string]struct {
		config                 func(*middleware.Config)
		path, authority, proof string
		in                     bool
	}{
		"good":                       {nil, "/v1/public", "api.example.no", "/v1/public", true},
		"an authority with a path":   {nil, "/admin/secret", "api.example.no/v1/public?", "/v1/public", false},
		"an authority with a prefix": {nil, "/secret", "api.example.no/admin", "/admin/secret", false},
		"an authority with a query":  {nil, "/admin/secret", "api.example.no?", "/", false},
		"a number sign":              {public, "/v1/public#/../../admin/secret", "api.example.no", "/v1/public", false},
	} {
		t.Run("HTTP/2: "+name, func(t *testing.T) {
			t.Parallel()
			s := newSocket(t, test.config)
			s.http2(t, test.path, test.authority, test.proof)
			require.Equal(t, test.in, s.served.Load() != nil)
		})
	}
}

// An absolute URL must have the request's own host, even if PublicURL decides about the
// comparison: otherwise code before the guard has changed one of the two.
func TestAbsoluteTargetOfAnotherHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) { c.PublicURL = "https://api.example.no" }})
	other := func(r *http.Request) { r.Host = "other.example.no" }
	w.requireRefused(w.at("GET", "https://api.example.no/x", "GET", "https://api.example.no/x", other), "proof_htu")
	w.requireOK(w.at("GET", "/x", "GET", "https://api.example.no/x", other))
}

// FuzzRequestTarget compares our parsing of a request target with net/http's: if a
// proof can match, its path is the one that handlers see, and its host the one that the
// request names.
func FuzzRequestTarget(f *testing.F) {
	w := newWorld(f, worldOptions{cold: true})
	token := w.lastingToken()
	for _, seed := range [][2]string{
		{"/a/b?c#d", "api.example.no"}, {"/a#b", "api.example.no"}, {"http://api.example.no/a?b", "api.example.no"}, {"x:/a/https://y/b", "h"},
		{"/", "api.example.no/v1?"}, {"*", "h"}, {"//a//b", "[::1]:80"}, {"/%2e%2e/%2F", "h:1"}, {"http://h", "h"}, {"/a\"b", "h"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, target, host string) {
		if strings.ContainsAny(target+host, " \r\n") {
			return
		}
		request, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")))
		if err != nil {
			return
		}
		served := request.URL.Path
		if served == "" {
			served = "/"
		}
		// The proof that a client would make for what is served must be the only one that passes.
		for _, path := range []string{target, "/a", "/b", "/"} {
			htu := &url.URL{Scheme: "http", Host: request.Host, Path: path}
			request.Header.Set("Authorization", "DPoP "+token)
			request.Header.Set("DPoP", w.server.Proof(http.MethodGet, fmt.Sprintf("http://%s%s", request.Host, htu.EscapedPath()), token))
			recorder := httptest.NewRecorder()
			w.handler.ServeHTTP(recorder, request)
			if recorder.Code == http.StatusOK {
				require.Equal(t, served, path, "target %q at %q", target, host)
			}
		}
	})
}
