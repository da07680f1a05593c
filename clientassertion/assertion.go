package clientassertion

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/internal/jose"
)

const (
	// Type is the value of the parameter client_assertion_type (RFC 7523).
	Type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

	// MaxLifetime is the longest lifetime that HelseID accepts.
	MaxLifetime = 60 * time.Second

	defaultLifetime = 10 * time.Second

	headerType = "client-authentication+jwt"
)

// Config describes the client and the server that assertions are for.
type Config struct {
	// ClientID becomes iss and sub. Required.
	ClientID string

	// Audience is HelseID's issuer, exactly as in its metadata. It becomes aud, as a
	// single string. Required.
	Audience string

	// Key signs the assertions. Required, unless there is a KeySource.
	Key *Key

	// KeySource, if set, gives the key in place of Key, for each assertion.
	KeySource KeySource

	// Lifetime is the time from iat to exp, 1 to 60 whole seconds. Zero means 10
	// seconds.
	Lifetime time.Duration

	// Variants choose between forms on which HelseID's sources disagree. Only
	// AuthorizationDetails has an effect here.
	Variants Variants
}

// Signer makes client assertions. It is safe for concurrent use.
type Signer struct {
	clientID string
	audience string
	lifetime int64  // seconds
	details  string // the name of the claim

	// Either a key, or where it comes from. Functions and not the source, which would be
	// printed with what it holds.
	key     *Key
	jws     *jose.Signer
	next    func(context.Context) (*Key, error)
	refused func(context.Context, *Key)
	latest  *atomic.Pointer[Signer] // the signer with the key that was given last
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
	if config.KeySource == nil && (config.Key == nil || config.Key.key == nil) {
		errs = append(errs, errors.New("field Key is required: make it with ParseKey or NewKey"))
	}
	lifetime := config.Lifetime
	if lifetime == 0 {
		lifetime = defaultLifetime
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
	signer := &Signer{
		details:  details,
		clientID: config.ClientID,
		audience: config.Audience,
		lifetime: int64(lifetime / time.Second),
	}
	source := config.KeySource
	if source == nil {
		return signer.with(config.Key), nil
	}
	signer.latest = &atomic.Pointer[Signer]{}
	signer.next = func(ctx context.Context) (*Key, error) { return nextKey(ctx, source) }
	if watching, ok := source.(RefusedKeySource); ok {
		signer.refused = watching.KeyRefused
	}
	return signer, nil
}

// with is the same signer with a key that stays.
func (s *Signer) with(key *Key) *Signer {
	fixed := *s
	fixed.key, fixed.jws = key, jose.NewSigner(key.key, jose.Header{Type: headerType})
	return &fixed
}

// Current returns the signer with the key of this moment, which stays: for several
// signatures that belong together, and to know which key they are by. Errors wrap
// [ErrKey].
func (s *Signer) Current(ctx context.Context) (*Signer, error) {
	if s.key != nil {
		return s, nil
	}
	key, err := s.next(ctx)
	if err != nil {
		return nil, err
	}
	if latest := s.latest.Load(); latest != nil && latest.key == key {
		return latest, nil
	}
	current := s.with(key)
	s.latest.Store(current)
	return current, nil
}

// KeyID is the [Key.ID] of the key. For a signer with a KeySource that is the key
// which the source has given last, or "".
func (s *Signer) KeyID() string {
	if s.key == nil {
		if s = s.latest.Load(); s == nil {
			return ""
		}
	}
	return s.key.ID()
}

// Refused tells the KeySource of a signer that [Signer.Current] has returned that
// HelseID has refused its key, and reports whether there is another one by now.
func (s *Signer) Refused(ctx context.Context) (replaced bool) {
	if s.key == nil || s.next == nil {
		return false
	}
	if s.refused != nil {
		s.refused(ctx, s.key)
	}
	key, err := s.next(ctx)
	return err == nil && key.Thumbprint() != s.key.Thumbprint()
}

// Sign makes a new assertion with its own jti. An assertion is for one request only:
// make another one for each retry, including the retry with a DPoP nonce. The context
// is passed to the key if it is a [ContextSigner].
func (s *Signer) Sign(ctx context.Context, details ...Detail) (string, error) {
	claims := s.claims("sub")
	if len(details) > 0 {
		value, err := marshalDetails(details)
		if err != nil {
			return "", err
		}
		claims.Raw(s.details, value)
	}
	return s.sign(ctx, "client assertion", claims)
}

// SignRequestObject makes the signed request object of a pushed authorization request
// (parameter request), with details that apply to the whole session of a user. Like an
// assertion, it is for one request only. At least one detail is required.
//
// It has the header type of an assertion and contains only the details, as in Norsk
// helsenett's samples; the other parameters of the request stay outside of it.
func (s *Signer) SignRequestObject(ctx context.Context, details ...Detail) (string, error) {
	value, err := marshalDetails(details)
	if err != nil {
		return "", err
	}
	claims := s.claims("client_id")
	claims.Raw("authorization_details", value)
	return s.sign(ctx, "request object", claims)
}

// sign signs with the current key. The errors say what was to be signed.
func (s *Signer) sign(ctx context.Context, what string, claims *jose.ObjectBuilder) (string, error) {
	current, err := s.Current(ctx)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	signed, err := current.jws.Sign(ctx, claims.Bytes())
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	return signed, nil
}

// claims returns the claims that assertions and request objects share. The client ID is
// also in the claim that subject names.
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
