// Package idtoken validates what HelseID tells a client about logins: ID tokens and
// logout tokens.
package idtoken
