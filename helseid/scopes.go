package helseid

// Identity scopes, for LoginRequest.Scopes. They decide which claims the ID token
// and UserInfo have; the claims of an access token are the API's to decide.
//
// Source: HelseID's page on scopes.
const (
	// ScopeOpenID makes the login one of OpenID Connect. Every login asks for it.
	ScopeOpenID = "openid"

	// ScopeProfile gives the names.
	ScopeProfile = "profile"

	// ScopeOfflineAccess gives a refresh token, which a session needs to outlive
	// its first access token, to change API or organisation, and to be used by
	// several processes.
	ScopeOfflineAccess = "offline_access"

	// ScopeAllIdentity gives every claim about the identity.
	ScopeAllIdentity = "helseid://scopes/identity/all"

	// ScopePersonalIdentityNumber gives the national identity number.
	ScopePersonalIdentityNumber = "helseid://scopes/identity/pid"

	// ScopeSecurityLevel gives the security level.
	ScopeSecurityLevel = "helseid://scopes/identity/security_level"

	// ScopeAssuranceLevel gives the assurance level. HelseID will phase it out.
	ScopeAssuranceLevel = "helseid://scopes/identity/assurance_level"

	// ScopeNetwork tells whether the user came from the internet or Helsenettet.
	ScopeNetwork = "helseid://scopes/identity/network"

	// ScopeHPRNumber gives the number in the register of health personnel, and
	// at UserInfo its details.
	ScopeHPRNumber = "helseid://scopes/hpr/hpr_number"
)
