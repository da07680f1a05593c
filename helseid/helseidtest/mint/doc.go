// Package mint has the options for the tokens and proofs that a test's HelseID makes: who
// the user and the client are, what they may do, and what is wrong with the token.
//
// The server is that of package [github.com/helseid-go/sdk/helseid/helseidtest]. Options are
// arguments of its methods Token, IDToken, LogoutToken, Proof and Authorize, and of
// AlterAccessTokens and AlterIDTokens. Without options, Token makes a valid access token of
// a system:
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
// of its claims. The documentation of those that make an API refuse the request ends with
// the reason that a response of package middleware has then.
//
// # Proofs
//
// An API must refuse each of [InvalidProofs], and a proof that it has seen
// before. They are made with [ProofClaim], [ProofHeader], [ProofAge],
// [PrivateKeyInProof], [BrokenProofSignature] and [ProofWithAnotherKey]. Behind
// a proxy: [BehindPrefix].
package mint
