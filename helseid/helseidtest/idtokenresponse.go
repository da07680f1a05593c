package helseidtest

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/claim"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

// addIDToken adds an ID token to a token response. Only the first one, for the code,
// has the nonce.
func (s *Server) addIDToken(response map[string]any, granted *grant, first bool) *refusal {
	claims := granted.login.claims()
	maps.Copy(claims, claimsForScopes(granted.login, granted.scopes))
	if granted.onBehalfOf != "" {
		claims[claim.OnBehalfOf] = granted.onBehalfOf
	}
	accessToken, _ := response["access_token"].(string)
	claims["at_hash"] = halfHash(accessToken)
	if first {
		if granted.nonce != "" {
			claims["nonce"] = granted.nonce
		}
		if granted.state != "" {
			claims["s_hash"] = halfHash(granted.state)
		}
	}
	opts := []mint.TokenOption{mint.Audience(granted.client.ID), with(claims)}
	s.mu.Lock()
	opts = append(opts, s.alterIDTokens...)
	s.mu.Unlock()
	token, err := s.minter.IDToken(opts...)
	if err != nil {
		return &refusal{http.StatusInternalServerError, "server_error", "the ID token could not be made"}
	}
	response["id_token"] = token
	return nil
}

// halfHash returns the value of at_hash and similar claims, for RS256 (OpenID Connect
// Core section 3.1.3.6).
func halfHash(text string) string {
	hash := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(hash[:16])
}
