package mint

import "time"

// InvalidProof is a way to make a proof invalid, or the token that goes with it, as
// Test-Token-Tjenesten (TTT) offers it.
type InvalidProof struct {
	// Number and Name are those of TTT's invalidDPoPProofParameters.
	Number int
	Name   string

	// Reason is the reason with which package middleware refuses it.
	Reason string

	// Proof changes the proof, or Token the token. The other one is nil.
	Proof ProofOption
	Token TokenOption
}

// InvalidProofs returns all of them, sorted by number. An API must refuse each. It must
// also refuse a proof that it has seen before, for which any proof can be used.
func InvalidProofs() []InvalidProof {
	return []InvalidProof{
		{Number: 1, Name: "DontSetHtuClaimValue", Reason: "proof_htu", Proof: ProofClaim("htu", nil)},
		{Number: 2, Name: "DontSetHtmClaimValue", Reason: "proof_htm", Proof: ProofClaim("htm", nil)},
		{Number: 3, Name: "SetIatValueInThePast", Reason: "proof_iat", Proof: ProofAge(time.Hour)},
		{Number: 4, Name: "SetIatValueInTheFuture", Reason: "proof_iat", Proof: ProofAge(-time.Hour)},
		{Number: 5, Name: "DontSetAthClaimValue", Reason: "proof_ath", Proof: ProofClaim("ath", nil)},
		{Number: 6, Name: "DontSetAlgHeader", Reason: "proof_alg", Proof: ProofHeader("alg", nil)},
		{Number: 7, Name: "DontSetJwkHeader", Reason: "proof_jwk", Proof: ProofHeader("jwk", nil)},
		{Number: 8, Name: "DontSetJtiClaim", Reason: "proof_jti", Proof: ProofClaim("jti", nil)},
		{Number: 9, Name: "SetAlgHeaderToASymmetricAlgorithm", Reason: "proof_alg", Proof: ProofHeader("alg", "HS256")},
		{Number: 10, Name: "SetPrivateKeyInJwkHeader", Reason: "proof_jwk", Proof: PrivateKeyInProof()},
		{Number: 11, Name: "SetInvalidTypHeaderValue", Reason: "proof_typ", Proof: ProofHeader("typ", "JWT")},
		{Number: 12, Name: "SetAnInvalidSignature", Reason: "proof_signature", Proof: BrokenProofSignature()},
		{Number: 13, Name: "SetAnInvalidJktValueInToken", Reason: "proof_key_mismatch", Token: BoundToAnotherKey()},
	}
}
