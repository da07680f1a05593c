package helseidtest

import (
	"fmt"
	"net/http"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

// Token mints an access token as HelseID would, signed with the server's key
// and bound to the key that [Server.Proof] uses. Without options it is a
// system's, for the audience [mint.DefaultAudience]; without [mint.Scopes] it has the
// scope "/read" of its audience. Options apply in the order given, so put
// [mint.Clinician] before those that change something of it. It panics if a claim
// cannot be written as JSON.
func (s *Server) Token(opts ...mint.TokenOption) string {
	return minted(s.minter.AccessToken(opts...))
}

// IDToken mints an ID token as HelseID would, signed with the server's key.
// Without options it is that of the first of [Server.Users], for the client
// [mint.DefaultClientID] ([mint.Audience] says another), without a nonce and without
// what takes a scope: the name, the numbers and the security level. Options add
// them. It panics if a claim cannot be written as JSON.
func (s *Server) IDToken(opts ...mint.TokenOption) string {
	return minted(s.minter.IDToken(append([]mint.TokenOption{with(s.someLogin().claims())}, opts...)...))
}

// LogoutToken mints a logout token (OpenID Connect Back-Channel Logout 1.0), for
// the same user and client as IDToken. For one that ends a session of a real
// login, give it [mint.Audience] with the client's id, and [mint.SessionID] with
// session.User().SessionID. It panics if a claim cannot be written as JSON.
func (s *Server) LogoutToken(opts ...mint.TokenOption) string {
	return minted(s.logoutToken(s.someLogin(), opts...))
}

func (s *Server) logoutToken(l login, opts ...mint.TokenOption) (string, error) {
	session := []mint.TokenOption{mint.Subject(l.user.Subject), mint.SessionID(l.sid)}
	return s.minter.LogoutToken(append(session, opts...)...)
}

// Proof mints a DPoP proof for a request with an access token of [Server.Token].
// Query and fragment of the URL are left out. An empty token leaves ath out. It
// panics if a claim cannot be written as JSON or an option is given nonsense.
func (s *Server) Proof(method, target, token string, opts ...mint.ProofOption) string {
	return minted(s.minter.Proof(method, target, token, opts...))
}

// Authorize puts a token of [Server.Token] and a proof for exactly this request
// on it. The proof is for the request's own URL: if the API under test has a
// PublicURL, make the request with that one, or give its prefix with
// [mint.BehindPrefix].
func (s *Server) Authorize(request *http.Request, token string, opts ...mint.ProofOption) {
	target := *request.URL
	if target.Host == "" { // a request made by httptest.NewRequest with a path
		target.Scheme, target.Host = "http", request.Host
	}
	request.Header.Set("Authorization", "DPoP "+token)
	request.Header.Set("DPoP", s.Proof(request.Method, target.String(), token, opts...))
}

func minted(token string, err error) string {
	if err != nil {
		panic(err)
	}
	return token
}

// newMinter mints with the keys of the server.
func (s *Server) newMinter() (*mint.Minter, error) {
	private, err := newECKey()
	if err != nil {
		return nil, err
	}
	proofKey, err := mint.NewKey(private, "")
	if err != nil {
		return nil, fmt.Errorf("helseidtest: %w", err)
	}
	return &mint.Minter{
		Issuer:     s.issuer,
		Lifetime:   s.options.tokenLifetime,
		Now:        s.Now,
		SigningKey: s.signingKey,
		ProofKey:   proofKey,
		User: func(personalIdentityNumber string) (map[string]any, bool) {
			user, known := s.userByNumber(personalIdentityNumber)
			return s.loginBy(user).allClaims(), known
		},
	}, nil
}

// someLogin is that of some user, who has just logged in.
func (s *Server) someLogin() login { return s.loginBy(s.Users()[0]) }

func (s *Server) loginBy(user User) login {
	return login{user, user.SecurityLevel, user.IdentityProvider, []string{"pwd"}, s.Now(), mint.DefaultSessionID}
}
