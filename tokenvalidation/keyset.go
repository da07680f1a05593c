package tokenvalidation

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jwks"
	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/verification"
)

// KeySetConfig says whose keys to fetch.
type KeySetConfig struct {
	// Issuer is HelseID's issuer identifier. Required.
	Issuer string

	// HTTPClient fetches HelseID's metadata and keys. Nil means a client that
	// takes the proxy from the environment.
	HTTPClient *http.Client

	// EndpointOrigins are as in [Config].
	EndpointOrigins []string
}

// KeySet is HelseID's key set for code that validates tokens with another
// library: it is an oidc.KeySet of coreos/go-oidc. It is what a [Validator] uses. Keys
// are renewed after 10 minutes and used for 24 hours if HelseID cannot be reached;
// tokens with unknown kids cause two requests at once and then one every five seconds;
// a token with a known kid and a wrong signature causes none.
//
// It is safe for concurrent use.
type KeySet struct {
	keys   *jwks.KeySet
	source *metadata.Source
	client *http.Client

	ownTransport *http.Transport // nil if the caller has supplied a client
}

// NewKeySet checks the configuration and makes no network call: keys are fetched
// when the first token comes. Errors wrap [ErrConfig].
func NewKeySet(config KeySetConfig) (*KeySet, error) {
	issuer, err := config.check()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return newKeySet(issuer, config), nil
}

// check returns the issuer in its normal form and reports all mistakes.
func (c KeySetConfig) check() (issuer string, err error) {
	var errs []error
	issuer = metadata.NormalIssuer(c.Issuer)
	if err := metadata.CheckIssuer(issuer); err != nil {
		errs = append(errs, fmt.Errorf("field Issuer %w", err))
	}
	if _, err := httpx.ParseOrigins("EndpointOrigins", c.EndpointOrigins); err != nil {
		errs = append(errs, err)
	} else if err := httpx.CheckVerified(c.HTTPClient, append([]string{issuer}, c.EndpointOrigins...)...); err != nil {
		errs = append(errs, fmt.Errorf("field HTTPClient: %w", err))
	}
	return issuer, errors.Join(errs...)
}

func newKeySet(issuer string, config KeySetConfig) *KeySet {
	client, ownTransport := httpx.OrNew(config.HTTPClient)
	source := metadata.NewSource(issuer, client, "jwks_uri").Allow(config.EndpointOrigins)
	return &KeySet{jwks.New(source, client), source, client, ownTransport}
}

// Close ends a fetch of keys that is under way, and closes idle connections.
func (s *KeySet) Close() {
	s.keys.Close()
	if s.ownTransport != nil {
		s.ownTransport.CloseIdleConnections()
	}
}

// oidcClaims are what go-oidc reads with encoding/json, which folds case.
var oidcClaims = []string{"iss", "sub", "aud", "exp", "iat", "nbf", "nonce", "at_hash", "_claim_names", "_claim_sources", "events", "jti", "sid"}

// VerifySignature verifies a token's signature and returns its payload. It is not
// a validation: the caller checks issuer, audience, type and times. A payload that two
// parsers could read differently, because a member occurs twice or in another case, is
// refused.
//
// The error is an [*Error], which is an [ErrInvalidToken], or wraps [ErrUnavailable].
// go-oidc's verifier returns its text only: to tell an outage from a forged token,
// wrap this key set in one that looks at the error.
func (s *KeySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := verification.Signature(ctx, s.keys, jwt, oidcClaims...)
	if err != nil {
		return nil, publicError(err)
	}
	return payload, nil
}
