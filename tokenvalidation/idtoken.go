package tokenvalidation

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/idtoken"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/jwks"
	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/redact"
)

// IDTokenConfig says which ID tokens to accept.
type IDTokenConfig struct {
	// Issuer is HelseID's issuer identifier. Required.
	Issuer string

	// ClientID is the client that logs users in; it must be the only audience.
	// Required.
	ClientID string

	// HTTPClient fetches HelseID's metadata and keys, as Config.HTTPClient does. Nil
	// means a client that takes the proxy from the environment.
	HTTPClient *http.Client

	// EndpointOrigins are as in Config.
	EndpointOrigins []string
}

// IDTokenValidator validates HelseID's ID tokens for one client. It is safe for
// concurrent use.
type IDTokenValidator struct {
	validator Validator
	logout    Validator // the same for logout tokens
}

// NewIDToken checks the configuration and makes no network call.
func NewIDToken(config IDTokenConfig) (*IDTokenValidator, error) {
	var errs []error
	issuer := metadata.NormalIssuer(config.Issuer)
	if err := metadata.CheckIssuer(issuer); err != nil {
		errs = append(errs, fmt.Errorf("field Issuer %w", err))
	}
	if strings.TrimSpace(config.ClientID) == "" {
		errs = append(errs, errors.New("field ClientID is required"))
	}
	errs = append(errs, checkTransport(config.HTTPClient, issuer, config.EndpointOrigins))
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	client := config.HTTPClient
	if client == nil {
		client = &http.Client{Transport: httpx.NewTransport()}
	}
	return newIDToken(metadata.NewSource(issuer, client, "jwks_uri").Allow(config.EndpointOrigins), config.ClientID, client), nil
}

func init() {
	idtoken.New = func(source *metadata.Source, clientID string, client *http.Client) any {
		return newIDToken(source, clientID, client)
	}
}

func newIDToken(source *metadata.Source, clientID string, client *http.Client) *IDTokenValidator {
	validator := Validator{
		issuer:   source.Issuer(),
		audience: clientID,
		// HelseID's ID tokens have the type JWT. OpenID Connect does not demand
		// one, and any other type means that the token is not an ID token.
		types:  []string{"jwt", ""},
		leeway: int64(DefaultLeeway / time.Second),
		keys:   jwks.New(source, client),
		now:    time.Now,
	}
	logout := validator
	logout.types = []string{"logout+jwt", "jwt", ""}
	return &IDTokenValidator{validator, logout}
}

// Close ends a fetch of keys that is under way.
func (v *IDTokenValidator) Close() { v.validator.Close() }

// unprintable gives a type the methods that make it read "[redacted]".
type unprintable = redact.Unprintable

// IDTokenExpectation says which login an ID token must be of. Printed, logged or
// marshalled it reads "[redacted]".
type IDTokenExpectation struct {
	unprintable

	// Nonce is the nonce of the login. Empty means that there was none, as after
	// a refresh; a nonce that the token then has is not looked at.
	Nonce string

	// AccessToken is the access token that came with it: a token with at_hash
	// must have its hash.
	AccessToken string

	// MaxAge is how old the login may be. Zero means any age, and no login
	// is young enough for less.
	MaxAge time.Duration

	// LoggedInSince is when the login must not have been before, give or take
	// DefaultLeeway. The zero time means any.
	LoggedInSince time.Time

	// SecurityLevel is the least that the user must have been authenticated
	// with. Zero means any, also none.
	SecurityLevel identity.SecurityLevel

	// AssuranceLevel is the same for the assurance level.
	AssuranceLevel identity.AssuranceLevel

	// Previous is what the session's ID token said before a refresh: the new one
	// must be of the same login (OpenID Connect Core section 12.2).
	Previous *identity.IDToken
}

