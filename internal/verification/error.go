package verification

// Reason says which rule a token broke. The strings are stable.
type Reason string

// The reasons why a token of any kind is refused.
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

var texts = map[Reason]string{
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
}

// Text describes the rule, or is "" for a reason that is not of this package.
func (r Reason) Text() string { return texts[r] }

// Error is a refusal. Its text holds nothing of the token.
type Error struct {
	Reason Reason
}

// Error describes the rule.
func (e *Error) Error() string { return e.Reason.Text() }

func refuse(reason Reason) error { return &Error{reason} }
