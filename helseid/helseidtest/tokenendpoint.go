package helseidtest

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest/internal/answer"
	"github.com/helseid-go/sdk/helseid/helseidtest/internal/claim"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/internal/jose"
)

// refusal is an OAuth error answer (RFC 6749 section 5.2).
type refusal struct {
	status      int
	code        string
	description string
}

func invalidRequest(description string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_request", description}
}

func invalidClient(description string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_client", description}
}

func invalidScope(description string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_scope", description}
}

func invalidGrant(description string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_grant", description}
}

func invalidTarget(description string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_target", description}
}

func unauthorizedClient(description string) *refusal {
	return &refusal{http.StatusBadRequest, "unauthorized_client", description}
}

func (r *refusal) write(w http.ResponseWriter) {
	answer.JSON(w, r.status, map[string]string{"error": r.code, "error_description": r.description})
}

func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	response, refused := s.token(w, r)
	if refused != nil {
		refused.write(w)
		return
	}
	s.mu.Lock()
	changes := slices.Clone(s.alterResponse)
	s.mu.Unlock()
	for _, change := range changes {
		change(response)
	}
	answer.JSON(w, http.StatusOK, response)
}

const (
	grantClientCredentials = "client_credentials"
	grantCode              = "authorization_code"
	grantRefresh           = "refresh_token"
	grantExchange          = "urn:ietf:params:oauth:grant-type:token-exchange"
)

func (s *Server) token(w http.ResponseWriter, r *http.Request) (map[string]any, *refusal) {
	client, assertion, refused := s.authenticate(r)
	if refused != nil {
		return nil, refused
	}
	var proof *dpop.Proof // nil for a bearer token
	if len(r.Header.Values(dpop.HeaderName)) > 0 || !client.AllowBearer {
		if proof, refused = s.checkProof(w, r, EndpointToken); refused != nil {
			return nil, refused
		}
	}
	grants := map[string]func(url.Values, *Client, jose.Object, *dpop.Proof) (map[string]any, *refusal){
		grantClientCredentials: s.clientCredentials,
		grantCode:              s.codeGrant,
		grantRefresh:           s.refreshGrant,
		grantExchange:          s.exchange,
	}
	name := r.PostForm.Get("grant_type")
	serve, known := grants[name]
	switch {
	case name == "":
		return nil, &refusal{http.StatusBadRequest, "unsupported_grant_type", "grant_type is missing"}
	case !known:
		return nil, &refusal{http.StatusBadRequest, "unsupported_grant_type", "the grant type is not known"}
	case s.demands(rule.GrantType) && !slices.Contains(client.GrantTypes, name):
		return nil, unauthorizedClient("the grant type is not allowed for the client")
	}
	return serve(r.PostForm, client, assertion, proof)
}

// authenticate does what all endpoints begin with that take a client's
// credentials: PAR, token and revocation.
func (s *Server) authenticate(r *http.Request) (*Client, jose.Object, *refusal) {
	if r.Method != http.MethodPost {
		return nil, jose.Object{}, invalidRequest("the endpoint takes POST only")
	}
	if contentType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); contentType != "application/x-www-form-urlencoded" {
		return nil, jose.Object{}, invalidRequest("the Content-Type is not application/x-www-form-urlencoded")
	}
	for name, values := range r.PostForm {
		if len(values) > 1 && name != "resource" && s.demands(rule.Parameters) {
			return nil, jose.Object{}, invalidRequest("a parameter is repeated")
		}
	}
	if r.PostForm.Get("client_assertion_type") != clientassertion.Type {
		return nil, jose.Object{}, invalidClient("client_assertion_type is not " + clientassertion.Type)
	}
	return s.checkAssertion(r.PostForm.Get("client_id"), r.PostForm.Get("client_assertion"))
}

// checkProof demands a valid proof for an endpoint that takes POST, with a nonce
// of this server.
func (s *Server) checkProof(w http.ResponseWriter, r *http.Request, endpoint Endpoint) (*dpop.Proof, *refusal) {
	proof, refused := s.checkProofFor(r, dpop.Expectation{Method: http.MethodPost, URI: s.issuer + string(endpoint)})
	if refused != nil {
		return nil, refused
	}
	if !s.acceptNonce(w, proof.Nonce) {
		return nil, &refusal{http.StatusBadRequest, "use_dpop_nonce", "a DPoP nonce of this server is required"}
	}
	return proof, nil
}

