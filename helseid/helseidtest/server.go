package helseidtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/middleware"
)

// Endpoint names an endpoint of the server.
type Endpoint string

// The endpoints, by their paths below the issuer.
const (
	EndpointMetadata Endpoint = "/.well-known/openid-configuration"
	EndpointJWKS     Endpoint = "/.well-known/openid-configuration/jwks"
	EndpointToken    Endpoint = "/connect/token"

	EndpointPAR           Endpoint = "/connect/par"
	EndpointAuthorize     Endpoint = "/connect/authorize"
	EndpointLogin         Endpoint = "/login" // with LoginPage
	EndpointUserInfo      Endpoint = "/connect/userinfo"
	EndpointRevocation    Endpoint = "/connect/revocation"
	EndpointEndSession    Endpoint = "/connect/endsession"
	EndpointAvailableIDPs Endpoint = "/connect/availableidps"
)

// inMemoryHost is where a server without a listener claims to be. The name is
// reserved (RFC 6761), so a request that goes astray reaches nobody.
const inMemoryHost = "https://helseid.test"

// Server is a HelseID in this process. It is safe for concurrent use, also
// while it serves.
type Server struct {
	unprintable
	mu     sync.Mutex
	*state // so that no print verb reaches the tokens, keys and users in it
}

type state struct {
	issuer   string
	base     string // the issuer's path
	options  options
	handler  http.Handler
	server   *http.Server // nil in memory
	verifier *dpop.Verifier
	proofKey *mintingKey
	logins   *logins
	guard    *middleware.Middleware // of Selvbetjening, or nil

	clients   map[string]*Client
	drafts    map[string]*Client // that wait for a person to confirm them
	keys      []*mintingKey      // published, the signing one last
	nextKey   int
	usedJTI   map[string]time.Time
	nonces    map[string]time.Time
	lastNonce string
	nonceEach bool
	clockSkew time.Duration
	faults    []*Fault
	requests  []Request
	mounted   map[string]http.Handler
	users     []User
	apis      map[string]API

	alterIDTokens     []TokenOption
	alterAccessTokens []TokenOption
	alterResponse     []func(map[string]any)
	alterCallback     func(url.Values)
}

// NewServer starts a server that ends with the test.
func NewServer(t testing.TB, opts ...Option) *Server {
	t.Helper()
	server, err := Start(opts...)
	if err != nil {
		t.Fatalf("helseidtest: %v", err)
	}
	t.Cleanup(server.Close)
	return server
}

// Start starts a server outside of a test. It listens on a free port of
// 127.0.0.1 unless an option says otherwise. Close it.
func Start(opts ...Option) (*Server, error) {
	server := &Server{state: &state{
		options: options{
			tokenLifetime: 10 * time.Minute, refreshLifetime: defaultRefreshLifetime, keyLifetime: DefaultKeyLifetime, address: "127.0.0.1:0",
		},
		logins:  newLogins(),
		apis:    make(map[string]API),
		clients: make(map[string]*Client),
		drafts:  make(map[string]*Client),
		usedJTI: make(map[string]time.Time),
		nonces:  make(map[string]time.Time),
	}}
	for _, option := range opts {
		option(&server.options)
	}
	for _, user := range builtInUsers() {
		if err := server.AddUser(user); err != nil {
			return nil, err
		}
	}
	var err error
	if server.proofKey, err = newProofKey(); err != nil {
		return nil, err
	}
	server.verifier, err = dpop.NewVerifier(dpop.VerifierConfig{
		Time: server.Now,
		// Nothing was used here before, and the clocks of tests are moved.
		AcceptProofsFromBeforeStart: true,
	})
	if err != nil {
		return nil, err
	}
	if err := server.RotateKey(); err != nil {
		return nil, err
	}
	server.keys = server.keys[len(server.keys)-1:]
	server.base = server.options.path
	if server.options.inMemory {
		server.issuer = inMemoryHost + server.base
		err = server.build()
	} else {
		err = server.listen()
	}
	if err != nil {
		return nil, err
	}
	return server, nil
}

// build makes the handlers, once the issuer is known.
func (s *Server) build() error {
	if s.options.testTokens && s.options.testTokenKey == "" {
		return errors.New("helseidtest: TestTokens needs a key")
	}
	if s.options.selvbetjening {
		if err := s.guardSelvbetjening(); err != nil {
			return fmt.Errorf("helseidtest: %w", err)
		}
	}
	s.handler = s.routes()
	return nil
}

