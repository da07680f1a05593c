package helseidtest

import (
	"net/http"

	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
)

// serveRevocation revokes a refresh token and all others of its login (RFC 7009).
// HelseID's access tokens cannot be revoked.
func (s *Server) serveRevocation(w http.ResponseWriter, r *http.Request) {
	if refused := s.revoke(r); refused != nil {
		refused.write(w)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (s *Server) revoke(r *http.Request) *refusal {
	client, _, refused := s.authenticate(r)
	if refused != nil {
		return refused
	}
	value := r.PostForm.Get("token")
	if value == "" {
		return invalidRequest("token is missing")
	}
	if _, _, problem := s.ownToken(value); problem == "" {
		return &refusal{http.StatusBadRequest, "unsupported_token_type", "only refresh tokens can be revoked"}
	}
	s.logins.mu.Lock()
	defer s.logins.mu.Unlock()
	token := s.logins.refresh[value]
	switch {
	case token == nil: // nothing to do, and a success (section 2.2)
	case s.demands(rule.SameClient) && token.client.ID != client.ID:
		return invalidGrant("the refresh token is another client's")
	default:
		token.revoked = true
	}
	return nil
}
