package idtoken

import (
	"errors"
	"log/slog"

	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/internal/verification"
)

// Categories of refusals, to be tested for with errors.Is. Package helseid hands them
// on under its own names.
var (
	// ErrInvalid means that a token must not be accepted. Every *Error is one.
	ErrInvalid = redact.Words("the ID token is refused")

	// ErrLevelTooLow means that the user was authenticated less strongly than was
	// asked for, or that the token does not say how.
	ErrLevelTooLow = redact.Words("the user's level is lower than was asked for")

	// ErrLoginTooOld means that the user logged in earlier than was asked for.
	ErrLoginTooOld = redact.Words("the login is older than was asked for")
)

// The reasons why an ID token is refused, beyond those of any token.
const (
	ReasonNonce           verification.Reason = "id_token_nonce"
	ReasonSubject         verification.Reason = "id_token_subject"
	ReasonAuthorizedParty verification.Reason = "id_token_azp"
	ReasonTokenHash       verification.Reason = "id_token_at_hash"
	ReasonLoginAge        verification.Reason = "id_token_auth_time"
	ReasonSecurityLevel   verification.Reason = "id_token_security_level"
	ReasonAssuranceLevel  verification.Reason = "id_token_assurance_level"
	ReasonOtherLogin      verification.Reason = "id_token_other_login"
)

// ReasonLogout is the further reason why a logout token is refused.
const ReasonLogout verification.Reason = "logout_token_claims"

var texts = map[verification.Reason]string{
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
	Reason verification.Reason
}

// Error describes the rule.
func (e *Error) Error() string {
	if text, ok := texts[e.Reason]; ok {
		return text
	}
	return e.Reason.Text()
}

// LogValue is the same.
func (e *Error) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// Is makes every Error an ErrInvalid, and one of the other categories where it is.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrInvalid:
		return true
	case ErrLevelTooLow:
		return e.Reason == ReasonSecurityLevel || e.Reason == ReasonAssuranceLevel
	case ErrLoginTooOld:
		return e.Reason == ReasonLoginAge
	}
	return false
}

func refuse(reason verification.Reason) error { return &Error{reason} }

// refusal makes a refusal of the rules that all tokens share an *Error. Other errors
// stay as they are.
func refusal(err error) error {
	if refused, ok := errors.AsType[*verification.Error](err); ok {
		return refuse(refused.Reason)
	}
	return err
}
