// Package jwks keeps an issuer's key set: for access tokens at an API, and for
// ID tokens at a client.
//
// Anybody can send tokens, so what a token can cause is bounded: a known key never
// causes a request, whatever the signature, and all unknown keys together cause two
// fetches at once and then one every five seconds. A key is called unknown only after
// the issuer was asked about it: see [KeySet].
package jwks
