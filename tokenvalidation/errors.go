package tokenvalidation

import (
	"errors"
	"log/slog"

	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/internal/verification"
)

// Errors of [Validator.Validate], to be tested for with errors.Is.
var (
	// ErrInvalidToken means that the token must not be accepted. Every [*Error] is
	// one.
	ErrInvalidToken = words("invalid token")

	// ErrUnavailable means that HelseID's keys are not available at the moment, or that
	// HelseID has not been asked about the token's key yet. The token may be valid: try
	// again after five seconds.
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
	ReasonMalformed Reason = "token_malformed"     // not a JWS in compact form with strict JSON
	ReasonTooLong   Reason = "token_too_long"      // longer than 16 KiB
	ReasonType      Reason = "token_typ"           // a typ that is not in [Config.TokenTypes]
	ReasonAlgorithm Reason = "token_alg"           // not the alg of HelseID's key
	ReasonKey       Reason = "token_unknown_key"   // a key that HelseID does not have
	ReasonSignature Reason = "token_signature"     // the signature does not verify
	ReasonIssuer    Reason = "token_issuer"        // from another issuer
	ReasonAudience  Reason = "token_audience"      // not for this API alone
	ReasonExpired   Reason = "token_expired"       // exp has passed
	ReasonNotYet    Reason = "token_not_yet_valid" // nbf has not come, or iat is in the future
	ReasonTime      Reason = "token_times"         // no exp, or a time that is not a number
	ReasonActors    Reason = "token_actors"        // exchanged more than ten times
	ReasonSubject   Reason = "token_subject"       // about no person; of [Validator.UserInfo] only
)

var reasonTexts = map[Reason]string{
	ReasonActors:  "the token has been exchanged more than ten times",
	ReasonSubject: "the token has no subject that is a person",
}

// Error tells which rule a token broke. Its text holds nothing of the token.
type Error struct {
	Reason Reason
}

// Error describes the rule.
func (e *Error) Error() string {
	if text, ok := reasonTexts[e.Reason]; ok {
		return text
	}
	return verification.Reason(e.Reason).Text()
}

// LogValue returns the text of [Error.Error].
func (e *Error) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// Is makes every Error an ErrInvalidToken.
func (e *Error) Is(target error) bool { return target == ErrInvalidToken }

func refuse(reason Reason) error { return &Error{reason} }

// publicError makes a refusal of the rules that all tokens share an *Error. Other
// errors stay as they are.
func publicError(err error) error {
	if refused, ok := errors.AsType[*verification.Error](err); ok {
		return refuse(Reason(refused.Reason))
	}
	return err
}
