package identity

import "time"

// IDToken is what a valid ID token says.
type IDToken struct {
	// User is the person who has logged in.
	User User

	// IssuedAt and Expiry are iat and exp.
	IssuedAt, Expiry time.Time

	// Nonce is the nonce of the login, or "".
	Nonce string

	// Malformed names the claims that are left out because they are of a wrong
	// type.
	Malformed []string
}
