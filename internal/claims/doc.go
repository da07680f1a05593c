// Package claims reads what HelseID says about a user, in tokens and at its UserInfo
// endpoint, into the types of package identity. It decides nothing about a token's
// validity: a claim of a wrong type is left out and named.
package claims
