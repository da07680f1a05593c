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

// Config says who the client is. LoadConfig fills the first three fields from
// the file that HelseID Selvbetjening hands out; the rest may stay zero.
type Config struct {
	// Issuer is HelseID's issuer identifier: Production.Issuer(), Test.Issuer(), or
	// another server's. It may have a path; a trailing slash is cut off. It must
	// be https, or http on a loopback host. Required.
	Issuer string

	// ClientID is the client's id, as registered. Required.
	ClientID string

	// Key signs the client assertions. Required.
	Key *clientassertion.Key

	// DPoPKey signs the DPoP proofs. Nil means a fresh P-256 key, which lives in
	// memory as long as the client: tokens are bound to it and die with it.
	DPoPKey *dpop.Key

	// AssertionLifetime is how long a client assertion is valid, 1 to 60 whole
	// seconds. Zero means clientassertion.DefaultLifetime.
	AssertionLifetime time.Duration

	// Tenancy says whether the client serves its own organisation or several.
	// Empty means that each request's organisation decides. With it, a request
	// that does not fit is an error before anything is sent. A user's token (that of
	// a Session) may be for no organisation in either case.
	Tenancy identity.Tenancy

	// Variants choose between forms on which HelseID's sources disagree. The
	// zero value follows the newest.
	Variants clientassertion.Variants

	// MaxTokens is how many tokens are kept in memory, each for one combination
	// of session, scopes, resource, organisation and details. The least recently
	// used are forgotten first, approximately; a session without a refresh token
	// ends with its token then. Zero means 20 000; a token with its surroundings
	// takes about 2 KiB.
	MaxTokens int

	// TokenCache, if set, shares tokens between processes. DPoPKey is required
	// then, the same in all of them: tokens are bound to it.
	TokenCache TokenCache

	// Store, if set, keeps the sessions of users, and their logins, where several
	// processes or one after a restart find them. DPoPKey is required then, the same in all of
	// them: tokens are bound to it. Nil means this process's memory.
	Store Store

	// ResendUnansweredRefreshTokens sends a refresh token again although it is not
	// known whether HelseID has used it up, because an answer or a process was
	// lost. By default the user must log in again: to a server, a refresh token
	// that is used twice looks stolen. An answer of 503 says that the request was
	// not taken, and is not meant here.
	ResendUnansweredRefreshTokens bool

	// BearerUserInfo calls the UserInfo endpoint with the access token alone, as
	// HelseID's page on it shows, in place of a token with a proof (RFC 9449).
	BearerUserInfo bool

	// AllowedOrigins are the origins ("https://api.example.no") of the APIs that
	// the client's tokens may go to, whatever the token request says: that one's
	// AllowedOrigins can narrow the list, and not widen it. It does not make a
	// redirect from one of them to another be followed. HelseID need not be named.
	// Nil means any https origin; a list without an origin is an error.
	AllowedOrigins []string

	// EndpointOrigins are origins ("https://login.example.no") beyond the issuer's
	// own that its metadata may name endpoints at. HelseID needs none: its endpoints
	// are at the issuer. Whoever can write the metadata could send the client's
	// credentials to any of them.
	EndpointOrigins []string

	// HTTPClient sends the requests to HelseID, and its Transport also those to
	// the APIs. It is copied, not changed; its redirect policy and cookies are
	// not used towards HelseID. Nil means a client that takes the proxy from the
	// environment and puts a limit on every wait.
	//
	// An *http.Transport with InsecureSkipVerify, which lets anybody answer in
	// HelseID's name, is an error unless it verifies by itself (VerifyConnection or
	// VerifyPeerCertificate) or the issuer is on loopback; then requests to APIs that
	// are not are errors (ErrInsecureURL). Where private certificates are used, put
	// their authority into RootCAs.
	HTTPClient *http.Client

	// RequestTimeout bounds each request to HelseID that the client authenticates
	// in, and UserInfo. As long may the signatures for a request to HelseID or to an
	// API take, should their signer hang. Zero means 10 seconds. Metadata and keys have a limit of
	// their own, 5 seconds and two retries for metadata.
	RequestTimeout time.Duration

	// APIHeaderTimeout bounds how long an API may be silent, whatever HTTPClient
	// says: how long the headers of an answer may take to come after the request,
	// or a connection, or a part of a large request body to be taken. Neither a long
	// upload nor the body of an answer is cut off. The error is
	// os.ErrDeadlineExceeded, and such a request is not sent again. Zero means 60
	// seconds, a negative duration no limit.
	APIHeaderTimeout time.Duration

	// TokenRetries is how often a token request, a pushed authorization request or
	// a revocation is made anew after a broken connection or an answer of 429 or
	// 5xx, with a growing and random wait in between, and a signature after its signer
	// has failed. In an outage one request of a
	// kind goes out at a time, and its failure counts for all that wait. Zero means
	// 2, a negative number none.
	TokenRetries int

	// Logger, if set, gets a line for what an operator may want to know: tokens
	// fetched (level Debug), retries, scopes that were rejected, tokens that were not
	// renewed in the background, and what goes wrong with sessions and with stores that
	// processes share (Warn). A refusal of HelseID's is an Error if it goes for the
	// client as a whole, Info if a code or a refresh token is spent, else Warn, and so
	// is an API's; a key that does not sign is an Error. Of these, and of renewals,
	// the first of a kind is told at once and then one a minute, with the number that
	// was left out (omitted), the client_id and the kid. No line holds a token, an
	// organisation or anything about a person.
	Logger *slog.Logger

	// OnEvent, if set, is told what the client does, for metrics and traces. It
	// is called from many goroutines and must return quickly.
	// The context is the caller's, with its trace, unless the event says Shared.
	OnEvent func(ctx context.Context, event Event)

	// Registered is what the configuration file says of the client beyond the
	// fields above. A login uses its redirect URIs where it is told no others; the
	// rest is information, and never sent.
	Registered Registration
}

// Registration is a client's registration as far as the configuration file
// tells.
type Registration struct {
	ClientName             string
	GrantTypes             []string
	Scopes                 []string
	RedirectURIs           []string
	PostLogoutRedirectURIs []string
}

// ErrConfig is wrapped by every error about the configuration. Nothing has been
// sent when it occurs.
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
	if c.Key == nil {
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
		errs = append(errs, errors.New("field DPoPKey is required with Store: sessions outlive the process, and so must the key that their tokens are bound to"))
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
