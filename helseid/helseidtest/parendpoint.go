package helseidtest

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest/internal/answer"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
)

const (
	requestURIPrefix = "urn:ietf:params:oauth:request_uri:"

	// requestURILifetime is this server's choice. HelseID does not publish its own.
	requestURILifetime = time.Minute
)

// authorization is a pushed authorization request.
type authorization struct {
	client      *Client
	redirectURI string
	state       string
	nonce       string
	challenge   string
	method      string // of the challenge
	scopes      []string
	resources   []string
	acr         acrValues
	prompt      []string
	maxAge      time.Duration // negative: any
	testPID     string
	testLevel   int
	onBehalfOf  string
	binding     string         // thumbprint of the DPoP key, or ""
	details     map[string]any // of the request object, or nil
	expiry      time.Time
	used        bool
}

func (a *authorization) asks(prompt string) bool { return slices.Contains(a.prompt, prompt) }

// servePAR serves pushed authorization requests (RFC 9126).
func (s *Server) servePAR(w http.ResponseWriter, r *http.Request) {
	pushed, refused := s.push(w, r)
	if refused != nil {
		refused.write(w)
		return
	}
	requestURI := requestURIPrefix + rand.Text()
	s.logins.mu.Lock()
	s.logins.sweep(s.Now())
	s.logins.pushed[requestURI] = pushed
	s.logins.mu.Unlock()
	answer.JSON(w, http.StatusCreated, map[string]any{
		"request_uri": requestURI,
		"expires_in":  int64(requestURILifetime / time.Second),
	})
}

func (s *Server) push(w http.ResponseWriter, r *http.Request) (*authorization, *refusal) {
	client, assertion, refused := s.authenticate(r)
	if refused != nil {
		return nil, refused
	}
	pushed := &authorization{
		client: client,
		state:  r.PostForm.Get("state"),
		nonce:  r.PostForm.Get("nonce"),
		expiry: s.Now().Add(requestURILifetime),
	}
	if len(r.Header.Values(dpop.HeaderName)) > 0 || s.options.proofAtPAR {
		proof, refused := s.checkProof(w, r, EndpointPAR)
		if refused != nil {
			return nil, refused
		}
		pushed.binding = proof.Thumbprint
	}
	if s.demands(rule.GrantType) && !slices.Contains(client.GrantTypes, grantCode) {
		return nil, unauthorizedClient("the grant type authorization_code is not allowed for the client")
	}
	if s.demands(rule.Details) && (assertion.Has("assertion_details") || assertion.Has("authorization_details")) {
		return nil, detailRefusal("HID-1009", "details belong in the request object of a pushed request, not in its client assertion")
	}
	for _, check := range []func(*authorization, url.Values) *refusal{
		s.pushParameters, s.pushRedirectURI, s.pushScopes, s.pushChallenge, s.pushResources, s.pushACRValues,
		s.pushPrompt, s.pushMaxAge, s.pushTestLogin, s.pushOnBehalfOf, s.pushBinding, s.pushRequestObject,
	} {
		if refused := check(pushed, r.PostForm); refused != nil {
			return nil, refused
		}
	}
	return pushed, nil
}

// Identity providers that HelseID's documents and samples name.
const (
	idportenIDP = "idporten-oidc"
)

func (s *Server) identityProviders() []string {
	providers := []string{idportenIDP, "buypass-oidc", mint.TestIdentityProvider, "testidpnew-oidc"}
	for _, user := range s.Users() {
		if !slices.Contains(providers, user.IdentityProvider) {
			providers = append(providers, user.IdentityProvider)
		}
	}
	return providers
}

// acrValues are a client's requirements for a login.
type acrValues struct {
	all   []string
	idp   string
	amr   string
	level int // 4 or 0
}

func (s *Server) pushACRValues(pushed *authorization, form url.Values) *refusal {
	acr := acrValues{all: strings.Fields(form.Get("acr_values"))}
	for _, value := range acr.all {
		kind, rest, _ := strings.Cut(value, ":")
		switch {
		case value == "Level4" || value == "High":
			acr.level = 4
		case value == "bp:amr:sc":
			acr.amr = "sc"
		case kind == "idp" && (!s.demands(rule.ACRValues) || slices.Contains(s.identityProviders(), rest)):
			acr.idp = rest
		case kind == "idp":
			return invalidRequest("acr_values names an identity provider that is not known")
		case kind == "amr" && slices.Contains([]string{"bankid", "buypass", "commfides", "minid"}, rest):
			acr.amr = rest
		case s.demands(rule.ACRValues):
			return invalidRequest("acr_values has a value that is not known")
		}
	}
	pushed.acr = acr
	return nil
}