func (s *Server) listen() error {
	host, _, err := net.SplitHostPort(s.options.address)
	if err != nil || !httpx.IsLoopback(host) {
		return errors.New("helseidtest: the server listens on loopback addresses only, such as 127.0.0.1:0")
	}
	listener, err := net.Listen("tcp", s.options.address)
	if err != nil {
		return fmt.Errorf("helseidtest: %w", err)
	}
	address := listener.Addr().(*net.TCPAddr)
	if !address.IP.IsLoopback() {
		_ = listener.Close()
		return errors.New("helseidtest: localhost is another machine's name here")
	}
	s.issuer = "http://" + net.JoinHostPort(host, strconv.Itoa(address.Port)) + s.base
	if err := s.build(); err != nil {
		_ = listener.Close()
		return err
	}
	s.server = &http.Server{Handler: onLoopback(s.handler), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.server.Serve(listener) }()
	return nil
}

// onLoopback refuses requests for another name, which leads here only if somebody
// has made it: a page of theirs in the developer's browser could otherwise read what
// the server answers (DNS rebinding).
func onLoopback(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if !httpx.IsLoopback(strings.Trim(host, "[]")) {
			http.Error(w, "use the address that the server listens on", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Close ends the server and its connections.
func (s *Server) Close() {
	if s.server != nil {
		_ = s.server.Close()
	}
	if s.guard != nil {
		s.guard.Close()
	}
}

// Issuer is the server's issuer identifier.
func (s *Server) Issuer() string { return s.issuer }

// HTTPClient returns a client that reaches the server: for one in memory the
// only way to it, for others an ordinary client.
func (s *Server) HTTPClient() *http.Client {
	if s.server == nil {
		return &http.Client{Transport: memoryTransport{s}}
	}
	return &http.Client{}
}

// Mount makes a handler, such as an API under test, answer at https://host for
// the HTTPClient of a server in memory. The handler must see requests as TLS
// ones: an API with a middleware of this SDK sets its PublicURL.
func (s *Server) Mount(host string, handler http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mounted == nil {
		s.mounted = make(map[string]http.Handler)
	}
	s.mounted[host] = handler
}

// Now is the server's time, which SetClockSkew moves.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.clockSkew)
}

// SetClockSkew makes the server's clock run ahead of the real one, or behind.
func (s *Server) SetClockSkew(skew time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clockSkew = skew
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(endpoint Endpoint, handler http.HandlerFunc) {
		mux.Handle(s.base+string(endpoint), s.observed(endpoint, handler))
	}
	handle(EndpointMetadata, s.serveMetadata)
	handle(EndpointJWKS, s.serveJWKS)
	handle(EndpointToken, s.serveToken)
	handle(EndpointPAR, s.servePAR)
	handle(EndpointAuthorize, s.serveAuthorize)
	handle(EndpointUserInfo, s.serveUserInfo)
	handle(EndpointRevocation, s.serveRevocation)
	handle(EndpointEndSession, s.serveEndSession)
	handle(EndpointAvailableIDPs, s.serveAvailableIDPs)
	if s.options.loginPage != nil {
		handle(EndpointLogin, s.serveLogin)
	}
	if s.options.testTokens {
		handle(EndpointTestToken, s.serveTestToken)
	}
	if s.options.selvbetjening {
		handlers := s.selvbetjeningRoutes()
		for endpoint, handler := range handlers {
			handle(endpoint, handler)
		}
		for older, endpoint := range olderPaths {
			mux.Handle(s.base+older, s.observed(endpoint, handlers[endpoint]))
		}
	}
	if s.options.startPage != nil {
		mux.Handle(s.base+"/", s.options.startPage)
	}
	return mux
}

// observed puts the server's date and the injected faults before a handler.
func (s *Server) observed(endpoint Endpoint, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", s.Now().UTC().Format(http.TimeFormat))
		w.Header().Set("Cache-Control", "no-store")
		// The body is read first: a fault strikes after the server has had the
		// credentials, which is when it is dangerous.
		s.recordRequest(endpoint, r)
		if fault := s.takeFault(endpoint); fault != nil {
			fault.serve(w, r, next)
			return
		}
		next(w, r)
	})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

// path trims and completes the issuer's path.
func cleanPath(path string) string {
	path = strings.Trim(path, "/")
	if path == "" {
		return ""
	}
	return "/" + path
}
