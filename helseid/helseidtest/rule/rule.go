// Package rule names what a HelseID for tests demands of requests, for
// helseidtest.Relaxed.
package rule

// Rule is something that the server demands of requests, most of them in user logins,
// token exchange and logout. helseidtest.Relaxed switches rules off.
type Rule string

// The rules. What the protocol cannot do without, such as a client assertion or
// a code that exists, has no rule here.
const (
	// Nonce: a proof at the token endpoint or PAR has a nonce of the server.
	Nonce Rule = "nonce"

	// GrantType: the client is registered with the grant type.
	GrantType Rule = "grant type"

	// Parameters: no parameter is repeated except resource, PAR has no
	// request_uri, the authorization endpoint is given client_id and request_uri
	// only, and a code is redeemed without scope.
	Parameters Rule = "parameters"

	// ResponseType: response_type is code.
	ResponseType Rule = "response type"

	// RedirectURI: redirect_uri is registered and is the same at the token
	// endpoint, and so is post_logout_redirect_uri, which comes with a hint.
	RedirectURI Rule = "redirect URI"

	// OpenID: a login asks for openid, and userinfo takes tokens with it.
	OpenID Rule = "openid"

	// Scope: the client is granted each scope, and a refresh asks for no
	// more than the login did.
	Scope Rule = "scope"

	// PKCE: a code has an S256 challenge, which the verifier fits.
	PKCE Rule = "PKCE"

	// Resource: each resource is the API of a scope of the login.
	Resource Rule = "resource"

	// ACRValues, Prompt, MaxAge, TestLogin and OnBehalfOf:
	// the parameters that steer the login have known values, and fit together.
	ACRValues  Rule = "acr_values"
	Prompt     Rule = "prompt"
	MaxAge     Rule = "max_age"
	TestLogin  Rule = "test login"
	OnBehalfOf Rule = "on_behalf_of"

	// RequestObject: a request object has the claims that HelseID demands,
	// lives 60 seconds at most and is used once.
	RequestObject Rule = "request object"

	// SameClient: a request URI, a code or a refresh token is used by the
	// client that got it.
	SameClient Rule = "same client"

	// Binding: a code or a refresh token is used with the DPoP key that it
	// is bound to.
	Binding Rule = "binding"

	// SingleUse: a request URI, a code or a refresh token is used once. What
	// was issued from a code or refresh token that comes a second time is
	// revoked.
	SingleUse Rule = "single use"

	// Expiry: a request URI, a code, a refresh token or a subject token has
	// not expired.
	Expiry Rule = "expiry"

	// Details: details are in the client assertion or in the request object
	// of the login, not in both, and never in the client assertion of PAR.
	Details Rule = "details"

	// Actor: tokens are exchanged by a client that owns their audience, and
	// that the subject's client names as an actor, in chains of bounded length.
	Actor Rule = "actor"

	// UserInfoProof: a token that is bound to a key comes to userinfo with
	// the DPoP scheme and a proof.
	UserInfoProof Rule = "userinfo proof"
)
