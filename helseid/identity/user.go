package identity

import "time"

// User is a person who has logged in. What a token does not say is empty.
type User struct {
	// Subject is sub, a stable pseudonym. It may hold "+", "/" and "=".
	Subject string

	// PersonalIdentityNumber is the national identity number.
	PersonalIdentityNumber PersonalIdentityNumber

	// Pseudonym is the older pid_pseudonym.
	Pseudonym string

	// HPRNumber is empty for a user who is not health personnel.
	HPRNumber HPRNumber

	Name, GivenName, MiddleName, FamilyName string

	// SecurityLevel and AssuranceLevel say how strongly the user was
	// authenticated.
	SecurityLevel  SecurityLevel
	AssuranceLevel AssuranceLevel

	// Network is "internett" or "helsenett".
	Network string

	// IdentityProvider is idp, AuthenticationMethods is amr.
	IdentityProvider      string
	AuthenticationMethods []string

	// AuthenticatedAt is auth_time, the time of the login.
	AuthenticatedAt time.Time

	// SessionID is sid.
	SessionID string

	// OnBehalfOf is the organisation that the user acts for in ID-porten.
	OnBehalfOf OrganizationNumber
}
