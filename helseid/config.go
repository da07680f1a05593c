package helseid

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/metadata"
)

const (
	defaultRequestTimeout = 10 * time.Second
	defaultRetries        = 2
	defaultMaxTokens      = 20_000
)

// Config is the configuration of a client. [LoadConfig] fills Issuer, ClientID and
// Key from the file that HelseID Selvbetjening hands out; the rest may stay zero.
type Config struct {
	// Issuer is HelseID's issuer identifier: Production.Issuer(), Test.Issuer(), or
	// that of another server. It may have a path; a trailing slash is removed. It
	// must be https, or http on a loopback host. Required.
	Issuer string

	// ClientID is the client's id, as registered. Required.
	ClientID string

	// Key signs the client assertions. Required, unless there is a KeySource.
	Key *clientassertion.Key

	// KeySource, if set, gives the key in place of Key, which is not used then: a
	// [KeyFile], or a rotation of package selvbetjening. It is asked before each
	// assertion, so that a key can be replaced while the client runs: its tokens, its
	// sessions and what has been made of it stay.
	KeySource clientassertion.KeySource

	// DPoPKey signs the DPoP proofs. Nil means a new P-256 key that exists only in
	// this client's memory: tokens are bound to it and cannot be used without it.
	DPoPKey *dpop.Key

	// AssertionLifetime is how long a client assertion is valid, 1 to 60 whole
	// seconds. Zero means 10 seconds.
	AssertionLifetime time.Duration

	// Tenancy says whether the client serves its own organisation or several. If it
	// is set, a request that does not fit it fails before anything is sent. Empty
	// means that each request's organisation decides. In either case a user's token
	// (that of a [Session]) may be for no organisation.
	Tenancy identity.Tenancy

	// Variants choose between forms on which HelseID's sources disagree. The zero
	// value follows the newest source.
	Variants clientassertion.Variants

	// MaxTokens is how many tokens are kept in memory, one for each combination of
	// session, scopes, resource, organisation and details. If there are more,
	// approximately the least recently used are dropped. A session without a refresh
	// token ends when its token is dropped. Zero means 20 000; one token takes about
	// 2 KiB with its bookkeeping.
	MaxTokens int

	// TokenCache, if set, shares tokens between processes. It requires DPoPKey, the
	// same in all processes, because tokens are bound to it.
	TokenCache TokenCache

	// Store, if set, keeps users' sessions and logins, so that other processes, and
	// this one after a restart, can use them. It requires DPoPKey, the same in all
	// processes, because tokens are bound to it; that holds for a [MemoryStore], too,
	// which clients in one process can share. Nil means this client's memory.
	Store Store

	// ResendUnansweredRefreshTokens allows a refresh token to be sent again when it
	// is not known whether HelseID has used it up, because an answer or a process was
	// lost. By default the user must log in again instead: to a server, a refresh
	// token that is used twice looks stolen. After an answer of 503, which says that
	// the request was not processed, the token is sent again in either case.
	ResendUnansweredRefreshTokens bool

	// BearerUserInfo calls the UserInfo endpoint with the access token alone, as
	// HelseID's page on UserInfo shows, instead of with a DPoP proof (RFC 9449).
	BearerUserInfo bool

	// AllowedOrigins are the origins ("https://api.example.no") of the APIs that the
	// client's tokens may be sent to. [TokenRequest.AllowedOrigins] can narrow this
	// list but not widen it. The list does not permit redirects from one of its
	// origins to another. HelseID need not be named. Nil means any https origin; a
	// list without an origin is an error.
	AllowedOrigins []string

	// EndpointOrigins are additional origins ("https://login.example.no") at which
	// the metadata may name endpoints, beside the issuer's own. HelseID needs none:
	// its endpoints are at the issuer. Anyone who can change the metadata can have
	// the client's credentials sent to any of these origins.
	EndpointOrigins []string

	// HTTPClient sends the requests to HelseID, and its Transport also those to the
	// APIs. It is copied, not changed. Its redirect policy and cookies are not used
	// for HelseID. Nil means a client that takes the proxy from the environment and
	// limits every wait.
	//
	// An [*http.Transport] with InsecureSkipVerify lets anyone impersonate HelseID.
	// It is an error unless the transport verifies certificates itself
	// (VerifyConnection or VerifyPeerCertificate) or the issuer is on loopback; in
	// the latter case, requests to APIs that are not on loopback fail
	// ([ErrInsecureURL]). For private certificates, put their authority into RootCAs.
	HTTPClient *http.Client

	// RequestTimeout limits each request to HelseID that the client authenticates in,
	// and each request to UserInfo. The signatures for a request to HelseID or to an
	// API may take the same time in all. Zero means 10 seconds. Metadata and keys
	// have a limit of their own: 5 seconds, with two retries for metadata.
	RequestTimeout time.Duration

	// APIHeaderTimeout limits how long an API may be silent, independently of
	// HTTPClient: while a connection is made, while the API accepts no more of a
	// large request body, and between the end of the request and the headers of the
	// answer. It does not interrupt a long upload that makes progress, or the body of
	// an answer. The error is [os.ErrDeadlineExceeded], and the request is not sent
	// again. Zero means 60 seconds, a negative duration no limit.
	APIHeaderTimeout time.Duration

	// TokenRetries is how often a token request, a pushed authorization request or a
	// revocation is retried after a broken connection or an answer of 429 or 5xx, and
	// how often a signature is retried after its signer has failed. The wait between
	// attempts grows and is partly random. In an outage only one request of a kind is
	// sent at a time, and its failure counts for all that wait. Zero means 2, a
	// negative number none.
	TokenRetries int

	// Logger, if set, gets a line for what an operator may want to know: tokens
	// fetched (level Debug); retries, rejected scopes, tokens that were not renewed
	// in the background, and failures of sessions and shared stores (Warn). A refusal
	// by HelseID is an Error if it concerns the client as a whole, Info if a code or
	// a refresh token is used up or has expired, otherwise Warn. A refusal by an API
	// is a Warn. A key that does not sign is an Error. For refusals, key failures and
	// renewals, the first line of each kind is written at once and then at most one a
	// minute, with the number of lines left out (omitted), the client_id and the kid.
	// No line holds a token, an organisation or anything about a person.
	Logger *slog.Logger

	// OnEvent, if set, is called for each [Event], for metrics and traces. It is
	// called from many goroutines and must return quickly. The context is the
	// caller's, with its trace, unless [Event.Shared] is set.
	OnEvent func(ctx context.Context, event Event)

	// Tracer, if set, makes spans of token requests and round trips.
	Tracer Tracer

	// Registered is what the configuration file says about the client beyond the
	// fields above. A login uses its redirect URIs if the request names none; the
	// rest is information and never sent.
	Registered Registration
}

