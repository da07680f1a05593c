package helseidtest

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"slices"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/internal/jose"
)

var verifierSyntax = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// codeGrant redeems a code (RFC 6749 section 4.1.3, RFC 7636).
func (s *Server) codeGrant(form url.Values, client *Client, assertion jose.Object, proof *dpop.Proof) (map[string]any, *refusal) {
	if form.Get("code") == "" {
		return nil, invalidRequest("code is missing")
	}
	if s.demands(rule.Parameters) && form.Has("scope") {
		return nil, invalidRequest("scope is not allowed with a code")
	}
	redeemed, refused := s.takeCode(form, client, proof)
	if refused != nil {
		return nil, refused
	}
	granted := redeemed.grant
	issue := &issuance{client: client, proof: proof, grant: granted}
	if issue.details, refused = s.userDetails(client, assertion, redeemed.authorization); refused != nil {
		return nil, refused
	}
	issue.scopes, issue.audiences, refused = s.forUser(redeemed.authorization, redeemed.scopes, form["resource"])
	if refused != nil {
		return nil, refused
	}
	response, refused := s.issue(issue)
	if refused != nil {
		return nil, refused
	}
	if slices.Contains(redeemed.scopes, "openid") {
		if refused := s.addIDToken(response, granted, true); refused != nil {
			return nil, refused
		}
	}
	if slices.Contains(redeemed.scopes, "offline_access") {
		s.addRefreshToken(response, granted, s.newRefreshToken(granted))
	}
	return response, nil
}

// takeCode checks a code and marks it as used, whether the request succeeds or not. A
// request by another client or with a wrong verifier uses it, too, so that nobody can
// try again.
func (s *Server) takeCode(form url.Values, client *Client, proof *dpop.Proof) (*code, *refusal) {
	now := s.Now()
	s.logins.mu.Lock()
	defer s.logins.mu.Unlock()
	found := s.logins.codes[form.Get("code")]
	if found == nil {
		return nil, invalidGrant("the code is unknown")
	}
	if s.demands(rule.SameClient) && found.client.ID != client.ID {
		return nil, invalidGrant("the code is another client's")
	}
	if s.demands(rule.SingleUse) && found.used {
		if found.grant != nil {
			found.grant.revoked = true
		}
		return nil, invalidGrant("the code has been used before: what was issued from it is revoked")
	}
	found.used = true
	if s.demands(rule.Expiry) && !now.Before(found.expiry) {
		return nil, invalidGrant("the code has expired")
	}
	if s.demands(rule.RedirectURI) && form.Get("redirect_uri") != found.redirectURI {
		return nil, invalidGrant("redirect_uri is not the one that was pushed")
	}
	if s.demands(rule.Binding) && found.binding != "" && (proof == nil || proof.Thumbprint != found.binding) {
		return nil, invalidGrant("the code is bound to another DPoP key")
	}
	if refused := s.checkVerifier(form.Get("code_verifier"), found.challenge); refused != nil {
		return nil, refused
	}
	found.grant = &grant{authorization: found.authorization, login: found.login, expiry: now.Add(s.options.refreshLifetime)}
	if proof != nil {
		found.grant.binding = proof.Thumbprint
	}
	redeemed := *found
	return &redeemed, nil
}

func (s *Server) checkVerifier(verifier, challenge string) *refusal {
	if !s.demands(rule.PKCE) {
		return nil
	}
	hash := sha256.Sum256([]byte(verifier))
	switch {
	case verifier == "":
		return invalidGrant("code_verifier is missing")
	case !verifierSyntax.MatchString(verifier):
		return invalidGrant("code_verifier is not 43 to 128 unreserved characters")
	case base64.RawURLEncoding.EncodeToString(hash[:]) != challenge:
		return invalidGrant("code_verifier does not fit code_challenge")
	}
	return nil
}

// userDetails are those of the request object, for the whole session, or those
// of this request's client assertion. A multi-tenant client may do without.
func (s *Server) userDetails(client *Client, assertion jose.Object, authorized *authorization) (map[string]any, *refusal) {
	list, refused := assertionDetails(assertion)
	if refused != nil {
		return nil, refused
	}
	if authorized.details == nil {
		return s.details(client, list)
	}
	if len(list) > 0 && s.demands(rule.Details) {
		return nil, &refusal{http.StatusBadRequest, "access_denied", "HID-DOUBLE-STRUCTURE: the login's request object has details, and so has the client assertion"}
	}
	return authorized.details, nil
}

// forUser finds the scopes and audiences of a user's token: those of the login,
// narrowed by scope and resource.
func (s *Server) forUser(authorized *authorization, scopes, resources []string) (narrowed, audiences []string, refused *refusal) {
	if len(resources) > 1 && s.demands(rule.Resource) {
		return nil, nil, invalidTarget("a token is for one resource, or for all of the login")
	}
	for _, resource := range resources {
		if s.demands(rule.Resource) && len(authorized.resources) > 0 && !slices.Contains(authorized.resources, resource) {
			return nil, nil, invalidTarget("the resource is not one of the login's")
		}
	}
	if len(resources) > 0 {
		if _, refused := audiencesOf(scopes, resources); refused != nil && s.demands(rule.Resource) {
			return nil, nil, refused
		}
		audiences = resources
	} else {
		audiences, _ = audiencesOf(scopes, nil)
		if len(authorized.resources) > 0 {
			audiences = slices.DeleteFunc(audiences, func(name string) bool { return !slices.Contains(authorized.resources, name) })
		}
	}
	narrowed = slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool {
		return !isIdentityScope(scope) && !slices.Contains(audiences, apiName(scope))
	})
	return narrowed, audiences, nil
}
