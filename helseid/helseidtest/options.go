package helseidtest

import "time"

// Option changes how a server is started.
type Option func(*options)

type options struct {
	path          string
	address       string
	inMemory      bool
	tokenLifetime time.Duration
	relaxedNonce  bool
}

// Path gives the issuer a path, as in HelseID's conformance environment.
func Path(path string) Option { return func(o *options) { o.path = cleanPath(path) } }

// ListenOn makes the server listen on this loopback address and port.
func ListenOn(address string) Option { return func(o *options) { o.address = address } }

// InMemory makes a server without a listener. Only Server.HTTPClient reaches
// it, and it works inside a testing/synctest bubble.
func InMemory() Option { return func(o *options) { o.inMemory = true } }

// TokenLifetime sets how long access tokens live. The default is ten minutes.
func TokenLifetime(lifetime time.Duration) Option {
	return func(o *options) { o.tokenLifetime = lifetime }
}

// RelaxedNonce makes the token endpoint accept proofs without a nonce. HelseID
// always demands one.
func RelaxedNonce() Option { return func(o *options) { o.relaxedNonce = true } }
