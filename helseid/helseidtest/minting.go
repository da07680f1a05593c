package helseidtest

import (
	"fmt"
	"net/http"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

// Token mints an access token as HelseID would, signed with the server's key and bound
// to the key that [Server.Proof] uses. Without options it is a system's token for the
// audience [mint.DefaultAudience]. Without [mint.Scopes] it has the scope "/read" of
// its audience. Options apply in the order given, so [mint.Clinician] must precede
// options that change one of its claims. It panics if a claim cannot be written as
// JSON.
func (s *Server) Token(opts ...mint.TokenOption) string {
	return minted(s.minter.AccessToken(opts...))
}

// IDToken mints an ID token as HelseID would, signed with the server's key. Without
// options it is a token of the first of [Server.Users] for the client
// [mint.DefaultClientID]; [mint.Audience] sets another client. It has no nonce and no
// claims that need a scope, such as the name, the numbers and the security level.
// Options add them. It panics if a claim cannot be written as JSON.
func (s *Server) IDToken(opts ...mint.TokenOption) string {
	return minted(s.minter.IDToken(append([]mint.TokenOption{with(s.someLogin().claims())}, opts...)...))
}

// LogoutToken mints a logout token (OpenID Connect Back-Channel Logout 1.0) for the
// same user and client as IDToken. To end the session of a real login, use
// [mint.Audience] with the client's ID and [mint.SessionID] with
// session.User().SessionID. It panics if a claim cannot be written as JSON.
func (s *Server) LogoutToken(opts ...mint.TokenOption) string {
	return minted(s.logoutToken(s.someLogin(), opts...))
}

func (s *Server) logoutToken(l login, opts ...mint.TokenOption) (string, error) {
	session := []mint.TokenOption{mint.Subject(l.user.Subject), mint.SessionID(l.sid)}
	return s.minter.LogoutToken(append(session, opts...)...)
}

// Proof mints a DPoP proof for a request with an access token of [Server.Token]. It
// leaves out query and fragment of the URL, and without a token also ath. It panics if
// a claim cannot be written as JSON or an option has an invalid argument.
func (s *Server) Proof(method, target, token string, opts ...mint.ProofOption) string {
	return minted(s.minter.Proof(method, target, token, opts...))
}

// Authorize sets a token of [Server.Token] and a proof for exactly this request on the
// request. The proof is for the request's own URL. If the API under test has a
// PublicURL, make the request with that URL, or use [mint.BehindPrefix].
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

// newMinter returns a minter that uses the keys of the server.
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

// someLogin is a login of the first user, who has just logged in.
func (s *Server) someLogin() login { return s.loginBy(s.Users()[0]) }

func (s *Server) loginBy(user User) login {
	return login{user, user.SecurityLevel, user.IdentityProvider, []string{"pwd"}, s.Now(), mint.DefaultSessionID}
}
