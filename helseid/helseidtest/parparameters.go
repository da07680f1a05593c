package helseidtest

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/internal/orgnr"
)

func (s *Server) pushParameters(_ *authorization, form url.Values) *refusal {
	if s.demands(rule.Parameters) && form.Has("request_uri") {
		return invalidRequest("request_uri is not allowed in a pushed request")
	}
	if responseType := form.Get("response_type"); s.demands(rule.ResponseType) && responseType != "code" {
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
	case s.demands(rule.RedirectURI) && !registeredURI(pushed.client.RedirectURIs, pushed.redirectURI):
		return invalidRequest("redirect_uri is not registered for the client")
	}
	return nil
}

// registeredURI compares the texts, except for the port of a loopback address.
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
	if s.demands(rule.OpenID) {
		if len(pushed.scopes) == 0 {
			return invalidRequest("scope is missing")
		}
		if !slices.Contains(pushed.scopes, "openid") {
			return invalidScope("scope does not hold openid")
		}
	}
	for _, scope := range pushed.scopes {
		if s.demands(rule.Scope) && !pushed.client.mayAsk(scope) {
			return invalidScope("a scope is not granted to the client")
		}
	}
	return nil
}

// mayAsk reports whether a login of the client may request the scope.
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
	if !s.demands(rule.PKCE) {
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
	if !s.demands(rule.Resource) {
		return nil
	}
	_, refused := audiencesOf(pushed.scopes, pushed.resources)
	return refused
}

func (s *Server) pushPrompt(pushed *authorization, form url.Values) *refusal {
	pushed.prompt = strings.Fields(form.Get("prompt"))
	if !s.demands(rule.Prompt) {
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
		if s.demands(rule.MaxAge) {
			return invalidRequest("max_age is not a number of seconds")
		}
		return nil
	}
	pushed.maxAge = time.Duration(seconds) * time.Second
	return nil
}

// pushTestLogin reads the parameters with which HelseID's test environment skips
// the login page.
func (s *Server) pushTestLogin(pushed *authorization, form url.Values) *refusal {
	pushed.testPID = form.Get("test_pid")
	level := form.Get("test_security_level")
	pushed.testLevel = map[string]int{"2": 2, "3": 3, "4": 4}[level]
	_, known := s.userByNumber(pushed.testPID)
	if !s.demands(rule.TestLogin) {
		if !known {
			pushed.testPID = ""
		}
		return nil
	}
	switch {
	case !form.Has("test_pid") && !form.Has("test_security_level"):
	case pushed.acr.idp != mint.TestIdentityProvider:
		return invalidRequest("test_pid and test_security_level need acr_values with idp:" + mint.TestIdentityProvider)
	case !known:
		return invalidRequest("test_pid is not one of this server's users")
	case level != "" && pushed.testLevel == 0:
		return invalidRequest("test_security_level is not 2, 3 or 4")
	}
	return nil
}

func (s *Server) pushOnBehalfOf(pushed *authorization, form url.Values) *refusal {
	pushed.onBehalfOf = form.Get("on_behalf_of")
	if !form.Has("on_behalf_of") || !s.demands(rule.OnBehalfOf) {
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
	if s.demands(rule.Binding) {
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
