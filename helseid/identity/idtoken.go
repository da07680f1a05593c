package identity

import "time"

// IDToken has the claims of a valid ID token.
type IDToken struct {
	// User is the person who has logged in.
	User User

	// IssuedAt and Expiry are the claims iat and exp.
	IssuedAt, Expiry time.Time

	// Nonce is the nonce of the login, or "".
	Nonce string

	// Malformed names the claims that were left out because they have the wrong type.
	Malformed []string
}
