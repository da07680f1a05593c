// Package jwks keeps an issuer's key set: for access tokens at an API, and for
// ID tokens at a client.
//
// Tokens come from strangers, so what a token can make this package do is
// bounded: a key that is known never causes a request, whatever its signature,
// and unknown ones together cause two fetches at once and then one in five seconds.
// What is not known and has not been asked for is not refused: see [KeySet].
package jwks
