package helseidtest

import (
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
)

// Option changes how a server is started.
type Option interface {
	apply(*options)
}

type option func(*options)

func (f option) apply(o *options) { f(o) }

type options struct {
	path          string
	address       string
	listener      net.Listener // of ServeOn, or made for address
	issuer        string       // that belongs to listener
	inMemory      bool
	tokenLifetime time.Duration

	refreshLifetime time.Duration
	withoutRotation bool
	proofAtPAR      bool
	textBooleans    bool
	relaxed         map[rule.Rule]bool
	loginPage       func(http.ResponseWriter, *http.Request, *PendingLogin)
	startPage       http.Handler

	testTokens   bool
	testTokenKey string

	selvbetjening   *Selvbetjening // nil: there is none
	delegationDelay time.Duration
}

// Path sets the path of the issuer, as HelseID's conformance environment has one.
func Path(path string) Option { return option(func(o *options) { o.path = cleanPath(path) }) }

// ListenOn makes the server listen on this loopback address and port, such as
// "127.0.0.1:8181". With "localhost:8181" the issuer contains that name.
func ListenOn(address string) Option { return option(func(o *options) { o.address = address }) }

// StartPage serves all paths below the issuer that are not endpoints.
func StartPage(handler http.Handler) Option {
	return option(func(o *options) { o.startPage = handler })
}

// InMemory makes a server without a listener. Only [Server.HTTPClient] reaches
// it, and it works inside a testing/synctest bubble.
func InMemory() Option { return option(func(o *options) { o.inMemory = true }) }

// TokenLifetime sets the lifetime of access tokens. The default is ten minutes.
func TokenLifetime(lifetime time.Duration) Option {
	return option(func(o *options) { o.tokenLifetime = lifetime })
}

// DemandProofAtPAR makes PAR require a DPoP proof, with a nonce. By default PAR accepts
// requests without a proof, as HelseID does, and checks the proofs that it gets.
func DemandProofAtPAR() Option { return option(func(o *options) { o.proofAtPAR = true }) }

// TestEnvironmentMetadata writes the metadata members about logout as the text "true"
// instead of true, as HelseID's test environment does.
func TestEnvironmentMetadata() Option { return option(func(o *options) { o.textBooleans = true }) }

// cleanPath normalises the issuer's path.
func cleanPath(path string) string {
	path = strings.Trim(path, "/")
	if path == "" {
		return ""
	}
	return "/" + path
}
