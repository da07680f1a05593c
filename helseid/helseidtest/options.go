package helseidtest

import (
	"net/http"
	"time"
)

// Option changes how a server is started.
type Option func(*options)

type options struct {
	path          string
	address       string
	inMemory      bool
	tokenLifetime time.Duration
	relaxedNonce  bool

	refreshLifetime time.Duration
	withoutRotation bool
	proofAtPAR      bool
	textBooleans    bool
	relaxed         map[Rule]bool
	loginPage       func(http.ResponseWriter, *http.Request, *PendingLogin)
	startPage       http.Handler

	testTokens   bool
	testTokenKey string

	selvbetjening   bool
	keyLifetime     time.Duration
	keyDelay        time.Duration
	manualApproval  bool
	delegationDelay time.Duration
}

// Path gives the issuer a path, as in HelseID's conformance environment.
func Path(path string) Option { return func(o *options) { o.path = cleanPath(path) } }

// ListenOn makes the server listen on this loopback address and port, such as
// "127.0.0.1:8181". With "localhost:8181" the issuer has the name in it, too.
func ListenOn(address string) Option { return func(o *options) { o.address = address } }

// StartPage answers what is below the issuer and no endpoint.
func StartPage(handler http.Handler) Option { return func(o *options) { o.startPage = handler } }

// InMemory makes a server without a listener. Only Server.HTTPClient reaches
// it, and it works inside a testing/synctest bubble.
func InMemory() Option { return func(o *options) { o.inMemory = true } }

// TokenLifetime sets how long access tokens live. The default is ten minutes.
func TokenLifetime(lifetime time.Duration) Option {
	return func(o *options) { o.tokenLifetime = lifetime }
}

// DemandProofAtPAR makes PAR demand a DPoP proof, with a nonce. Otherwise it
// takes requests without one, as HelseID does, and checks those that have one.
func DemandProofAtPAR() Option { return func(o *options) { o.proofAtPAR = true } }

// TestEnvironmentMetadata writes the members about logout as the texts "true"
// instead of true, as HelseID's test environment does.
func TestEnvironmentMetadata() Option { return func(o *options) { o.textBooleans = true } }

// RelaxedNonce makes the token endpoint and PAR accept proofs without a nonce. HelseID
// always demands one.
func RelaxedNonce() Option { return func(o *options) { o.relaxedNonce = true } }