// Registration is a client's registration, as far as the configuration file states
// it.
type Registration struct {
	ClientName             string
	GrantTypes             []string
	Scopes                 []string
	RedirectURIs           []string
	PostLogoutRedirectURIs []string
}

// ErrConfig is wrapped by every error about the configuration or a request's fields.
// When it occurs, nothing has been sent.
var ErrConfig = words("helseid: configuration")

// configError joins the mistakes found.
func configError(errs []error) error {
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// checked returns the configuration with its defaults filled in.
func (c Config) checked() (Config, error) {
	var errs []error
	c.Issuer = metadata.NormalIssuer(c.Issuer)
	if err := metadata.CheckIssuer(c.Issuer); err != nil {
		errs = append(errs, fmt.Errorf("field Issuer %w", err))
	}
	if strings.TrimSpace(c.ClientID) == "" {
		errs = append(errs, errors.New("field ClientID is required: the id of the client in HelseID Selvbetjening"))
	}
	if c.Key == nil && c.KeySource == nil {
		errs = append(errs, errors.New("field Key is required: make it with clientassertion.ParseKey, or load a configuration file"))
	}
	if c.AssertionLifetime != 0 && (c.AssertionLifetime < time.Second || c.AssertionLifetime > clientassertion.MaxLifetime ||
		c.AssertionLifetime%time.Second != 0) {
		errs = append(errs, fmt.Errorf("field AssertionLifetime is %v: it must be 1s to %v in whole seconds", c.AssertionLifetime, clientassertion.MaxLifetime))
	}
	if c.Tenancy != "" && c.Tenancy != identity.SingleTenant && c.Tenancy != identity.MultiTenant {
		errs = append(errs, fmt.Errorf("field Tenancy: use %q or %q", identity.SingleTenant, identity.MultiTenant))
	}
	if c.TokenCache != nil && c.DPoPKey == nil {
		errs = append(errs, errors.New("field DPoPKey is required with TokenCache: tokens outlive the process, and so must the key that they are bound to"))
	}
	if c.Store != nil && c.DPoPKey == nil {
		errs = append(errs, errors.New("field DPoPKey is required with Store: sessions outlive the process, and so must the key that their tokens are bound to; leave Store out to keep sessions in this client's memory"))
	}
	origins, err := httpx.ParseOrigins("AllowedOrigins", c.AllowedOrigins)
	errs = append(errs, err)
	c.AllowedOrigins = origins
	if _, err := httpx.ParseOrigins("EndpointOrigins", c.EndpointOrigins); err != nil {
		errs = append(errs, err)
	} else if err := httpx.CheckVerified(c.HTTPClient, append([]string{c.Issuer}, c.EndpointOrigins...)...); err != nil {
		errs = append(errs, fmt.Errorf("field HTTPClient: %w", err))
	}
	if c.MaxTokens < 0 {
		errs = append(errs, errors.New("field MaxTokens is negative"))
	}
	if c.RequestTimeout < 0 {
		errs = append(errs, errors.New("field RequestTimeout is negative"))
	}
	if err := configError(errs); err != nil {
		return Config{}, err
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = defaultRequestTimeout
	}
	switch {
	case c.APIHeaderTimeout == 0:
		c.APIHeaderTimeout = defaultAPIHeaderTimeout
	case c.APIHeaderTimeout < 0:
		c.APIHeaderTimeout = 0
	}
	switch {
	case c.TokenRetries == 0:
		c.TokenRetries = defaultRetries
	case c.TokenRetries < 0:
		c.TokenRetries = 0
	}
	if c.MaxTokens == 0 {
		c.MaxTokens = defaultMaxTokens
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
