package helseidtest

import (
	"net/url"
	"strings"
)

// AlterIDTokens applies options to all ID tokens that the token endpoint issues
// from now on, in place of those of an earlier call. Without any it ends.
func (s *Server) AlterIDTokens(opts ...TokenOption) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alterIDTokens = opts
}

// AlterAccessTokens does the same to access tokens.
func (s *Server) AlterAccessTokens(opts ...TokenOption) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alterAccessTokens = opts
}

// AlterTokenResponse changes the successful answers of the token endpoint from
// now on, in place of the changes of an earlier call. Without any it ends.
// WithoutExpiresIn and LowerCaseTokenType are such changes.
func (s *Server) AlterTokenResponse(changes ...func(response map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alterResponse = changes
}

// WithoutExpiresIn leaves out what is recommended only (RFC 6749 section 5.1).
func WithoutExpiresIn(response map[string]any) { delete(response, "expires_in") }

// LowerCaseTokenType writes token_type in lower case: its case does not matter
// (RFC 6749 section 5.1).
func LowerCaseTokenType(response map[string]any) {
	if tokenType, ok := response["token_type"].(string); ok {
		response["token_type"] = strings.ToLower(tokenType)
	}
}

// AlterCallback changes the parameters with which browsers are sent back to
// clients from now on. Nil ends it.
func (s *Server) AlterCallback(change func(parameters url.Values)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alterCallback = change
}
