package tokenvalidation

import (
	"log/slog"

	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/redact"
)

// Errors of Validate, to be tested for with errors.Is.
var (
	// ErrInvalidToken means that the token must not be accepted. Every *Error is
	// one.
	ErrInvalidToken = words("invalid token")

	// ErrUnavailable means that HelseID's keys cannot be had at the moment, or that
	// HelseID has not been asked about the token's key yet, so there is no telling.
	// The token may be good: it is worth another try in five seconds.
	ErrUnavailable = errUnavailable

	// ErrConfig is wrapped by every error about the configuration.
	ErrConfig = words("tokenvalidation: configuration")
)

// errUnavailable is the same of the keys and of the metadata: the documentation of
// ErrUnavailable does not show the name of an internal package.
var errUnavailable = metadata.ErrUnavailable

// words makes an error whose text may stand in a log. It keeps the name of an
// internal package out of the documentation of the errors above.
func words(text string) error { return redact.Words(text) }

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
	ReasonActors    Reason = "token_actors"
)

// The further reasons why an ID token is refused.
const (
	ReasonNonce           Reason = "id_token_nonce"
	ReasonSubject         Reason = "id_token_subject"
	ReasonAuthorizedParty Reason = "id_token_azp"
	ReasonTokenHash       Reason = "id_token_at_hash"
	ReasonLoginAge        Reason = "id_token_auth_time"
	ReasonSecurityLevel   Reason = "id_token_security_level"
	ReasonAssuranceLevel  Reason = "id_token_assurance_level"
	ReasonOtherLogin      Reason = "id_token_other_login"
)

// ReasonLogout is the further reason why a logout token is refused.
const ReasonLogout Reason = "logout_token_claims"

var reasonTexts = map[Reason]string{
	ReasonMalformed: "the token is not a JWS in compact form with strict JSON",
	ReasonTooLong:   "the token is too long",
	ReasonType:      "the token's typ is not the one that is needed here",
	ReasonAlgorithm: "the token's alg is not that of the issuer's key",
	ReasonKey:       "the token is signed with a key that the issuer does not have",
	ReasonSignature: "the token's signature does not verify",
	ReasonIssuer:    "the token is from another issuer",
	ReasonAudience:  "the token is not for the expected audience alone: ask for one with this API as its only audience",
	ReasonExpired:   "the token has expired",
	ReasonNotYet:    "the token is not valid yet: check the clock",
	ReasonTime:      "the token's exp is missing, or one of its times is not a number",

	ReasonActors: "the token has been exchanged more than ten times",

	ReasonNonce:           "the ID token's nonce is not the one of this login",
	ReasonSubject:         "the ID token has no subject that is a person",
	ReasonAuthorizedParty: "the ID token was issued to another client (azp)",
	ReasonTokenHash:       "the ID token belongs to another access token (at_hash)",
	ReasonLoginAge:        "the login is older than was asked for (auth_time)",
	ReasonSecurityLevel:   "the user's security level is lower than was asked for, or the scope for the claim is missing",
	ReasonAssuranceLevel:  "the user's assurance level is lower than was asked for, or the scope for the claim is missing",
	ReasonOtherLogin:      "the refreshed ID token is of another login than the one before",

	ReasonLogout: "the token lacks what a logout token must have (events, iat, jti, and sub or sid), or has a nonce",
}

// Error tells which rule a token broke. Its text holds nothing of the token.
type Error struct {
	Reason Reason
}

// Error describes the rule.
func (e *Error) Error() string { return reasonTexts[e.Reason] }

// LogValue is the same.
func (e *Error) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// Is makes every Error an ErrInvalidToken.
func (e *Error) Is(target error) bool { return target == ErrInvalidToken }

func refuse(reason Reason) error { return &Error{reason} }
