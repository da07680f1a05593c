package helseidtest

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest/internal/claim"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

// issuance describes an access token that a grant has approved.
type issuance struct {
	client    *Client
	proof     *dpop.Proof // nil for a bearer token
	scopes    []string
	audiences []string
	details   map[string]any // claims made from the details

	grant *grant // of a user, or nil
	more  []mint.TokenOption
}

// issue mints the token and makes the response.
func (s *Server) issue(i *issuance) (map[string]any, *refusal) {
	scopes, rejected := i.client.signedScopes(i.scopes, i.details)
	tokenType, binding := "Bearer", mint.Unbound()
	if i.proof != nil {
		tokenType, binding = "DPoP", mint.BoundTo(i.proof.Thumbprint)
	}
	opts := []mint.TokenOption{
		mint.ClientID(i.client.ID), audienceOrNone(i.audiences), mint.Scopes(scopes...), binding,
		mint.Claim(claim.ClientName, i.client.Name), mint.Claim(claim.Parent, i.client.ParentOrganization), with(i.details),
	}
	for name, value := range i.client.AudienceClaims {
		if api, _, _ := strings.Cut(name, "/client/claims/"); slices.Contains(i.audiences, api) {
			opts = append(opts, mint.Claim(name, value))
		}
	}
	if i.grant != nil {
		opts = append(opts, with(s.claimsForAPIs(i.grant.login, i.audiences)))
		if i.grant.onBehalfOf != "" {
			opts = append(opts, mint.Claim(claim.OnBehalfOf, i.grant.onBehalfOf))
		}
	}
	opts = append(opts, i.more...)
	s.mu.Lock()
	opts = append(opts, s.alterAccessTokens...)
	s.mu.Unlock()
	if i.grant != nil {
		opts = append(opts, s.remembered(i.grant))
	}
	token, err := s.minter.AccessToken(opts...)
	if err != nil {
		return nil, &refusal{http.StatusInternalServerError, "server_error", "the token could not be made"}
	}
	response := map[string]any{
		"access_token": token,
		"token_type":   tokenType,
		"expires_in":   int64(s.options.tokenLifetime / time.Second),
		"scope":        strings.Join(scopes, " "),
	}
	if len(rejected) > 0 {
		response["rejected_scope"] = strings.Join(rejected, " ")
	}
	return response, nil
}

// remembered stores the login for which a token was issued.
func (s *Server) remembered(granted *grant) mint.TokenOption {
	return mint.Claims(func(claims map[string]any) {
		if id, ok := claims["jti"].(string); ok {
			expiry := s.Now().Add(s.options.tokenLifetime)
			s.logins.mu.Lock()
			defer s.logins.mu.Unlock()
			s.logins.access[id] = &accessToken{granted, expiry}
		}
	})
}

// audienceOrNone leaves out aud if the token is for userinfo only.
func audienceOrNone(audiences []string) mint.TokenOption {
	if len(audiences) == 0 {
		return mint.Claim("aud", nil)
	}
	return mint.Audience(audiences...)
}

// with adds claims.
func with(values map[string]any) mint.TokenOption {
	return mint.Claims(func(claims map[string]any) { maps.Copy(claims, values) })
}
