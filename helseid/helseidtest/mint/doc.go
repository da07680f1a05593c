// Package mint makes the tokens and proofs of a HelseID for tests, package helseidtest.
// Its options are the arguments of Server.Token, Server.IDToken, Server.LogoutToken,
// Server.Proof and Server.Authorize, and of Server.AlterAccessTokens and
// Server.AlterIDTokens.
//
//	token := server.Token(mint.Clinician(), mint.Audience("nhn:some-api"), mint.SecurityLevel(3))
//	server.Authorize(request, token)
//
// # Tokens
//
//   - of a user: [Clinician] or [ForUser], then [PersonalIdentityNumber],
//     [Pseudonym], [Subject], [Name], [HPRNumber], [SecurityLevel],
//     [AssuranceLevel], [Network], [IdentityProvider],
//     [AuthenticationMethods], [AuthenticatedAt], [SessionID].
//   - of another client: [ClientID], [ClientName], [ClientAuthentication],
//     [LegacyClientAuthentication], [Tenancy], [Organization], [Supplier],
//     [JournalID], [SFMID], [APIClientClaim].
//   - with an attest of the trust framework: [Attest]. After token exchanges:
//     [ExchangedBy].
//   - for other rights or another time: [Audience], [Scopes], [ExpiresIn],
//     [TokenID].
//   - for another key: [BoundTo], [BoundToJWK], with [ProofKey].
//   - that an API must refuse: [Expired], another [Issuer] or [Audience],
//     [SignedWithUnknownKey], [BrokenSignature], [Unbound],
//     [BoundToAnotherKey], [WithoutDefaultClaims], [WithoutUserClaims], and
//     [Header] with another typ.
//   - with anything else: [Claim], [Claims], [Header].
//
// Options apply in the order given, so [Clinician] must precede options that change one
// of its claims.
//
// # Proofs
//
// An API must refuse each of [InvalidProofs], and a proof that it has seen
// before. They are made with [ProofClaim], [ProofHeader], [ProofAge],
// [PrivateKeyInProof], [BrokenProofSignature] and [ProofWithAnotherKey]. Behind
// a proxy: [BehindPrefix].
package mint
