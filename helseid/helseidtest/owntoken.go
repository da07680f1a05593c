package helseidtest

import (
	"slices"

	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/internal/jose"
)

// ownAccessToken checks an access token of this server. The problem is worded as the
// end of a sentence.
func (s *Server) ownAccessToken(token string) (claims jose.Object, problem string) {
	typ, claims, problem := s.ownToken(token)
	switch {
	case problem != "":
		return claims, problem
	case jose.MediaType(typ) != jose.MediaType("at+jwt"):
		return claims, "is not an access token"
	}
	now := s.Now().Unix()
	if exp, ok := claims.Get("exp").Seconds(); !ok || s.demands(rule.Expiry) && now >= exp {
		return claims, "has expired"
	}
	if nbf, ok := claims.Get("nbf").Seconds(); ok && nbf > now {
		return claims, "is not valid yet"
	}
	id, _ := claims.Get("jti").Text()
	s.logins.mu.Lock()
	defer s.logins.mu.Unlock()
	if known := s.logins.access[id]; known != nil && known.revoked {
		return claims, "is revoked"
	}
	return claims, ""
}

// ownToken checks signature and issuer of a token.
func (s *Server) ownToken(token string) (typ string, claims jose.Object, problem string) {
	compact, err := jose.ParseCompact(token, maxForm)
	if err != nil {
		return "", claims, "is not a JWS in compact form"
	}
	s.mu.Lock()
	keys := slices.Clone(s.keys)
	s.mu.Unlock()
	kid, _ := compact.Header.Get("kid").Text()
	if !slices.ContainsFunc(keys, func(key *signingKey) bool {
		return key.ID() == kid && compact.Verify(key.public) == nil
	}) {
		return "", claims, "is not signed by this server"
	}
	if claims, err = jose.ParseObject(compact.Payload); err != nil {
		return "", claims, "has claims that are not strict JSON"
	}
	if issuer, _ := claims.Get("iss").Text(); issuer != s.issuer {
		return "", claims, "is another issuer's"
	}
	typ, _ = compact.Header.Get("typ").Text()
	return typ, claims, ""
}
