package helseidtest

import "time"

// ProofWithout takes claims out of the proof.
func ProofWithout(claims ...string) ProofOption {
	return func(s *proofSpec) {
		for _, name := range claims {
			delete(s.claims, name)
		}
	}
}

// ProofWithoutHeader takes members out of the proof's header.
func ProofWithoutHeader(members ...string) ProofOption {
	return func(s *proofSpec) {
		for _, name := range members {
			delete(s.header, name)
		}
	}
}

// ProofAge makes the proof this old by the server's clock. A negative age is in
// the future.
func ProofAge(age time.Duration) ProofOption {
	return func(s *proofSpec) {
		if now, ok := seconds(s.claims["iat"]); ok {
			s.claims["iat"] = now - int64(age/time.Second)
		}
	}
}

// ProofType sets the header's typ, which must be dpop+jwt.
func ProofType(typ string) ProofOption { return ProofHeader("typ", typ) }

// SymmetricProofAlgorithm sets the header's alg to HS256.
func SymmetricProofAlgorithm() ProofOption { return ProofHeader("alg", "HS256") }

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
		{Number: 1, Name: "DontSetHtuClaimValue", Proof: ProofWithout("htu")},
		{Number: 2, Name: "DontSetHtmClaimValue", Proof: ProofWithout("htm")},
		{Number: 3, Name: "SetIatValueInThePast", Proof: ProofAge(time.Hour)},
		{Number: 4, Name: "SetIatValueInTheFuture", Proof: ProofAge(-time.Hour)},
		{Number: 5, Name: "DontSetAthClaimValue", Proof: ProofWithout("ath")},
		{Number: 6, Name: "DontSetAlgHeader", Proof: ProofWithoutHeader("alg")},
		{Number: 7, Name: "DontSetJwkHeader", Proof: ProofWithoutHeader("jwk")},
		{Number: 8, Name: "DontSetJtiClaim", Proof: ProofWithout("jti")},
		{Number: 9, Name: "SetAlgHeaderToASymmetricAlgorithm", Proof: SymmetricProofAlgorithm()},
		{Number: 10, Name: "SetPrivateKeyInJwkHeader", Proof: PrivateKeyInProof()},
		{Number: 11, Name: "SetInvalidTypHeaderValue", Proof: ProofType("JWT")},
		{Number: 12, Name: "SetAnInvalidSignature", Proof: BrokenProofSignature()},
		{Number: 13, Name: "SetAnInvalidJktValueInToken", Token: BoundToAnotherKey()},
	}
}
