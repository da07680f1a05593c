package helseid

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/metadata"
)

const (
	defaultRequestTimeout = 10 * time.Second
	defaultRetries        = 2
)

// Config says who the client is. LoadConfig fills the first three fields from
// the file that HelseID Selvbetjening hands out; the rest may stay zero.
type Config struct {
	// Issuer is HelseID's issuer identifier: Production.Issuer, Test.Issuer, or
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

	// HTTPClient sends the requests to HelseID, and its Transport also those to
	// the APIs. It is copied, not changed; its redirect policy and cookies are
	// not used towards HelseID. Nil means a client that takes the proxy from the
	// environment and puts a limit on every wait.
	HTTPClient *http.Client

	// RequestTimeout bounds each request to HelseID. Zero means 10 seconds.
	RequestTimeout time.Duration

	// TokenRetries is how often a token request is made anew after a broken
	// connection or an answer of 429 or 5xx, with a growing and random wait in
	// between. Zero means 2, a negative number none.
	TokenRetries int

	// OnEvent, if set, is told what the client does, for metrics and traces. It
	// is called from many goroutines and must return quickly.
	OnEvent func(Event)

	// Registered is what the configuration file says of the client beyond the
	// fields above. It is information: none of it is sent.
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
var ErrConfig = errors.New("helseid: configuration")

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
		errs = append(errs, fmt.Errorf("field Issuer: %w", err))
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
	case c.TokenRetries == 0:
		c.TokenRetries = defaultRetries
	case c.TokenRetries < 0:
		c.TokenRetries = 0
	}
	if c.HTTPClient == nil {
		c.HTTPClient = &http.Client{Transport: httpx.NewTransport()}
	}
	return c, nil
}
