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

// Config says what an API is and whom it trusts. Issuer and Audience are
// enough to start with; the zero values of the rest are the strict defaults.
type Config struct {
	// Issuer is HelseID's issuer identifier, such as helseid.Test.Issuer().
	// Required, unless Token.Issuer is set.
	Issuer string

	// Audience is the API's short name in HelseID, such as "nhn:some-api".
	// Required, unless Token.Audience is set.
	Audience string

	// Token refines the validation of access tokens.
	Token tokenvalidation.Config

	// Proof refines the verification of DPoP proofs. If the API runs in more
	// than one process, set Proof.Replay to a store that they share: with the
	// default one each process accepts a proof once.
	Proof dpop.VerifierConfig

	// BearerOnly makes the API take unbound bearer tokens, and nothing else. It
	// gives up the protection against stolen tokens: it is for APIs that have
	// not moved to DPoP. A token that is bound to a key is refused.
	BearerOnly bool

	// PublicURL is the API's address as its clients see it, such as
	// "https://api.example.no/journal": its scheme, host and path prefix stand
	// before the path of each request when that is compared with the proof.
	// The prefix is put before the path as it was received, also inside
	// http.StripPrefix: name it only if the proxy takes it off.
	//
	// Empty means PublicURLs or, if they are empty too, the request's own scheme and
	// host, as TrustedProxies correct them. Set one of them in production: the Host
	// header is the caller's to choose, so without them a proof that was made for
	// another host, and stolen there together with its token, would pass here.
	PublicURL string

	// PublicURLs are the addresses of an API that has several. A proof must be for
	// the one that the request came by: the one of its host, which is the forwarded
	// one if a trusted proxy says so, or else that of the Host header. A request by
	// any other host is refused. The Host header is the caller's to choose, but among
	// these alone: a proof for any of them is one for this API. What must not be called
	// by another of its addresses needs a Middleware of its own, with PublicURL.
	//
	// Two addresses of one host must differ in their prefixes, and need PrefixHeader.
	PublicURLs []string

	// TrustedProxies are the addresses of reverse proxies whose word on the
	// original scheme and host is taken. It has no effect with PublicURL, except
	// for ForwardAuth. IPv4 addresses may be written in IPv6 form. A link-local address
	// (fe80::/10) counts whatever its zone, which is the network interface: name one
	// only if all networks that the machine is on are your own.
	TrustedProxies []netip.Prefix

	// TrustUnixSocket takes the word of whoever connects over a Unix socket, like that
	// of TrustedProxies: who can is decided by the permissions of its file and folder.
	// It goes by http.LocalAddrContextKey, which net/http's server sets.
	TrustUnixSocket bool

	// ForwardedHeader says which header the proxies set. They must overwrite or
	// append to it, never pass on a client's own.
	ForwardedHeader ForwardedHeader

	// HostHeader is the header with the original host, of proxies that do not send
	// X-Forwarded-Host, which empty means: "X-Original-Host" of Azure Application
	// Gateway.
	HostHeader string

	// PortHeader and PrefixHeader are the headers with the original port and with the
	// path prefix that a proxy has taken off, such as "X-Forwarded-Port" and
	// "X-Forwarded-Prefix". Empty means that they are not read. Name only what the
	// proxies set or remove themselves in each request: most pass on what they do not
	// know, as the client has sent it. The port takes the place of the host's own. Of
	// several values the last counts; one that is no port or path fits no proof.
	PortHeader, PrefixHeader string

	// ForwardAuth is for an API that a proxy asks about requests to something
	// else (nginx auth_request, Traefik forwardAuth): the method and path are
	// then those in the headers named here, which only TrustedProxies may set.
	ForwardAuth *ForwardAuth

	// Realm is the realm parameter of challenges. Empty leaves it out.
	Realm string

	// WriteProblem replaces the body of refusals. The challenge headers are set
	// already, and the status is problem.Status unless it writes another one that is
	// no success. Nil means an application/problem+json document.
	WriteProblem func(w http.ResponseWriter, r *http.Request, problem Problem)

	// Audit, if set, gets a record of every decision. AuditLog makes one that
	// writes to an slog.Logger.
	Audit func(ctx context.Context, record Record)
}

// ForwardedHeader names the header in which proxies report the original
// request.
type ForwardedHeader int

// The headers.
const (
	// XForwarded is the pair X-Forwarded-Proto and X-Forwarded-Host. Of several
	// values the last counts: it is the nearest proxy's own.
	XForwarded ForwardedHeader = iota

	// Forwarded is the header of RFC 7239. Its elements are read from the last
	// one back for as long as they name trusted proxies.
	Forwarded
)

// Middleware guards handlers. Make one for an API and keep it: the keys, the
// used proofs and the nonces are in it. It is safe for concurrent use.
type Middleware struct {
	config    Config
	validator *tokenvalidation.Validator
	verifier  *dpop.Verifier
	location  location
	algs      string
}

// New checks the configuration and reports all its mistakes at once. It makes
// no network call, so an API starts while HelseID is down; its requests get 503
// until HelseID's keys are known.
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

// Close ends what runs in the background.
func (m *Middleware) Close() { m.validator.Close() }

// Validator is the middleware's own, for its Snapshot.
func (m *Middleware) Validator() *tokenvalidation.Validator { return m.validator }
