package identity

import "time"

// User is a person who has logged in. A field is empty if the token lacks its claim.
type User struct {
	// Subject is the claim sub, a stable pseudonym. It may contain "+", "/" and "=".
	Subject string

	// PersonalIdentityNumber is the national identity number.
	PersonalIdentityNumber PersonalIdentityNumber

	// Pseudonym is the claim pid_pseudonym, an older pseudonym.
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

	// IdentityProvider is the claim idp, AuthenticationMethods the claim amr.
	IdentityProvider      string
	AuthenticationMethods []string

	// AuthenticatedAt is the claim auth_time, the time of the login.
	AuthenticatedAt time.Time

	// SessionID is the claim sid.
	SessionID string

	// OnBehalfOf is the organisation that the user acts for in ID-porten.
	OnBehalfOf OrganizationNumber
}
