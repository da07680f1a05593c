// Package rule names what a test's HelseID requires of requests, so that single
// requirements can be switched off with helseidtest.Relaxed.
//
// The server of package [github.com/helseid-go/sdk/helseid/helseidtest] is as strict as
// HelseID by default. Switch a rule off for a client that does not follow it yet, or to see
// that a client does not depend on the server's strictness:
//
//	server := helseidtest.NewServer(t, helseidtest.Relaxed(rule.PKCE, rule.Nonce))
package rule

// Rule is a requirement of the server for requests, most of them in user logins, token
// exchange and logout. helseidtest.Relaxed switches rules off.
type Rule string

// The rules. Requirements without which the protocol cannot work, such as a client
// assertion or an existing code, have no rule.
const (
	// Nonce: a proof at the token endpoint or PAR has a nonce of the server.
	Nonce Rule = "nonce"

	// GrantType: the client is registered with the grant type.
	GrantType Rule = "grant type"

	// Parameters: no parameter is repeated except resource, PAR has no request_uri, the
	// authorization endpoint gets client_id and request_uri only, and a code is
	// redeemed without scope.
	Parameters Rule = "parameters"

	// ResponseType: response_type is code.
	ResponseType Rule = "response type"

	// RedirectURI: redirect_uri is registered and is the same at the token endpoint.
	// post_logout_redirect_uri is registered and comes with a hint.
	RedirectURI Rule = "redirect URI"

	// OpenID: a login requests openid, and userinfo accepts only tokens with it.
	OpenID Rule = "openid"

	// Scope: a login requests only scopes that the client has been granted, and a refresh
	// no more than the login did. For systems this cannot be switched off.
	Scope Rule = "scope"

	// PKCE: a code has an S256 challenge, which the verifier matches.
	PKCE Rule = "PKCE"

	// Resource: each resource is the API of a scope of the login.
	Resource Rule = "resource"

	// ACRValues, Prompt, MaxAge, TestLogin and OnBehalfOf: the parameters that control
	// the login have known values, and are consistent.
	ACRValues  Rule = "acr_values"
	Prompt     Rule = "prompt"
	MaxAge     Rule = "max_age"
	TestLogin  Rule = "test login"
	OnBehalfOf Rule = "on_behalf_of"

	// RequestObject: a request object has the claims that HelseID requires, is valid
	// for at most 60 seconds and is used once.
	RequestObject Rule = "request object"

	// SameClient: a request URI, a code or a refresh token is used by the
	// client that got it.
	SameClient Rule = "same client"

	// Binding: a code or a refresh token is used with the DPoP key that it
	// is bound to.
	Binding Rule = "binding"

	// SingleUse: a request URI, a code or a refresh token is used once. What was issued
	// from a code or refresh token is revoked if it is used a second time.
	SingleUse Rule = "single use"

	// Expiry: a request URI, a code, a refresh token or a subject token has
	// not expired.
	Expiry Rule = "expiry"

	// Details: details are in the client assertion or in the request object
	// of the login, not in both, and never in the client assertion of PAR.
	Details Rule = "details"

	// Actor: tokens are exchanged by a client that owns their audience, and that the
	// subject's client names as an actor, in chains of limited length.
	Actor Rule = "actor"

	// UserInfoProof: a token that is bound to a key is sent to userinfo with the DPoP
	// scheme and a proof.
	UserInfoProof Rule = "userinfo proof"
)