// Validate checks an ID token by the rules of OpenID Connect Core sections
// 3.1.3.7 and 12.2 and of HelseID's page on the matter. The error is an *Error,
// which is an ErrInvalidToken, or wraps ErrUnavailable.
func (v *IDTokenValidator) Validate(ctx context.Context, token string, expected IDTokenExpectation) (*identity.IDToken, error) {
	object, err := v.validator.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	if object.Get("iat").Absent() {
		return nil, refuse(ReasonTime)
	}
	if object.Has("events") {
		return nil, refuse(ReasonType) // a logout token
	}
	if value := object.Get("azp"); !value.Absent() {
		if party, ok := value.Text(); !ok || party != v.validator.audience {
			return nil, refuse(ReasonAuthorizedParty)
		}
	}
	if expected.Nonce != "" {
		if nonce, ok := object.Get("nonce").Text(); !ok || nonce != expected.Nonce {
			return nil, refuse(ReasonNonce)
		}
	}
	if value := object.Get("at_hash"); !value.Absent() && expected.AccessToken != "" {
		if hash, ok := value.Text(); !ok || hash != accessTokenHash(expected.AccessToken) {
			return nil, refuse(ReasonTokenHash)
		}
	}
	if !v.recentLogin(object, expected) {
		return nil, refuse(ReasonLoginAge)
	}
	claims, err := decodeIDClaims(object)
	if err != nil {
		return nil, err
	}
	if claims.User.SecurityLevel < expected.SecurityLevel {
		return nil, refuse(ReasonSecurityLevel)
	}
	if claims.User.AssuranceLevel < expected.AssuranceLevel {
		return nil, refuse(ReasonAssuranceLevel)
	}
	return claims, checkPrevious(claims, expected.Previous)
}

// recentLogin reports whether the login is as young as it is expected to be.
func (v *IDTokenValidator) recentLogin(object jose.Object, expected IDTokenExpectation) bool {
	if expected.MaxAge == 0 && expected.LoggedInSince.IsZero() {
		return true
	}
	at, ok := object.Get("auth_time").Seconds()
	if !ok {
		return false
	}
	age := v.validator.now().Unix() - at
	if age < -v.validator.leeway || expected.MaxAge < 0 {
		return false // in the future, or asked for there
	}
	tooOld := expected.MaxAge > 0 && age > int64(expected.MaxAge/time.Second)+v.validator.leeway
	tooEarly := !expected.LoggedInSince.IsZero() && at < expected.LoggedInSince.Unix()-v.validator.leeway
	return !tooOld && !tooEarly
}

// Restore reads an ID token that Validate accepted earlier and that has been
// kept where nobody else can write. Its signature and times are not checked
// again: never call it with a token that came from outside.
func (v *IDTokenValidator) Restore(token string) (*identity.IDToken, error) {
	compact, err := jose.ParseCompact(token, MaxToken)
	if err != nil {
		return nil, refuse(ReasonMalformed)
	}
	object, err := compact.Claims()
	if err != nil {
		return nil, refuse(ReasonMalformed)
	}
	return decodeIDClaims(object)
}

func decodeIDClaims(object jose.Object) (*identity.IDToken, error) {
	claims := decodeClaims(object)
	if claims.User == nil || claims.User.Subject == "" {
		return nil, refuse(ReasonSubject)
	}
	nonce, _ := object.Get("nonce").Text()
	return &identity.IDToken{
		User:      *claims.User,
		IssuedAt:  claims.IssuedAt,
		Expiry:    claims.Expiry,
		Nonce:     nonce,
		Malformed: claims.Malformed,
	}, nil
}

// checkPrevious compares a refreshed ID token with the one before. What the new
// one leaves out stands as it was.
func checkPrevious(c, previous *identity.IDToken) error {
	if previous == nil {
		return nil
	}
	now, before := &c.User, &previous.User
	switch {
	case now.Subject != before.Subject,
		differs(now.PersonalIdentityNumber.Reveal(), before.PersonalIdentityNumber.Reveal()),
		differs(now.SessionID, before.SessionID),
		differs(now.SecurityLevel, before.SecurityLevel),
		differs(now.AssuranceLevel, before.AssuranceLevel),
		differs(c.Nonce, previous.Nonce),
		!now.AuthenticatedAt.IsZero() && !before.AuthenticatedAt.IsZero() && !now.AuthenticatedAt.Equal(before.AuthenticatedAt):
		return refuse(ReasonOtherLogin)
	case c.IssuedAt.Before(previous.IssuedAt):
		return refuse(ReasonTime)
	}
	return nil
}

// differs reports that both are there and are not the same.
func differs[T comparable](a, b T) bool {
	var none T
	return a != none && b != none && a != b
}

// accessTokenHash is the value of at_hash for HelseID's RS256 (OpenID Connect
// Core section 3.1.3.6): the left half of the SHA-256.
func accessTokenHash(token string) string {
	digest := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(digest[:len(digest)/2])
}
