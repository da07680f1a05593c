package helseidtest

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest/internal/selvbetjening"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

// inMemoryHost is the host name of a server without a listener. The name is reserved
// (RFC 6761), so a misdirected request reaches no other server.
const inMemoryHost = "https://helseid.test"

// Server is a HelseID in this process. It is safe for concurrent use, also while it
// handles requests.
type Server struct {
	unprintable
	mu     sync.Mutex
	*state // a pointer, so that no print verb reaches tokens, keys and users
}

type state struct {
	issuer   string
	base     string // the issuer's path
	options  options
	handler  http.Handler
	server   *http.Server // nil in memory
	remote   bool         // on a listener of ServeOn
	closed   atomic.Bool
	verifier *dpop.Verifier
	minter   *mint.Minter
	logins   *logins
	self     *selvbetjening.API // or nil

	clients   map[string]*Client
	keys      []*signingKey // published, the signing one last
	nextKey   int
	usedJTI   map[string]time.Time
	nonces    map[string]time.Time
	lastNonce string
	nonceEach bool
	clockSkew time.Duration
	faults    []*Fault
	requests  []*Request
	mounted   map[string]http.Handler
	users     []User
	apis      map[string]API

	alterIDTokens     []mint.TokenOption
	alterAccessTokens []mint.TokenOption
	alterResponse     []func(map[string]any)
	alterCallback     func(url.Values)
}

// NewServer starts a server that is closed when the test ends.
func NewServer(t testing.TB, opts ...Option) *Server {
	t.Helper()
	server, err := Start(opts...)
	if err != nil {
		t.Fatalf("helseidtest: %v", err)
	}
	t.Cleanup(server.Close)
	return server
}

// Start starts a server outside of a test. It listens on a free port of 127.0.0.1
// unless an option says otherwise. The caller must close it.
func Start(opts ...Option) (*Server, error) {
	server := &Server{state: &state{
		options: options{
			tokenLifetime: 10 * time.Minute, refreshLifetime: defaultRefreshLifetime, address: "127.0.0.1:0",
		},
		logins:  newLogins(),
		apis:    make(map[string]API),
		clients: make(map[string]*Client),
		usedJTI: make(map[string]time.Time),
		nonces:  make(map[string]time.Time),
	}}
	for _, option := range opts {
		option.apply(&server.options)
	}
	for _, user := range builtInUsers() {
		if err := server.AddUser(user); err != nil {
			return nil, err
		}
	}
	var err error
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
	server.remote = server.options.listener != nil
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

// build makes the handlers when the issuer is known.
func (s *Server) build() error {
	if s.options.testTokens && s.options.testTokenKey == "" {
		return errors.New("helseidtest: TestTokens needs a key")
	}
	var err error
	if s.minter, err = s.newMinter(); err != nil {
		return err
	}
	if err := s.startSelvbetjening(); err != nil {
		return fmt.Errorf("helseidtest: %w", err)
	}
	s.handler = s.routes()
	return nil
}

// Close stops the server and closes its connections: later requests fail as where nobody
// listens, also in memory. Handlers of [Server.Mount] still answer.
func (s *Server) Close() {
	s.closed.Store(true)
	if s.server != nil {
		_ = s.server.Close()
	}
	if s.self != nil {
		s.self.Close()
	}
}

// Issuer returns the server's issuer identifier.
func (s *Server) Issuer() string { return s.issuer }

// HTTPClient returns a client that reaches the server. For a server in memory it is the
// only way to reach it. With [ServeOn] it needs neither the listener nor its certificate,
// and reaches others as usual. Otherwise it is an ordinary client.
func (s *Server) HTTPClient() *http.Client {
	switch {
	case s.server == nil:
		return &http.Client{Transport: memoryTransport{s}}
	case s.remote:
		return &http.Client{Transport: ownFirst{s}}
	}
	return &http.Client{}
}

// Mount serves a handler, such as an API under test, at https://host for the
// [Server.HTTPClient] of a server in memory. If the handler uses a middleware of this
// SDK, set its PublicURL: requests look like plain http ones to the handler.
func (s *Server) Mount(host string, handler http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mounted == nil {
		s.mounted = make(map[string]http.Handler)
	}
	s.mounted[host] = handler
}

// Now returns the server's time, which [Server.SetClockSkew] changes.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.clockSkew)
}

// SetClockSkew makes the server's clock run ahead of the real one, or behind it if skew
// is negative.
func (s *Server) SetClockSkew(skew time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clockSkew = skew
}
