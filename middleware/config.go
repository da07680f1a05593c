package middleware

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// ErrConfig is wrapped by every error about the configuration.
var ErrConfig = words("middleware: configuration")

// words makes an error whose text may stand in a log. It keeps the name of an
// internal package out of the documentation of errors.
func words(text string) error { return redact.Words(text) }

// outage makes the same of something that is down.
func outage(text string) error { return redact.Outage(text) }

// Config describes an API and the issuer and proxies that it trusts. Issuer and
// Audience are enough to start with; the zero values of the other fields are the strict
// defaults.
type Config struct {
	// Issuer is HelseID's issuer identifier, such as helseid.Test.Issuer().
	// Required, unless Token has an Issuer.
	Issuer string

	// Audience is the API's short name in HelseID, such as "nhn:some-api".
	// Required, unless Token has an Audience.
	Audience string

	// Token refines the validation of access tokens.
	Token tokenvalidation.Config

	// Proof refines the verification of DPoP proofs. If the API runs in more than one
	// process, set its Replay to a store that they share: with the default store,
	// each process accepts the same proof once.
	Proof dpop.VerifierConfig

	// BearerOnly makes the API accept bearer tokens that are not bound to a key, and
	// nothing else. It gives up the protection against stolen tokens and is meant for
	// APIs that have not moved to DPoP. A token that is bound to a key is refused.
	BearerOnly bool

	// PublicURL is the API's address as its clients see it, such as
	// "https://api.example.no/journal". The proof must name its scheme, host and path
	// prefix, followed by the path of the request line. Include a prefix only if a proxy
	// removes it on the way: [http.StripPrefix] in this program does not change the
	// request line.
	//
	// Empty means PublicURLs or, if they are empty too, the request's own scheme and
	// host, corrected by TrustedProxies. Set PublicURL or PublicURLs in production: the
	// caller chooses the Host header, so without them this API would accept a proof
	// that was made for another host and stolen there together with its token.
	PublicURL string

	// PublicURLs are the addresses of an API that has several. A proof must be for the
	// address whose host the request names, in the forwarded host if a trusted proxy
	// reports it, or else in the Host header. A request with any other host is refused.
	// The caller chooses the Host header, but only among these addresses, so a proof
	// for any of them is a proof for this API. An endpoint that must not be callable by
	// all of the addresses needs a [Middleware] of its own, with PublicURL.
	//
	// Two addresses with the same host must have different prefixes, and need
	// PrefixHeader.
	PublicURLs []string

	// TrustedProxies are the addresses of reverse proxies that are trusted to report
	// the original scheme and host. It has no effect with PublicURL, except for
	// ForwardAuth. IPv4 addresses may be written in IPv6 form. A link-local address
	// (fe80::/10) is trusted on every network interface, whatever its zone: list one
	// only if all networks that the machine is connected to are your own.
	TrustedProxies []netip.Prefix

	// TrustUnixSocket trusts every peer that connects over a Unix socket, like one of
	// TrustedProxies. The permissions of the socket's file and folder decide who can
	// connect. The connection is recognised by [http.LocalAddrContextKey], which
	// net/http's server sets. For [Middleware.Decide], the context must hold it.
	TrustUnixSocket bool

	// ForwardedHeader selects the header that the proxies set. They must overwrite it
	// or append to it, and never pass a client's own value on unchanged.
	ForwardedHeader ForwardedHeader

	// HostHeader is the header with the original host, for proxies that do not send
	// X-Forwarded-Host, such as Azure Application Gateway with "X-Original-Host". Empty
	// means X-Forwarded-Host.
	HostHeader string

	// PortHeader and PrefixHeader are the headers with the original port and with the
	// path prefix that a proxy has removed, such as "X-Forwarded-Port" and
	// "X-Forwarded-Prefix". Empty means that they are not read. Name a header only if
	// the proxies set or remove it in every request: most proxies pass unknown headers
	// on as the client sent them. The port replaces the port of the host. If there are
	// several values, the last one counts. With a value that is not a port or a path,
	// no proof is accepted.
	PortHeader, PrefixHeader string

	// ForwardAuth is for an API that a proxy asks about requests to another service
	// (nginx auth_request, Traefik forwardAuth). The method and path are then those in
	// the headers named here, which only TrustedProxies may set.
	ForwardAuth *ForwardAuth

	// Realm is the realm parameter of challenges. Empty means that it is left out.
	Realm string

	// WriteProblem replaces the body of refusals. The challenge headers are already
	// set. The status is problem.Status unless the function writes another one that is
	// not a success. Nil means an application/problem+json document.
	WriteProblem func(w http.ResponseWriter, r *http.Request, problem Problem)

	// Audit, if set, is called with a record of every decision. [AuditLog] makes a
	// function that writes to a [slog.Logger].
	Audit func(ctx context.Context, record Record)
}

// ForwardedHeader selects the header in which proxies report the original request.
type ForwardedHeader int

// The headers that can be selected.
const (
	// XForwarded is the pair X-Forwarded-Proto and X-Forwarded-Host. If there are
	// several values, the last one counts: the nearest proxy has set it.
	XForwarded ForwardedHeader = iota

	// Forwarded is the header of RFC 7239. Its elements are read from the last one
	// backwards, as long as they name trusted proxies.
	Forwarded
)

// Middleware guards handlers. Make one for an API and keep it: it holds the keys, the
// used proofs and the nonces. It is safe for concurrent use.
type Middleware struct {
	config    Config
	validator *tokenvalidation.Validator
	verifier  *dpop.Verifier
	location  location
	algs      string
}

// New checks the configuration and reports all its mistakes at once. It makes no
// network call, so an API can start while HelseID is down; its requests get 503 until
// HelseID's keys are known.
func New(config Config) (*Middleware, error) {
	var errs []error
	token := config.Token
	if token.Issuer == "" {
		token.Issuer = config.Issuer
	}
	if token.Audience == "" {
		token.Audience = config.Audience
	}
	validator, err := tokenvalidation.New(token)
	errs = append(errs, err)
	verifier, err := dpop.NewVerifier(config.Proof)
	errs = append(errs, err)
	location, err := newLocation(config)
	errs = append(errs, err)
	if strings.ContainsFunc(config.Realm, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		errs = append(errs, errors.New("field Realm holds a character that a challenge cannot"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return &Middleware{
		config:    config,
		validator: validator,
		verifier:  verifier,
		location:  location,
		algs:      strings.Join(verifier.Algorithms(), " "),
	}, nil
}

// Close stops the background work of the validator.
func (m *Middleware) Close() { m.validator.Close() }

// Validator returns the middleware's validator, for
// [tokenvalidation.Validator.Snapshot].
func (m *Middleware) Validator() *tokenvalidation.Validator { return m.validator }
