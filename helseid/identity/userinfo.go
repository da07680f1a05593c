package identity

import "time"

// UserInfo is what HelseID's UserInfo endpoint says of a person. Beyond what the
// tokens carry it has the details of the register of health personnel.
type UserInfo struct {
	// User is the person, with the claims that the token's scopes give.
	User User

	// HPRDetails are the person's approvals, or nil if the token lacks the scope
	// or the person is not in the register.
	HPRDetails *HPRDetails

	// IssuedAt is userinfo_issued_at.
	IssuedAt time.Time

	// Malformed names the claims that are left out because they are of a wrong
	// type.
	Malformed []string
}
