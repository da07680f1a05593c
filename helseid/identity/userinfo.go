package identity

import "time"

// UserInfo is what HelseID's UserInfo endpoint returns about a person. In addition to
// the claims of the tokens, it has the person's details from the register of health
// personnel.
type UserInfo struct {
	// User is the person, with the claims that the token's scopes grant.
	User User

	// HPRDetails are the person's approvals, or nil if the token lacks the scope
	// or the person is not in the register.
	HPRDetails *HPRDetails

	// IssuedAt is the claim userinfo_issued_at.
	IssuedAt time.Time

	// Malformed names the claims that were left out because they have the wrong type.
	Malformed []string
}
