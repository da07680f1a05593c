package helseidtest

import (
	"crypto/rand"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/internal/jose"
)

// defaultRefreshLifetime is this server's choice. HelseID does not publish its own.
const defaultRefreshLifetime = 8 * time.Hour

// RefreshTokenLifetime sets how long a login can be refreshed, counted from its code,
// however often its refresh token rotates. The default is eight hours.
func RefreshTokenLifetime(lifetime time.Duration) Option {
	return option(func(o *options) { o.refreshLifetime = lifetime })
}

// WithoutRotation responds to refreshes without a new refresh token, so that the old
// one stays valid.
func WithoutRotation() Option { return option(func(o *options) { o.withoutRotation = true }) }

// newRefreshToken makes and stores a refresh token.
func (s *Server) newRefreshToken(granted *grant) string {
	now := s.Now()
	s.logins.mu.Lock()
	defer s.logins.mu.Unlock()
	s.logins.sweep(now)
	return s.logins.newRefreshToken(granted)
}

func (l *logins) newRefreshToken(granted *grant) string {
	token := rand.Text() + rand.Text()
	l.refresh[token] = &refreshToken{grant: granted}
	return token
}

func (s *Server) addRefreshToken(response map[string]any, granted *grant, token string) {
	response["refresh_token"] = token
	response["rt_expires_in"] = max(0, int64(granted.expiry.Sub(s.Now())/time.Second))
}

// refreshGrant renews tokens (RFC 6749 section 6). The refresh token is marked as used
// last, and only by a request that passes all other checks.
func (s *Server) refreshGrant(form url.Values, client *Client, assertion jose.Object, proof *dpop.Proof) (map[string]any, *refusal) {
	value := form.Get("refresh_token")
	if value == "" {
		return nil, invalidRequest("refresh_token is missing")
	}
	granted, refused := s.checkRefreshToken(value, client, proof)
	if refused != nil {
		return nil, refused
	}
	scopes := granted.scopes
	if form.Has("scope") {
		scopes = strings.Fields(form.Get("scope"))
		for _, scope := range scopes {
			if s.demands(rule.Scope) && !slices.Contains(granted.scopes, scope) {
				return nil, invalidScope("a scope was not granted in the login")
			}
		}
	}
	issue := &issuance{client: client, proof: proof, grant: granted}
	if issue.details, refused = s.userDetails(client, assertion, granted.authorization); refused != nil {
		return nil, refused
	}
	if issue.scopes, issue.audiences, refused = s.forUser(granted.authorization, scopes, form["resource"]); refused != nil {
		return nil, refused
	}
	response, refused := s.issue(issue)
	if refused != nil {
		return nil, refused
	}
	if slices.Contains(granted.scopes, "openid") {
		if refused := s.addIDToken(response, granted, false); refused != nil {
			return nil, refused
		}
	}
	if s.options.withoutRotation {
		return response, nil
	}
	next, refused := s.rotate(value)
	if refused != nil {
		return nil, refused
	}
	s.addRefreshToken(response, granted, next)
	return response, nil
}

func (s *Server) checkRefreshToken(value string, client *Client, proof *dpop.Proof) (*grant, *refusal) {
	now := s.Now()
	s.logins.mu.Lock()
	defer s.logins.mu.Unlock()
	token := s.logins.refresh[value]
	switch {
	case token == nil:
		return nil, invalidGrant("the refresh token is unknown")
	case s.demands(rule.SameClient) && token.client.ID != client.ID:
		return nil, invalidGrant("the refresh token is another client's")
	case token.revoked:
		return nil, invalidGrant("the refresh token is revoked")
	case s.demands(rule.Expiry) && !now.Before(token.grant.expiry):
		return nil, invalidGrant("the refresh token has expired")
	case s.demands(rule.Binding) && token.grant.binding != "" && (proof == nil || proof.Thumbprint != token.grant.binding):
		return nil, invalidGrant("the refresh token is bound to another DPoP key")
	}
	if refused := s.refuseReuse(token); refused != nil {
		return nil, refused
	}
	return token.grant, nil
}

// refuseReuse revokes all refresh tokens of the login when a token is used a second
// time, since one of its users is not its owner (RFC 9700 section 4.14.2).
func (s *Server) refuseReuse(token *refreshToken) *refusal {
	if !token.used || !s.demands(rule.SingleUse) {
		return nil
	}
	token.revoked = true
	return invalidGrant("the refresh token has been used before: all that stem from its login are revoked")
}

// rotate marks a checked token as used, unless another request has done so meanwhile.
func (s *Server) rotate(value string) (next string, refused *refusal) {
	s.logins.mu.Lock()
	defer s.logins.mu.Unlock()
	token := s.logins.refresh[value]
	if token == nil || token.revoked {
		return "", invalidGrant("the refresh token is revoked")
	}
	if refused := s.refuseReuse(token); refused != nil {
		return "", refused
	}
	token.used = true
	return s.logins.newRefreshToken(token.grant), nil
}
