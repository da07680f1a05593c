package mint

import "time"

// InvalidProof is a way to make a proof invalid, or the token that goes with it, as
// Test-Token-Tjenesten (TTT) offers it.
type InvalidProof struct {
	// Number and Name are those of TTT's invalidDPoPProofParameters.
	Number int
	Name   string

	// Proof changes the proof, or Token the token. The other one is nil.
	Proof ProofOption
	Token TokenOption
}

// InvalidProofs returns all of them, sorted by number. An API must refuse each. It must
// also refuse a proof that it has seen before, for which any proof can be used.
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
