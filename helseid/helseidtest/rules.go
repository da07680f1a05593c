package helseidtest

// Rule names something that the server demands of requests in user logins, token
// exchange and logout. Relaxed switches rules off.
type Rule string

// The rules. What the protocol cannot do without, such as a client assertion or
// a code that exists, has no rule here.
const (
	// RuleGrantType: the client is registered with the grant type.
	RuleGrantType Rule = "grant type"

	// RuleParameters: no parameter is repeated except resource, PAR has no
	// request_uri, the authorization endpoint is given client_id and request_uri
	// only, and a code is redeemed without scope.
	RuleParameters Rule = "parameters"

	// RuleResponseType: response_type is code.
	RuleResponseType Rule = "response type"

	// RuleRedirectURI: redirect_uri is registered and is the same at the token
	// endpoint, and so is post_logout_redirect_uri, which comes with a hint.
	RuleRedirectURI Rule = "redirect URI"

	// RuleOpenID: a login asks for openid, and userinfo takes tokens with it.
	RuleOpenID Rule = "openid"

	// RuleScope: the client is granted each scope, and a refresh asks for no
	// more than the login did.
	RuleScope Rule = "scope"

	// RulePKCE: a code has an S256 challenge, which the verifier fits.
	RulePKCE Rule = "PKCE"

	// RuleResource: each resource is the API of a scope of the login.
	RuleResource Rule = "resource"

	// RuleACRValues, RulePrompt, RuleMaxAge, RuleTestLogin and RuleOnBehalfOf:
	// the parameters that steer the login have known values, and fit together.
	RuleACRValues  Rule = "acr_values"
	RulePrompt     Rule = "prompt"
	RuleMaxAge     Rule = "max_age"
	RuleTestLogin  Rule = "test login"
	RuleOnBehalfOf Rule = "on_behalf_of"

	// RuleRequestObject: a request object has the claims that HelseID demands,
	// lives 60 seconds at most and is used once.
	RuleRequestObject Rule = "request object"

	// RuleSameClient: a request URI, a code or a refresh token is used by the
	// client that got it.
	RuleSameClient Rule = "same client"

	// RuleBinding: a code or a refresh token is used with the DPoP key that it
	// is bound to.
	RuleBinding Rule = "binding"

	// RuleSingleUse: a request URI, a code or a refresh token is used once. What
	// was issued from a code or refresh token that comes a second time is
	// revoked.
	RuleSingleUse Rule = "single use"

	// RuleExpiry: a request URI, a code, a refresh token or a subject token has
	// not expired.
	RuleExpiry Rule = "expiry"

	// RuleDetails: details are in the client assertion or in the request object
	// of the login, not in both, and never in the client assertion of PAR.
	RuleDetails Rule = "details"

	// RuleActor: tokens are exchanged by a client that owns their audience, and
	// that the subject's client names as an actor, in chains of bounded length.
	RuleActor Rule = "actor"

	// RuleUserInfoProof: a token that is bound to a key comes to userinfo with
	// the DPoP scheme and a proof.
	RuleUserInfoProof Rule = "userinfo proof"
)

// Relaxed switches rules off, for clients that have not been told of them, or
// to see what a client does about a server that is less strict.
func Relaxed(rules ...Rule) Option {
	return func(o *options) {
		if o.relaxed == nil {
			o.relaxed = make(map[Rule]bool)
		}
		for _, rule := range rules {
			o.relaxed[rule] = true
		}
	}
}

func (s *Server) demands(rule Rule) bool { return !s.options.relaxed[rule] }
