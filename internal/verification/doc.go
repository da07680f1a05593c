// Package verification decides whether HelseID has signed a token for this
// recipient, and whether it may be used now: the rules that access tokens, ID tokens
// and logout tokens share. What a kind of token requires beyond them belongs to the
// packages tokenvalidation and internal/idtoken.
package verification
