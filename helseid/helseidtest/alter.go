package helseidtest

import (
	"net/url"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

// AlterIDTokens applies options to all ID tokens that the token endpoint issues from
// now on. They replace those of an earlier call; without options, tokens are no longer
// changed.
func (s *Server) AlterIDTokens(opts ...mint.TokenOption) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alterIDTokens = opts
}

// AlterAccessTokens applies options to all access tokens that the token endpoint issues
// from now on. They replace those of an earlier call; without options, tokens are no
// longer changed.
func (s *Server) AlterAccessTokens(opts ...mint.TokenOption) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alterAccessTokens = opts
}

// AlterTokenResponse changes the successful responses of the token endpoint from now
// on. The changes replace those of an earlier call; without any, responses are no
// longer changed.
func (s *Server) AlterTokenResponse(changes ...func(response map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alterResponse = changes
}

// AlterCallback changes the parameters with which browsers are sent back to clients
// from now on. Nil stops it.
func (s *Server) AlterCallback(change func(parameters url.Values)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alterCallback = change
}
