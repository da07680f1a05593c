package mint

import "time"

// InvalidProof is a way to break a proof, or the token that goes with it, that
// Test-Token-Tjenesten (TTT) offers.
type InvalidProof struct {
	// Number and Name are TTT's invalidDPoPProofParameters.
	Number int
	Name   string

	// Proof breaks the proof and Token the token. The other one is nil.
	Proof ProofOption
	Token TokenOption
}

// InvalidProofs are all of them, by their numbers: an API must refuse each. It
// must also refuse a proof that it has seen before, for which any will do.
func InvalidProofs() []InvalidProof {
	return []InvalidProof{
		{Number: 1, Name: "DontSetHtuClaimValue", Proof: ProofClaim("htu", nil)},
		{Number: 2, Name: "DontSetHtmClaimValue", Proof: ProofClaim("htm", nil)},
		{Number: 3, Name: "SetIatValueInThePast", Proof: ProofAge(time.Hour)},
		{Number: 4, Name: "SetIatValueInTheFuture", Proof: ProofAge(-time.Hour)},
		{Number: 5, Name: "DontSetAthClaimValue", Proof: ProofClaim("ath", nil)},
		{Number: 6, Name: "DontSetAlgHeader", Proof: ProofHeader("alg", nil)},
		{Number: 7, Name: "DontSetJwkHeader", Proof: ProofHeader("jwk", nil)},
		{Number: 8, Name: "DontSetJtiClaim", Proof: ProofClaim("jti", nil)},
		{Number: 9, Name: "SetAlgHeaderToASymmetricAlgorithm", Proof: ProofHeader("alg", "HS256")},
		{Number: 10, Name: "SetPrivateKeyInJwkHeader", Proof: PrivateKeyInProof()},
		{Number: 11, Name: "SetInvalidTypHeaderValue", Proof: ProofHeader("typ", "JWT")},
		{Number: 12, Name: "SetAnInvalidSignature", Proof: BrokenProofSignature()},
		{Number: 13, Name: "SetAnInvalidJktValueInToken", Token: BoundToAnotherKey()},
	}
}
