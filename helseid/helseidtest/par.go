package helseidtest

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/orgnr"
)

const (
	requestURIPrefix = "urn:ietf:params:oauth:request_uri:"

	// requestURILifetime is this server's. HelseID does not publish its own.
	requestURILifetime = time.Minute
)

// authorization is an authorization request as a client has pushed it.
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

// servePAR takes a pushed authorization request (RFC 9126).
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
	writeJSON(w, http.StatusCreated, map[string]any{
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
	if s.demands(RuleGrantType) && !slices.Contains(client.GrantTypes, grantCode) {
		return nil, unauthorizedClient("the grant type authorization_code is not allowed for the client")
	}
	if s.demands(RuleDetails) && (assertion.Has("assertion_details") || assertion.Has("authorization_details")) {
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

func (s *Server) pushParameters(_ *authorization, form url.Values) *refusal {
	if s.demands(RuleParameters) && form.Has("request_uri") {
		return invalidRequest("request_uri is not allowed in a pushed request")
	}
	if responseType := form.Get("response_type"); s.demands(RuleResponseType) && responseType != "code" {
		return &refusal{http.StatusBadRequest, "unsupported_response_type", "response_type is not code"}
	}
	return nil
}

func (s *Server) pushRedirectURI(pushed *authorization, form url.Values) *refusal {
	pushed.redirectURI = form.Get("redirect_uri")
	target, err := url.Parse(pushed.redirectURI)
	switch {
	case pushed.redirectURI == "":
		return unauthorizedClient("redirect_uri is missing")
	case err != nil || target.Scheme == "" || target.Fragment != "":
		return invalidRequest("redirect_uri is not an absolute URI without a fragment")
	case s.demands(RuleRedirectURI) && !registeredURI(pushed.client.RedirectURIs, pushed.redirectURI):
		return invalidRequest("redirect_uri is not registered for the client")
	}
	return nil
}

// registeredURI compares texts, but for the port of a loopback address.
func registeredURI(registered []string, target string) bool {
	asked, err := url.Parse(target)
	return err == nil && slices.ContainsFunc(registered, func(text string) bool {
		if text == target {
			return true
		}
		known, err := url.Parse(text)
		if err != nil || !isLoopbackRedirect(known) || !isLoopbackRedirect(asked) {
			return false
		}
		return known.Hostname() == asked.Hostname() && strings.Replace(target, "://"+asked.Host, "://"+known.Host, 1) == text
	})
}

func isLoopbackRedirect(u *url.URL) bool {
	return u.Scheme == "http" && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1")
}

func (s *Server) pushScopes(pushed *authorization, form url.Values) *refusal {
	pushed.scopes = strings.Fields(form.Get("scope"))
	if s.demands(RuleOpenID) {
		if len(pushed.scopes) == 0 {
			return invalidRequest("scope is missing")
		}
		if !slices.Contains(pushed.scopes, "openid") {
			return invalidScope("scope does not hold openid")
		}
	}
	for _, scope := range pushed.scopes {
		if s.demands(RuleScope) && !pushed.client.mayAsk(scope) {
			return invalidScope("a scope is not granted to the client")
		}
	}
	return nil
}

// mayAsk reports that a login of the client may ask for the scope.
func (c *Client) mayAsk(scope string) bool {
	switch {
	case scope == "offline_access":
		return slices.Contains(c.GrantTypes, grantRefresh)
	case isKnownIdentityScope(scope):
		return true
	}
	return slices.Contains(c.Scopes, scope)
}

func (s *Server) pushChallenge(pushed *authorization, form url.Values) *refusal {
	pushed.challenge, pushed.method = form.Get("code_challenge"), form.Get("code_challenge_method")
	if !s.demands(RulePKCE) {
		return nil
	}
	if pushed.method != "S256" {
		return invalidRequest("code_challenge_method is not S256")
	}
	if hash, err := base64.RawURLEncoding.Strict().DecodeString(pushed.challenge); err != nil || len(hash) != 32 {
		return invalidRequest("code_challenge is not a SHA-256 hash as 43 base64url characters")
	}
	return nil
}

func (s *Server) pushResources(pushed *authorization, form url.Values) *refusal {
	pushed.resources = form["resource"]
	if !s.demands(RuleResource) {
		return nil
	}
	_, refused := audiencesOf(pushed.scopes, pushed.resources)
	return refused
}

// Identity providers that HelseID's documents and samples name.
const (
	testIDP     = "testidp-oidc"
	idportenIDP = "idporten-oidc"
)

func (s *Server) identityProviders() []string {
	providers := []string{idportenIDP, "buypass-oidc", testIDP, "testidpnew-oidc"}
	for _, user := range s.Users() {
		if !slices.Contains(providers, user.IdentityProvider) {
			providers = append(providers, user.IdentityProvider)
		}
	}
	return providers
}

// acrValues are what a client wants of a login.
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
		case kind == "idp" && (!s.demands(RuleACRValues) || slices.Contains(s.identityProviders(), rest)):
			acr.idp = rest
		case kind == "idp":
			return invalidRequest("acr_values names an identity provider that is not known")
		case kind == "amr" && slices.Contains([]string{"bankid", "buypass", "commfides", "minid"}, rest):
			acr.amr = rest
		case s.demands(RuleACRValues):
			return invalidRequest("acr_values has a value that is not known")
		}
	}
	pushed.acr = acr
	return nil
}

