// Package jwks keeps an issuer's key set: for access tokens at an API, and for
// ID tokens at a client.
//
// Tokens come from strangers, so what a token can make this package do is
// bounded: a key that is known never causes a request, whatever its signature,
// and unknown ones together cause two at once and then one in 30 seconds.
package jwks
