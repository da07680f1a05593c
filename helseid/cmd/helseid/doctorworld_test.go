// The machines of these tests trust an authority by SSL_CERT_FILE, which the other systems
// do not read.

//go:build !windows && !darwin

package main_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/internal/testkit"
	"github.com/helseid-go/sdk/middleware"
)

const (
	demoScope = "nhn:demo-api/read"
	demoAPI   = "https://api.example.no/things"

	proxyPassword = "the-password-of-the-proxy"
)

// authority is a certificate authority that exists in this test only.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	file        string // PEM, for SSL_CERT_FILE
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key := testkit.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{"Example"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der := testkit.Must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	a := &authority{key: key, certificate: testkit.Must(x509.ParseCertificate(der)), file: filepath.Join(t.TempDir(), "authority.pem")}
	require.NoError(t, os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return a
}

// certificate is one for the names.
func (a *authority) issue(notAfter time.Time, names ...string) tls.Certificate {
	key := testkit.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: notAfter.Add(-48 * time.Hour), NotAfter: notAfter,
	}
	der := testkit.Must(x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// doctorWorld is a HelseID and an API on the internet, a proxy on the way to it, and the
// machine of a client. All that the client sends is seen, and each answer can be changed.
type doctorWorld struct {
	t         *testing.T
	server    *helseidtest.Server // at https://helseid.test
	authority *authority
	front     *httptest.Server // with TLS for all hosts
	proxy     *httptest.Server

	// What a mistake changes, before the first request.
	certificate tls.Certificate
	connect     func(w http.ResponseWriter, r *http.Request) bool // the proxy's own answer to CONNECT
	answer      map[string]http.HandlerFunc                       // by host and path, in place of the usual one
	api         http.Handler                                      // at https://api.example.no
	wordless    bool                                              // HelseID's numbers are left out
	environment []string                                          // of the process, beyond the usual
	key         crypto.Signer                                     // of the client

	clientID string
	file     map[string]any
	path     string // of the file

	mu      sync.Mutex
	secrets []string
}

func newDoctorWorld(t *testing.T, opts ...helseidtest.Option) *doctorWorld {
	t.Helper()
	w := &doctorWorld{t: t, authority: newAuthority(t, "Test Root"), answer: map[string]http.HandlerFunc{}, path: filepath.Join(t.TempDir(), "client.json")}
	w.server = helseidtest.NewServer(t, append(opts, helseidtest.InMemory())...)
	w.certificate = w.authority.issue(time.Now().Add(time.Hour), "helseid.test", "other.example.no", "api.example.no", "helseid-sts.test.nhn.no")
	w.secrets = []string{proxyPassword}
	w.api = w.guarded(middleware.Config{Audience: "nhn:demo-api"})

	w.front = httptest.NewUnstartedServer(http.HandlerFunc(w.serve))
	w.front.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &w.certificate, nil }}
	w.front.Config.ErrorLog = log.New(io.Discard, "", 0) //nolint:forbidigo // handshakes that fail on purpose
	w.front.StartTLS()
	t.Cleanup(w.front.Close)
	w.proxy = httptest.NewServer(http.HandlerFunc(w.serveConnect))
	t.Cleanup(w.proxy.Close)
	return w
}

