package helseid

// Identity scopes, for [LoginRequest.Scopes]. They decide which claims the ID token
// and UserInfo have; the API decides which claims an access token has.
//
// Source: HelseID's page on scopes.
const (
	// ScopeOpenID makes the login an OpenID Connect login. Every login asks for it.
	ScopeOpenID = "openid"

	// ScopeProfile gives the names.
	ScopeProfile = "profile"

	// ScopeOfflineAccess gives a refresh token. A session needs it to outlive its
	// first access token, to change API or organisation, and to be used by several
	// processes.
	ScopeOfflineAccess = "offline_access"

	// ScopeAllIdentity gives every claim about the identity.
	ScopeAllIdentity = "helseid://scopes/identity/all"

	// ScopePersonalIdentityNumber gives the national identity number.
	ScopePersonalIdentityNumber = "helseid://scopes/identity/pid"

	// ScopeSecurityLevel gives the security level.
	ScopeSecurityLevel = "helseid://scopes/identity/security_level"

	// ScopeAssuranceLevel gives the assurance level. HelseID will phase it out.
	ScopeAssuranceLevel = "helseid://scopes/identity/assurance_level"

	// ScopeNetwork says whether the user came from the internet or from Helsenettet.
	ScopeNetwork = "helseid://scopes/identity/network"

	// ScopeHPRNumber gives the number in the register of health personnel (HPR), and
	// its details at UserInfo.
	ScopeHPRNumber = "helseid://scopes/hpr/hpr_number"
)
