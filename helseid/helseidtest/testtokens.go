package helseidtest

import (
	"net/http"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/testtoken"
)

// TestTokens adds an endpoint, /v2/create-test-token-with-key below the issuer, that
// mints tokens and proofs as HelseID's Test-Token-Tjenesten (TTT) does, for tools that
// are written for it. It accepts the same JSON, and requires this key, which must not
// be empty, in the header X-Auth-Key. The differences are: the tokens are this
// server's; people come from [Server.Users]; audience and scope have this server's
// defaults; and issuerEnvironment 1, which has no public issuer, is refused. The
// default claims about a user include neither pid nor HPR number nor security level,
// and those about a client neither organisation nor scope: request them, as with TTT.
// Members that the endpoint does not know are ignored. A member that it knows but
// cannot support is an error.
//
// Source: Norsk helsenett, HelseID.Samples (TestTokenDemo, TestTokenTool).
func TestTokens(key string) Option {
	return option(func(o *options) { o.testTokens, o.testTokenKey = true, key })
}

// testTokens is the endpoint.
func (s *Server) testTokens() http.Handler {
	return &testtoken.Service{
		Key: s.options.testTokenKey, Minter: s.minter,
		Person: func(personalIdentityNumber string) (testtoken.Person, bool) {
			user, known := s.userByNumber(personalIdentityNumber)
			return testtoken.Person{
				GivenName: user.GivenName, MiddleName: user.MiddleName, FamilyName: user.FamilyName,
				HPRNumber: user.HPRNumber, Subject: user.Subject,
			}, known
		},
		SomeUser: func() map[string]any { return s.someLogin().allClaims() },
	}
}
