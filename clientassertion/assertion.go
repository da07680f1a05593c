package clientassertion

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/helseid-go/sdk/internal/jose"
)

const (
	// Type is the value of the parameter client_assertion_type (RFC 7523).
	Type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

	// DefaultLifetime is how long an assertion is valid unless configured.
	DefaultLifetime = 10 * time.Second

	// MaxLifetime is the longest that HelseID accepts.
	MaxLifetime = 60 * time.Second

	headerType = "client-authentication+jwt"
)

// Config says whose assertions to make, and for whom.
type Config struct {
	// ClientID becomes iss and sub. Required.
	ClientID string

	// Audience is HelseID's issuer, exactly as in its metadata, and becomes aud
	// as a single string. Required.
	Audience string

	// Key signs. Required.
	Key *Key

	// Lifetime is the time from iat to exp, from one second to MaxLifetime in
	// whole seconds. Zero means DefaultLifetime.
	Lifetime time.Duration

	// Variants choose between forms on which HelseID's sources disagree. Of
	// these, AuthorizationDetails has an effect here.
	Variants Variants
}

// Signer makes client assertions. It is safe for concurrent use.
type Signer struct {
	clientID string
	audience string
	lifetime int64  // seconds
	details  string // the name of the claim
	jws      *jose.Signer
}

// New checks the configuration and reports all its mistakes at once. The error wraps
// ErrConfig.
func New(config Config) (*Signer, error) {
	var errs []error
	if strings.TrimSpace(config.ClientID) == "" {
		errs = append(errs, errors.New("field ClientID is required"))
	}
	if strings.TrimSpace(config.Audience) == "" {
		errs = append(errs, errors.New("field Audience is required: the issuer of HelseID"))
	}
	if config.Key == nil || config.Key.key == nil {
		errs = append(errs, errors.New("field Key is required: make it with ParseKey or NewKey"))
	}
	lifetime := config.Lifetime
	if lifetime == 0 {
		lifetime = DefaultLifetime
	}
	if lifetime < time.Second || lifetime > MaxLifetime || lifetime%time.Second != 0 {
		errs = append(errs, fmt.Errorf("field Lifetime is %v: it must be 1s to %v in whole seconds", config.Lifetime, MaxLifetime))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	details := "assertion_details"
	if config.Variants.AuthorizationDetails {
		details = "authorization_details"
	}
	return &Signer{
		details:  details,
		clientID: config.ClientID,
		audience: config.Audience,
		lifetime: int64(lifetime / time.Second),
		jws:      jose.NewSigner(config.Key.key, jose.Header{Type: headerType}),
	}, nil
}

// Sign makes a new assertion with a jti of its own. An assertion is for one
// request only: make another for each retry, also for the one that answers a
// DPoP nonce. The context reaches the key if it is a ContextSigner.
func (s *Signer) Sign(ctx context.Context, details ...Detail) (string, error) {
	claims := s.claims("sub")
	if len(details) > 0 {
		value, err := marshalDetails(details)
		if err != nil {
			return "", err
		}
		claims.Raw(s.details, value)
	}
	assertion, err := s.jws.Sign(ctx, claims.Bytes())
	if err != nil {
		return "", fmt.Errorf("client assertion: %w", err)
	}
	return assertion, nil
}

// SignRequestObject makes the signed request object of a pushed authorization
// request (parameter request), with details that hold for the whole session of a
// user. It is for one request only, as an assertion is. At least one detail is
// required.
//
// It has the type of an assertion and holds nothing but the details, as in Norsk
// helsenett's samples; the other parameters stay where they are.
func (s *Signer) SignRequestObject(ctx context.Context, details ...Detail) (string, error) {
	value, err := marshalDetails(details)
	if err != nil {
		return "", err
	}
	claims := s.claims("client_id")
	claims.Raw("authorization_details", value)
	object, err := s.jws.Sign(ctx, claims.Bytes())
	if err != nil {
		return "", fmt.Errorf("request object: %w", err)
	}
	return object, nil
}

// claims are those that assertions and request objects share, and the client id
// once more under another name.
func (s *Signer) claims(subject string) *jose.ObjectBuilder {
	now := time.Now().Unix()
	claims := &jose.ObjectBuilder{}
	claims.String("iss", s.clientID)
	claims.String(subject, s.clientID)
	claims.String("aud", s.audience)
	claims.String("jti", jose.NewID())
	claims.Int("iat", now)
	claims.Int("nbf", now)
	claims.Int("exp", now+s.lifetime)
	return claims
}