func (s *Server) pushPrompt(pushed *authorization, form url.Values) *refusal {
	pushed.prompt = strings.Fields(form.Get("prompt"))
	if !s.demands(RulePrompt) {
		return nil
	}
	for _, prompt := range pushed.prompt {
		switch prompt {
		case "login", "consent", "select_account":
		case "none":
			if len(pushed.prompt) > 1 {
				return invalidRequest("prompt has none together with others")
			}
		default:
			return invalidRequest("prompt has a value that is not known")
		}
	}
	return nil
}

func (s *Server) pushMaxAge(pushed *authorization, form url.Values) *refusal {
	pushed.maxAge = -1
	text := form.Get("max_age")
	if !form.Has("max_age") {
		return nil
	}
	seconds, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		if s.demands(RuleMaxAge) {
			return invalidRequest("max_age is not a number of seconds")
		}
		return nil
	}
	pushed.maxAge = time.Duration(seconds) * time.Second
	return nil
}

// pushTestLogin reads the parameters that spare HelseID's test environment the
// login page.
func (s *Server) pushTestLogin(pushed *authorization, form url.Values) *refusal {
	pushed.testPID = form.Get("test_pid")
	level := form.Get("test_security_level")
	pushed.testLevel = map[string]int{"2": 2, "3": 3, "4": 4}[level]
	_, known := s.userByNumber(pushed.testPID)
	if !s.demands(RuleTestLogin) {
		if !known {
			pushed.testPID = ""
		}
		return nil
	}
	switch {
	case !form.Has("test_pid") && !form.Has("test_security_level"):
	case pushed.acr.idp != testIDP:
		return invalidRequest("test_pid and test_security_level need acr_values with idp:" + testIDP)
	case !known:
		return invalidRequest("test_pid is not one of this server's users")
	case level != "" && pushed.testLevel == 0:
		return invalidRequest("test_security_level is not 2, 3 or 4")
	}
	return nil
}

func (s *Server) pushOnBehalfOf(pushed *authorization, form url.Values) *refusal {
	pushed.onBehalfOf = form.Get("on_behalf_of")
	if !form.Has("on_behalf_of") || !s.demands(RuleOnBehalfOf) {
		return nil
	}
	if pushed.acr.idp != idportenIDP {
		return invalidRequest("on_behalf_of needs acr_values with idp:" + idportenIDP)
	}
	if !orgnr.IsNumber(pushed.onBehalfOf) {
		return invalidRequest("on_behalf_of is not an organisation number of nine digits")
	}
	return nil
}

// pushBinding binds the code to a key (RFC 9449 section 10).
func (s *Server) pushBinding(pushed *authorization, form url.Values) *refusal {
	thumbprint := form.Get("dpop_jkt")
	if !form.Has("dpop_jkt") {
		return nil
	}
	if s.demands(RuleBinding) {
		if hash, err := base64.RawURLEncoding.Strict().DecodeString(thumbprint); err != nil || len(hash) != 32 {
			return invalidRequest("dpop_jkt is not a thumbprint of 43 base64url characters")
		}
		if pushed.binding != "" && pushed.binding != thumbprint {
			return invalidRequest("dpop_jkt is not the thumbprint of the proof's key")
		}
	}
	pushed.binding = thumbprint
	return nil
}

// pushRequestObject reads a signed request object (RFC 9101), which carries
// details for the whole session.
func (s *Server) pushRequestObject(pushed *authorization, form url.Values) *refusal {
	if !form.Has("request") {
		return nil
	}
	compact, err := jose.ParseCompact(form.Get("request"), maxAssertion)
	if err != nil {
		return invalidObject("is not a JWS in compact form")
	}
	if !pushed.client.verifies(compact, s.Now()) {
		return invalidObject("is not signed with a registered key")
	}
	claims, err := jose.ParseObject(compact.Payload)
	if err != nil {
		return invalidObject("has claims that are not strict JSON")
	}
	if s.demands(RuleRequestObject) {
		if refused := s.checkRequestObject(pushed.client, compact, claims); refused != nil {
			return refused
		}
	}
	list, refused := detailList(claims.Get("authorization_details"))
	if refused != nil {
		return refused
	}
	if len(list) == 0 {
		return nil // which the rule allows only when it is relaxed
	}
	pushed.details, refused = s.details(pushed.client, list)
	return refused
}

func invalidObject(description string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_request_object", "the request object " + description}
}

func (s *Server) checkRequestObject(client *Client, compact *jose.Compact, claims jose.Object) *refusal {
	if typ, _ := compact.Header.Get("typ").Text(); typ != "client-authentication+jwt" {
		return invalidObject("has another typ than client-authentication+jwt")
	}
	for name, want := range map[string]string{"iss": client.ID, "client_id": client.ID, "aud": s.issuer} {
		if value, _ := claims.Get(name).Text(); value != want {
			return invalidObject("has a wrong " + name)
		}
	}
	now := s.Now().Unix()
	exp, ok := claims.Get("exp").Seconds()
	switch {
	case !ok:
		return invalidObject("has no exp")
	case exp-now > maxAssertionLifetime+clockTolerance:
		return invalidObject("lives longer than 60 seconds")
	case now >= exp+clockTolerance:
		return invalidObject("has expired")
	}
	if nbf, ok := claims.Get("nbf").Seconds(); !ok || nbf-now > clockTolerance || exp-nbf > maxAssertionLifetime {
		return invalidObject("has no nbf within 60 seconds before its exp, or is not valid yet")
	}
	if claims.Get("authorization_details").Absent() {
		return invalidObject("has no authorization_details")
	}
	id, _ := claims.Get("jti").Text()
	if id == "" {
		return invalidObject("has no jti")
	}
	if !s.firstUse("request object "+client.ID+" "+id, time.Unix(exp+clockTolerance, 0)) {
		return invalidObject("has been used before")
	}
	return nil
}
