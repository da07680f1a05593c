package helseidtest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest/internal/answer"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/internal/jose"
)

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

// authenticate runs the first checks of all endpoints that require client
// authentication: PAR, token and revocation.
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