func (s *Server) checkProofFor(r *http.Request, expected dpop.Expectation) (*dpop.Proof, *refusal) {
	invalidProof := func(description string) *refusal {
		return &refusal{http.StatusBadRequest, "invalid_dpop_proof", description}
	}
	headers := r.Header.Values(dpop.HeaderName)
	if len(headers) != 1 {
		return nil, invalidProof("exactly one DPoP header is needed")
	}
	proof, err := s.verifier.Verify(r.Context(), headers[0], expected)
	if err != nil {
		var reason *dpop.ProofError
		if errors.As(err, &reason) {
			return nil, invalidProof(reason.Error())
		}
		return nil, &refusal{http.StatusServiceUnavailable, "temporarily_unavailable", "the replay store is full"}
	}
	return proof, nil
}

// nonceLifetime is how long a nonce can be used again. HelseID does not
// publish its own.
const nonceLifetime = 2 * time.Minute

// acceptNonce checks a nonce, and hands out a new one when it is refused or
// when each answer shall have one.
func (s *Server) acceptNonce(w http.ResponseWriter, nonce string) bool {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	expiry, known := s.nonces[nonce]
	accepted := known && now.Before(expiry)
	if s.nonceEach {
		accepted = nonce != "" && nonce == s.lastNonce
	}
	if !s.demands(rule.Nonce) && !s.nonceEach && nonce == "" {
		accepted = true
	}
	if !accepted || s.nonceEach {
		s.lastNonce = jose.NewID()
		s.nonces[s.lastNonce] = now.Add(nonceLifetime)
		w.Header().Set(dpop.NonceHeaderName, s.lastNonce)
	}
	for old, expiry := range s.nonces {
		if now.After(expiry) {
			delete(s.nonces, old)
		}
	}
	return accepted
}

func (s *Server) clientCredentials(form url.Values, client *Client, assertion jose.Object, proof *dpop.Proof) (map[string]any, *refusal) {
	scopes, refused := client.systemScopes(form.Get("scope"))
	if refused != nil {
		return nil, refused
	}
	list, refused := assertionDetails(assertion)
	if refused != nil {
		return nil, refused
	}
	details, refused := s.details(client, list)
	if refused != nil {
		return nil, refused
	}
	if client.MultiTenant && details[claim.Parent] == nil {
		return nil, detailRefusal("HID-1007", "a multi-tenant client names no organisation")
	}
	audiences, refused := audiencesOf(scopes, form["resource"])
	if refused != nil {
		return nil, refused
	}
	scopes = slices.DeleteFunc(scopes, func(scope string) bool { return !slices.Contains(audiences, apiName(scope)) })
	return s.issue(&issuance{client: client, proof: proof, scopes: scopes, audiences: audiences, details: details})
}

// systemScopes are the scopes asked for, all of which the client must have been
// granted, or all that it has.
func (c *Client) systemScopes(scope string) ([]string, *refusal) {
	scopes := strings.Fields(scope)
	if len(scopes) == 0 {
		return slices.DeleteFunc(slices.Clone(c.Scopes), isIdentityScope), nil
	}
	for _, scope := range scopes {
		if isIdentityScope(scope) {
			return nil, invalidScope("a system has no identity scopes")
		}
		if !slices.Contains(c.Scopes, scope) {
			return nil, invalidScope("a scope is not granted to the client")
		}
	}
	return scopes, nil
}

func isIdentityScope(scope string) bool {
	switch scope {
	case "openid", "profile", "offline_access":
		return true
	}
	return strings.HasPrefix(scope, "helseid://scopes/")
}

// apiName is the API that a scope belongs to: scope names start with it, up to
// a slash, or a backslash in older ones.
func apiName(scope string) string {
	if i := strings.IndexAny(scope, `/\`); i > 0 {
		return scope[:i]
	}
	return scope
}

// audiencesOf are the APIs of the scopes, or the resource asked for, which must
// be one of them.
func audiencesOf(scopes, resources []string) ([]string, *refusal) {
	var audiences []string
	for _, scope := range scopes {
		if name := apiName(scope); !isIdentityScope(scope) && !slices.Contains(audiences, name) {
			audiences = append(audiences, name)
		}
	}
	if len(resources) == 0 {
		return audiences, nil
	}
	for _, resource := range resources {
		if !slices.Contains(audiences, resource) {
			return nil, invalidTarget("the resource is not one of the scopes' APIs")
		}
	}
	return resources, nil
}