// guarded is an API behind this library's middleware.
func (w *doctorWorld) guarded(config middleware.Config, requirements ...middleware.Requirement) http.Handler {
	config.Issuer = w.server.Issuer()
	config.Token.HTTPClient = w.server.HTTPClient()
	if config.PublicURL == "" {
		config.PublicURL = "https://api.example.no"
	}
	config.Proof.AcceptProofsFromBeforeStart = true
	guard := testkit.Must(middleware.New(config))
	w.t.Cleanup(guard.Close)
	return guard.Require(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"things":[]}`) }, requirements...)
}

// register registers the client and makes its configuration file.
func (w *doctorWorld) register(client helseidtest.Client) {
	options := []helseidtest.ClientOption{client}
	if w.key != nil {
		options = append(options, helseidtest.SigningKey(w.key, keyOptions))
	}
	require.NoError(w.t, json.Unmarshal(w.server.ConfigFile(options...), &w.file))
	w.clientID = w.file["clientId"].(string)
	w.keepKey(w.file["privateJwk"].(string))
}

// keepKey notes what must not be printed of a private key.
func (w *doctorWorld) keepKey(text string) {
	var jwk map[string]string
	if json.Unmarshal([]byte(text), &jwk) == nil {
		for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			w.keep(jwk[name])
		}
		return
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") {
			w.keep(line)
		}
	}
}

func (w *doctorWorld) keep(secret string) {
	if len(secret) < 8 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secrets = append(w.secrets, secret)
}

// serve answers for all hosts.
func (w *doctorWorld) serve(out http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	w.keep(form.Get("client_assertion"))
	w.keep(r.Header.Get("DPoP"))
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	w.keep(token)
	if answer := w.answer[r.Host+r.URL.Path]; answer != nil {
		answer(out, r)
		return
	}
	if r.Host == "api.example.no" {
		w.api.ServeHTTP(out, r)
		return
	}
	response, err := w.ask(r, body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	write(out, response)
}

type received struct {
	status int
	header http.Header
	body   []byte
}

func write(out http.ResponseWriter, response *received) {
	for name, values := range response.header {
		if name != "Content-Length" {
			out.Header()[name] = values
		}
	}
	out.WriteHeader(response.status)
	_, _ = out.Write(response.body)
}

var hidNumber = regexp.MustCompile(`HID-[0-9]{4}`)

// ask passes a request on to the server. Like HelseID, it says in words no more than its
// own numbers.
func (w *doctorWorld) ask(r *http.Request, body []byte) (*received, error) {
	request := testkit.Must(http.NewRequest(r.Method, "https://helseid.test"+r.URL.RequestURI(), bytes.NewReader(body)))
	request.Header = r.Header.Clone()
	response, err := w.server.HTTPClient().Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer := &received{response.StatusCode, response.Header, testkit.Must(io.ReadAll(response.Body))}
	var object map[string]any
	if json.Unmarshal(answer.body, &object) != nil {
		return answer, nil
	}
	if token, ok := object["access_token"].(string); ok {
		w.keep(token)
	}
	if description, ok := object["error_description"].(string); ok && strings.HasPrefix(r.URL.Path, "/connect/") {
		object["error_description"] = hidNumber.FindString(description)
		if w.wordless {
			delete(object, "error_description")
		}
		answer.body = testkit.Must(json.Marshal(object))
	}
	return answer, nil
}

// rewrite changes a JSON document that HelseID answers.
func (w *doctorWorld) rewrite(hostAndPath string, change func(document map[string]any)) {
	w.answer[hostAndPath] = func(out http.ResponseWriter, r *http.Request) {
		response := testkit.Must(w.ask(r, nil))
		var document map[string]any
		if err := json.Unmarshal(response.body, &document); err != nil {
			panic(err)
		}
		change(document)
		response.body = testkit.Must(json.Marshal(document))
		write(out, response)
	}
}

const metadataPath = "helseid.test/.well-known/openid-configuration"

// serveConnect is the proxy.
func (w *doctorWorld) serveConnect(out http.ResponseWriter, r *http.Request) {
	if w.connect != nil && w.connect(out, r) {
		return
	}
	upstream, err := net.Dial("tcp", w.front.Listener.Addr().String())
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer upstream.Close()
	client, _, err := out.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(upstream, client)
		_ = upstream.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(client, upstream)
	_ = client.(*net.TCPConn).CloseWrite()
	<-done
}

// proxied is the environment of a machine that reaches the internet by the proxy alone.
func (w *doctorWorld) proxied() []string {
	return append([]string{
		"HTTPS_PROXY=http://user:" + proxyPassword + "@" + w.proxy.Listener.Addr().String(),
		"SSL_CERT_FILE=" + w.authority.file,
	}, w.environment...)
}

// write writes the configuration file.
func (w *doctorWorld) write(data []byte, mode os.FileMode) {
	require.NoError(w.t, os.WriteFile(w.path, data, mode))
	require.NoError(w.t, os.Chmod(w.path, mode))
}

// doctorStep is one line of doctor -json.
type doctorStep struct {
	Event, Step, Skipped, Note, Problem, Remedy string

	OK       *bool
	Problems int
}

// examine runs the doctor with -json, and again in words. What is printed holds no secret.
func (w *doctorWorld) examine(environment []string, arguments ...string) (steps []doctorStep, words string, exit int) {
	asJSON := run(w.t, environment, nil, append([]string{"doctor", "-json"}, arguments...)...)
	inWords := run(w.t, environment, nil, append([]string{"doctor"}, arguments...)...)
	require.Empty(w.t, asJSON.stderr)
	require.Empty(w.t, inWords.stderr)
	require.Equal(w.t, asJSON.exit, inWords.exit)
	printed := asJSON.stdout + inWords.stdout
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, secret := range w.secrets {
		require.False(w.t, strings.Contains(printed, secret), "a secret of %d characters is printed", len(secret))
	}
	require.Empty(w.t, testkit.FindCredential(printed))
	decoder := json.NewDecoder(strings.NewReader(asJSON.stdout))
	for decoder.More() {
		var step doctorStep
		require.NoError(w.t, decoder.Decode(&step))
		steps = append(steps, step)
	}
	return steps, inWords.stdout, asJSON.exit
}
