package helseidtest

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/helseid-go/sdk/internal/jose"
)

const (
	idTokenLifetime     = 5 * time.Minute
	logoutTokenLifetime = 2 * time.Minute
	logoutEvent         = "http://schemas.openid.net/event/backchannel-logout"
)

// IDToken mints an ID token as HelseID would, signed with the server's key.
// Without options it is that of the first of Server.Users, for the client
// "helseidtest-client" (Audience says another), without a nonce and without what
// takes a scope: the name, the numbers and the security level. Options add them.
// It panics if a claim cannot be written as JSON.
func (s *Server) IDToken(opts ...TokenOption) string {
	token, err := s.mintSpec(s.idTokenSpec(s.someLogin(), DefaultClientID), opts...)
	if err != nil {
		panic(err)
	}
	return token
}

// LogoutToken mints a logout token (OpenID Connect Back-Channel Logout 1.0), for
// the same user and client as IDToken. For one that ends a session of a real
// login, give it Audience with the client's id, and SessionID with
// session.User().SessionID. It panics if a claim cannot be written as
// JSON.
func (s *Server) LogoutToken(opts ...TokenOption) string {
	token, err := s.mintSpec(s.logoutTokenSpec(s.someLogin(), DefaultClientID), opts...)
	if err != nil {
		panic(err)
	}
	return token
}

func (s *Server) someLogin() login {
	user := s.Users()[0]
	return login{user, user.SecurityLevel, user.IdentityProvider, []string{"pwd"}, s.Now(), defaultSessionID}
}

func (s *Server) idTokenSpec(l login, clientID string) *tokenSpec {
	now := s.Now().Unix()
	spec := s.newSpec("JWT", map[string]any{
		"iss": s.issuer, "aud": clientID, "iat": now, "nbf": now, "exp": now + int64(idTokenLifetime/time.Second),
	})
	maps.Copy(spec.claims, l.claims())
	return spec
}

func (s *Server) logoutTokenSpec(l login, clientID string) *tokenSpec {
	now := s.Now().Unix()
	return s.newSpec("logout+jwt", map[string]any{
		"iss": s.issuer, "aud": clientID, "iat": now, "exp": now + int64(logoutTokenLifetime/time.Second), "jti": jose.NewID(),
		"sub": l.user.Subject, "sid": l.sid, "events": map[string]any{logoutEvent: map[string]any{}},
	})
}

// addIDToken adds one to a token response that has an access token. Only the
// first, that of the code, has the nonce.
func (s *Server) addIDToken(response map[string]any, granted *grant, first bool) *refusal {
	spec := s.idTokenSpec(granted.login, granted.client.ID)
	maps.Copy(spec.claims, claimsForScopes(granted.login, granted.scopes))
	if granted.onBehalfOf != "" {
		spec.claims[claimOnBehalfOf] = granted.onBehalfOf
	}
	accessToken, _ := response["access_token"].(string)
	spec.claims["at_hash"] = halfHash(accessToken)
	if first {
		if granted.nonce != "" {
			spec.claims["nonce"] = granted.nonce
		}
		if granted.state != "" {
			spec.claims["s_hash"] = halfHash(granted.state)
		}
	}
	s.mu.Lock()
	alter := slices.Clone(s.alterIDTokens)
	s.mu.Unlock()
	token, err := s.mintSpec(spec, alter...)
	if err != nil {
		return &refusal{http.StatusInternalServerError, "server_error", "the ID token could not be made"}
	}
	response["id_token"] = token
	return nil
}

// halfHash is the value of at_hash and its like, for RS256 (OpenID Connect Core
// section 3.1.3.6).
func halfHash(text string) string {
	hash := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(hash[:16])
}
