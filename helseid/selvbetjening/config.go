package selvbetjening

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/httpx"
)

const (
	defaultTimeout = 30 * time.Second
	defaultRetries = 2
)

// ErrConfig is wrapped by every error about the configuration. It is also a
// [helseid.ErrConfig].
var ErrConfig = fmt.Errorf("selvbetjening: %w", helseid.ErrConfig)

// Config says whose registration it is about. Client is enough in HelseID's test and
// production environments.
type Config struct {
	// Client is the client whose registration is read and changed. It must have been
	// granted [Scope], and AllowedOrigins of its [helseid.Config], if set, must name the
	// API's origin. Required.
	Client *helseid.Client

	// BaseURL is the address that the paths of Norsk helsenett's documentation, such as
	// /v1/client, follow. Empty means the SelvbetjeningURL of the client's environment,
	// [helseid.Production] or [helseid.Test], which have no other. Set it for clients of
	// another server, for instance to helseidtest.Server.SelvbetjeningURL; it must be https,
	// or http on a loopback host, and not the address of an environment of HelseID's.
	BaseURL string

	// Organization is the organisation that the token names. The context of a call does
	// not choose it. A single-tenant client leaves it empty.
	//
	// Whether a multi-tenant client must name one for [Scope] is not documented. Empty
	// names none, as Norsk helsenett's libraries for .NET and Java do. If HelseID refuses
	// that with HID-1007, as helseidtest does, name an organisation that has delegated to
	// the supplier, and another one when it ends its delegation (HID-1001).
	Organization clientassertion.Organization

	// JWKAsText sends a new key as a JSON string that holds the JWK, as Norsk helsenett's
	// sample for Selvbetjening does, and not as a JSON object, as its libraries for .NET
	// and Java do.
	JWKAsText bool

	// Timeout bounds each attempt at a request, the token for it included. Zero means 30
	// seconds.
	Timeout time.Duration

	// Retries is how often a read is tried again after a broken connection or an answer of
	// 429 or 5xx, with a growing wait of two seconds at most in between. What changes
	// something is sent once. Zero means 2, a negative number none.
	Retries int
}

// checked returns the configuration with its defaults filled in, and the API's address.
func (c Config) checked() (Config, *url.URL, error) {
	var (
		errs []error
		base *url.URL
	)
	if c.Client == nil {
		errs = append(errs, errors.New("field Client is required: make it with helseid.New"))
	} else {
		var err error
		if base, err = c.base(); err != nil {
			errs = append(errs, fmt.Errorf("field BaseURL %w", err))
		} else if err := c.Client.Validate(c.tokenRequest(base)); err != nil {
			errs = append(errs, err)
		}
	}
	if c.Timeout < 0 {
		errs = append(errs, errors.New("field Timeout is negative"))
	}
	if err := errors.Join(errs...); err != nil {
		return Config{}, nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	switch {
	case c.Retries == 0:
		c.Retries = defaultRetries
	case c.Retries < 0:
		c.Retries = 0
	}
	return c, base, nil
}

// base finds the API's address. A client of one environment never calls the API of
// another: a test that replaced the registration of a client in production, or a token
// of production's that went elsewhere, could not be taken back.
func (c Config) base() (*url.URL, error) {
	issuer, err := url.Parse(c.Client.Issuer())
	if err != nil {
		return nil, errors.New("cannot be told from the client's issuer")
	}
	text := strings.TrimRight(c.BaseURL, "/")
	environments := []helseid.Environment{helseid.Production, helseid.Test}
	for _, environment := range environments {
		if text == "" && sameOrigin(issuer, environment.Issuer()) {
			text = environment.SelvbetjeningURL()
		}
	}
	if text == "" {
		return nil, fmt.Errorf("is required: the client's issuer %s is neither HelseID's test environment nor production", c.Client.Issuer())
	}
	base, err := url.Parse(text)
	if err != nil || base.Host == "" || base.User != nil || strings.ContainsAny(text, "?#") {
		return nil, errors.New("must be an absolute URL without user, query and fragment")
	}
	if err := httpx.CheckSecure(base); err != nil {
		return nil, fmt.Errorf("cannot be used: %w", err)
	}
	for _, environment := range environments {
		if sameOrigin(base, environment.SelvbetjeningURL()) != sameOrigin(issuer, environment.Issuer()) {
			return nil, fmt.Errorf("is of another environment than the client, whose issuer is %s: clients of %s call %s and nothing else, and no others do",
				c.Client.Issuer(), environment.Issuer(), environment.SelvbetjeningURL())
		}
	}
	return base, nil
}

func sameOrigin(u *url.URL, text string) bool {
	other, err := url.Parse(text)
	return err == nil && httpx.Origin(u) == httpx.Origin(other)
}

// tokenRequest asks for a token that goes to the API and nowhere else.
func (c Config) tokenRequest(base *url.URL) helseid.TokenRequest {
	return helseid.TokenRequest{
		Scopes:         []string{Scope},
		Organization:   c.Organization,
		AllowedOrigins: []string{httpx.Origin(base)},
	}
}
