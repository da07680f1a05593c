package helseidtest

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
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

func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	response, refused := s.token(w, r)
	if refused != nil {
		writeJSON(w, refused.status, map[string]string{"error": refused.code, "error_description": refused.description})
		return
	}
	writeJSON(w, http.StatusOK, response)
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) (map[string]any, *refusal) {
	if r.Method != http.MethodPost {
		return nil, invalidRequest("the token endpoint takes POST only")
	}
	if contentType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); contentType != "application/x-www-form-urlencoded" {
		return nil, invalidRequest("the Content-Type is not application/x-www-form-urlencoded")
	}
	for name, values := range r.PostForm {
		if len(values) > 1 && name != "resource" {
			return nil, invalidRequest("a parameter is repeated")
		}
	}
	if r.PostForm.Get("client_assertion_type") != clientassertion.Type {
		return nil, invalidClient("client_assertion_type is not " + clientassertion.Type)
	}
	client, assertion, refused := s.checkAssertion(r.PostForm.Get("client_id"), r.PostForm.Get("client_assertion"))
	if refused != nil {
		return nil, refused
	}
	var proof *dpop.Proof // nil for a bearer token
	if len(r.Header.Values(dpop.HeaderName)) > 0 || !client.AllowBearer {
		if proof, refused = s.checkProof(w, r); refused != nil {
			return nil, refused
		}
	}
	switch grant := r.PostForm.Get("grant_type"); {
	case grant == "":
		return nil, &refusal{http.StatusBadRequest, "unsupported_grant_type", "grant_type is missing"}
	case grant != "client_credentials":
		return nil, &refusal{http.StatusBadRequest, "unsupported_grant_type", "this server knows client_credentials only"}
	case !slices.Contains(client.GrantTypes, grant):
		return nil, &refusal{http.StatusBadRequest, "unauthorized_client", "the grant type is not allowed for the client"}
	}
	return s.clientCredentials(r, client, assertion, proof)
}

// checkProof demands a valid proof with a nonce of this server.
func (s *Server) checkProof(w http.ResponseWriter, r *http.Request) (*dpop.Proof, *refusal) {
	invalidProof := func(description string) *refusal {
		return &refusal{http.StatusBadRequest, "invalid_dpop_proof", description}
	}
	headers := r.Header.Values(dpop.HeaderName)
	if len(headers) != 1 {
		return nil, invalidProof("exactly one DPoP header is needed")
	}
	proof, err := s.verifier.Verify(r.Context(), headers[0], dpop.Expectation{
		Method: http.MethodPost,
		URI:    s.issuer + string(EndpointToken),
	})
	if err != nil {
		var reason *dpop.ProofError
		if errors.As(err, &reason) {
			return nil, invalidProof(reason.Error())
		}
		return nil, &refusal{http.StatusServiceUnavailable, "temporarily_unavailable", "the replay store is full"}
	}
	if !s.acceptNonce(w, proof.Nonce) {
		return nil, &refusal{http.StatusBadRequest, "use_dpop_nonce", "a DPoP nonce of this server is required"}
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
	if s.options.relaxedNonce && !s.nonceEach && nonce == "" {
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

func (s *Server) clientCredentials(r *http.Request, client *Client, assertion jose.Object, proof *dpop.Proof) (map[string]any, *refusal) {
	scopes := strings.Fields(r.PostForm.Get("scope"))
	if len(scopes) == 0 {
		scopes = client.Scopes
	}
	for _, scope := range scopes {
		if isIdentityScope(scope) {
			return nil, invalidScope("a system has no identity scopes")
		}
		if !slices.Contains(client.Scopes, scope) {
			return nil, invalidScope("a scope is not granted to the client")
		}
	}
	details, refused := s.details(client, assertion)
	if refused != nil {
		return nil, refused
	}
	audiences, refused := audiencesOf(scopes, r.PostForm["resource"])
	if refused != nil {
		return nil, refused
	}
	scopes = slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool {
		return !slices.Contains(audiences, apiName(scope))
	})
	parent, ok := details[claimParent].(string)
	if !ok {
		parent = client.ParentOrganization
	}
	var rejected []string
	scopes = slices.DeleteFunc(scopes, func(scope string) bool {
		unsigned := slices.Contains(client.UnsignedTerms[parent], scope)
		if unsigned {
			rejected = append(rejected, scope)
		}
		return unsigned
	})
	tokenType, binding := "Bearer", Unbound()
	if proof != nil {
		tokenType, binding = "DPoP", BoundTo(proof.Thumbprint)
	}
	token, err := s.mint(
		ClientID(client.ID), Audience(audiences...), Scopes(scopes...), binding,
		Claim(claimClientName, client.Name), Claim(claimParent, client.ParentOrganization), claims(details),
	)
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

func isIdentityScope(scope string) bool {
	switch scope {
	case "openid", "profile", "offline_access":
		return true
	}
	return strings.HasPrefix(scope, "helseid://scopes/identity/") || strings.HasPrefix(scope, "helseid://scopes/hpr/")
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
		if name := apiName(scope); !slices.Contains(audiences, name) {
			audiences = append(audiences, name)
		}
	}
	if len(resources) == 0 {
		return audiences, nil
	}
	for _, resource := range resources {
		if !slices.Contains(audiences, resource) {
			return nil, &refusal{http.StatusBadRequest, "invalid_target", "the resource is not one of the scopes' APIs"}
		}
	}
	return resources, nil
}
