package helseidtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest/internal/answer"
	"github.com/helseid-go/sdk/helseid/helseidtest/internal/claim"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/internal/jose"
)

// serveUserInfo returns the claims about the user of an access token (OpenID Connect
// Core section 5.3). It also accepts the tokens of [Server.Token].
func (s *Server) serveUserInfo(w http.ResponseWriter, r *http.Request) {
	claims, refused := s.userInfo(r)
	if refused != nil {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`DPoP error="%s", error_description="%s"`, refused.code, refused.description))
		refused.write(w)
		return
	}
	answer.JSON(w, http.StatusOK, claims)
}

func (s *Server) userInfo(r *http.Request) (map[string]any, *refusal) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return nil, invalidRequest("userinfo takes GET and POST only")
	}
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return nil, &refusal{http.StatusUnauthorized, "invalid_request", "exactly one Authorization header is needed"}
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	claims, problem := s.ownAccessToken(token)
	if problem != "" {
		return nil, invalidToken("the access token " + problem)
	}
	if refused := s.checkPossession(r, scheme, token, claims); refused != nil {
		return nil, refused
	}
	scopes := claim.Texts(claims.Get("scope"))
	if s.demands(rule.OpenID) && !slices.Contains(scopes, "openid") {
		return nil, &refusal{http.StatusForbidden, "insufficient_scope", "the access token was issued without openid"}
	}
	l, known := s.loginOf(claims)
	if !known {
		return nil, invalidToken("the access token is not a known user's")
	}
	told := claimsForScopes(l, scopes)
	told["sub"] = l.user.Subject
	told["userinfo_issued_at"] = s.Now().Unix()
	if slices.Contains(scopes, scopeHPRNumber) {
		told[claim.HPRDetails] = l.user.hprDetails()
	}
	return told, nil
}

// checkPossession requires the scheme that fits the token, and a proof for a bound
// token.
func (s *Server) checkPossession(r *http.Request, scheme, token string, claims jose.Object) *refusal {
	cnf, _ := claims.Get("cnf").Object()
	thumbprint, bound := cnf.Get("jkt").Text()
	switch {
	case strings.EqualFold(scheme, "Bearer") && (!bound || !s.demands(rule.UserInfoProof)):
		return nil
	case strings.EqualFold(scheme, "Bearer"):
		return invalidToken("the access token is bound to a key: send it with the DPoP scheme and a proof")
	case !strings.EqualFold(scheme, "DPoP"):
		return &refusal{http.StatusUnauthorized, "invalid_request", "the scheme is not DPoP or Bearer"}
	case !bound:
		return invalidToken("the access token is not bound to a key")
	}
	_, refused := s.checkProofFor(r, dpop.Expectation{
		Method: r.Method, URI: s.issuer + string(EndpointUserInfo), AccessToken: token, Thumbprint: thumbprint,
	})
	if refused != nil {
		refused.status = http.StatusUnauthorized
	}
	return refused
}

// loginOf finds the login for which a token was issued, or the token's user.
func (s *Server) loginOf(claims jose.Object) (login, bool) {
	id, _ := claims.Get("jti").Text()
	s.logins.mu.Lock()
	known := s.logins.access[id]
	s.logins.mu.Unlock()
	if known != nil {
		return known.login, true
	}
	subject, _ := claims.Get("sub").Text()
	user, found := s.userBy(func(user User) bool { return user.Subject == subject })
	return login{user: user, level: user.SecurityLevel}, found
}
