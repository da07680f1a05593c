package dpop

import (
	"log/slog"

	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

// Errors of [Verifier.Verify], to be tested for with [errors.Is].
var (
	// ErrInvalidProof means that the proof breaks a rule of RFC 9449 section 4.3, or
	// has been used before. Every [*ProofError] matches it.
	ErrInvalidProof = words("invalid DPoP proof")

	// ErrUseNonce means that the proof lacks a nonce of this server, or has one that is
	// too old. Such an error also matches ErrInvalidProof.
	ErrUseNonce = words("DPoP nonce required")

	// ErrUnavailable means that the replay store is full, or could not tell whether the
	// proof was used before. The proof may be valid.
	ErrUnavailable = outage("DPoP replay store not available")
)

// Errors of constructors, to be tested for with [errors.Is].
var (
	// ErrConfig is wrapped by every error about the configuration of a prover, a
	// verifier or a nonce issuer.
	ErrConfig = words("dpop: configuration")

	// ErrKey is wrapped by every error about a key that cannot be used, also by those
	// of a signer that fails or does not answer in time.
	ErrKey = errKey
)

// errKey is the same where keys are read: the documentation of ErrKey does not show
// the name of an internal package.
var errKey = jose.ErrKey

// words makes an error whose text may stand in a log. It keeps the name of an
// internal package out of the documentation of the errors above.
func words(text string) error { return redact.Words(text) }

// outage makes the same of something that is down.
func outage(text string) error { return redact.Outage(text) }

// Reason says which rule a proof broke. The values do not change.
type Reason string

// The reasons why a proof is refused.
const (
	ReasonMalformed   Reason = "proof_malformed"    // not a JWS in compact form with strict JSON
	ReasonTooLong     Reason = "proof_too_long"     // longer than 8 KiB
	ReasonType        Reason = "proof_typ"          // typ is not dpop+jwt
	ReasonAlgorithm   Reason = "proof_alg"          // alg is not in [VerifierConfig.Algorithms], or does not fit the key
	ReasonKey         Reason = "proof_jwk"          // jwk is not one public RSA or EC key
	ReasonBinding     Reason = "proof_key_mismatch" // the token is bound to another key
	ReasonID          Reason = "proof_jti"          // jti is not a string of 1 to 256 characters
	ReasonMethod      Reason = "proof_htm"          // for another method
	ReasonURI         Reason = "proof_htu"          // for another URL
	ReasonTime        Reason = "proof_iat"          // too old, or too far in the future
	ReasonTokenHash   Reason = "proof_ath"          // for another access token, or for none
	ReasonNonce       Reason = "proof_nonce"        // without a nonce of this server, or with an old one
	ReasonSignature   Reason = "proof_signature"    // the signature does not verify
	ReasonReplayed    Reason = "proof_replayed"     // used before
	ReasonBeforeStart Reason = "proof_before_start" // made before the replay store was: see [MemoryReplay]
)

var reasonTexts = map[Reason]string{
	ReasonMalformed: "the proof is not a JWS in compact form with strict JSON",
	ReasonTooLong:   "the proof is too long",
	ReasonType:      "the header typ must be dpop+jwt",
	ReasonAlgorithm: "the header alg is missing, not accepted here, or does not fit the key",
	ReasonKey:       "the header jwk must be one public RSA key of 2048 to 4096 bits with exponent 65537 at most, or an EC key, without private members",
	ReasonBinding:   "the access token is bound to another key than the proof's",
	ReasonID:        "the claim jti must be a string of 1 to 256 characters",
	ReasonMethod:    "the claim htm must be the request's method",
	ReasonURI:       "the claim htu must be the request's URL without query and fragment",
	ReasonTime:      "the claim iat must be a number close to the current time: make the proof just before sending, and check the clock",
	ReasonTokenHash: "the claim ath must be the hash of the access token",
	ReasonNonce:     "the claim nonce must be the server's newest DPoP-Nonce",
	ReasonSignature: "the signature does not verify with the header's jwk",
	ReasonReplayed:  "the proof has been used before: make a new one for each request",

	ReasonBeforeStart: "the proof was made before this server started, and may have been used then: make a new one",
}

// ProofError says which rule a proof broke. Its text contains nothing of the proof.
type ProofError struct {
	Reason Reason
}

// Error describes the rule.
func (e *ProofError) Error() string { return "DPoP: " + reasonTexts[e.Reason] }

// LogValue returns the text of Error.
func (e *ProofError) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// Is reports that every ProofError matches [ErrInvalidProof], and one for a missing
// nonce also [ErrUseNonce].
func (e *ProofError) Is(target error) bool {
	return target == ErrInvalidProof || target == ErrUseNonce && e.Reason == ReasonNonce
}

func refuse(reason Reason) error { return &ProofError{reason} }
