package tokenvalidation

import (
	"errors"

	"github.com/helseid-go/sdk/internal/metadata"
)

// Errors of Validate, to be tested for with errors.Is.
var (
	// ErrInvalidToken means that the token must not be accepted. Every *Error is
	// one.
	ErrInvalidToken = errors.New("invalid access token")

	// ErrUnavailable means that HelseID's keys cannot be had at the moment, so
	// there is no telling. The token may be good.
	ErrUnavailable = metadata.ErrUnavailable

	// ErrConfig is wrapped by every error about the configuration.
	ErrConfig = errors.New("tokenvalidation: configuration")
)

// Reason says which rule a token broke. The strings are stable.
type Reason string

// The reasons why a token is refused.
const (
	ReasonMalformed Reason = "token_malformed"
	ReasonTooLong   Reason = "token_too_long"
	ReasonType      Reason = "token_typ"
	ReasonAlgorithm Reason = "token_alg"
	ReasonKey       Reason = "token_unknown_key"
	ReasonSignature Reason = "token_signature"
	ReasonIssuer    Reason = "token_issuer"
	ReasonAudience  Reason = "token_audience"
	ReasonExpired   Reason = "token_expired"
	ReasonNotYet    Reason = "token_not_yet_valid"
	ReasonTime      Reason = "token_times"
)

var reasonTexts = map[Reason]string{
	ReasonMalformed: "the access token is not a JWS in compact form with strict JSON",
	ReasonTooLong:   "the access token is too long",
	ReasonType:      "the access token's typ is not one of an access token",
	ReasonAlgorithm: "the access token's alg is not that of the issuer's key",
	ReasonKey:       "the access token is signed with a key that the issuer does not have",
	ReasonSignature: "the access token's signature does not verify",
	ReasonIssuer:    "the access token is from another issuer",
	ReasonAudience:  "the access token is not for this API alone: ask for a token with this API as the only audience",
	ReasonExpired:   "the access token has expired",
	ReasonNotYet:    "the access token is not valid yet: check the clock",
	ReasonTime:      "the access token's exp is missing, or one of its times is not a number",
}

// Error tells which rule a token broke. Its text holds nothing of the token.
type Error struct {
	Reason Reason
}

// Error describes the rule.
func (e *Error) Error() string { return reasonTexts[e.Reason] }

// Is makes every Error an ErrInvalidToken.
func (e *Error) Is(target error) bool { return target == ErrInvalidToken }

func refuse(reason Reason) error { return &Error{reason} }
