package helseidtest

import (
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

// Path gives the issuer a path, as in HelseID's conformance environment.
func Path(path string) Option { return option(func(o *options) { o.path = cleanPath(path) }) }

// ListenOn makes the server listen on this loopback address and port, such as
// "127.0.0.1:8181". With "localhost:8181" the issuer has the name in it, too.
func ListenOn(address string) Option { return option(func(o *options) { o.address = address }) }

// StartPage answers what is below the issuer and no endpoint.
func StartPage(handler http.Handler) Option {
	return option(func(o *options) { o.startPage = handler })
}

// InMemory makes a server without a listener. Only [Server.HTTPClient] reaches
// it, and it works inside a testing/synctest bubble.
func InMemory() Option { return option(func(o *options) { o.inMemory = true }) }

// TokenLifetime sets how long access tokens live. The default is ten minutes.
func TokenLifetime(lifetime time.Duration) Option {
	return option(func(o *options) { o.tokenLifetime = lifetime })
}

// DemandProofAtPAR makes PAR demand a DPoP proof, with a nonce. Otherwise it
// takes requests without one, as HelseID does, and checks those that have one.
func DemandProofAtPAR() Option { return option(func(o *options) { o.proofAtPAR = true }) }

// TestEnvironmentMetadata writes the members about logout as the texts "true"
// instead of true, as HelseID's test environment does.
func TestEnvironmentMetadata() Option { return option(func(o *options) { o.textBooleans = true }) }

// cleanPath trims and completes the issuer's path.
func cleanPath(path string) string {
	path = strings.Trim(path, "/")
	if path == "" {
		return ""
	}
	return "/" + path
}
