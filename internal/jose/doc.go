// Package jose holds the part of JOSE that HelseID uses, and no more: signing
// keys with one algorithm each, JWS in compact form, RFC 7638 thumbprints and a
// strict reader for JSON that comes from outside.
//
// It is the only package that imports a JOSE library. jwx turns private JWKs
// into Go keys and cross-checks this package in tests; assembling and verifying
// compact signatures is done here over the standard library's cryptography,
// because a DPoP proof is made or verified for every single request.
//
// Rules that hold everywhere in this package:
//
//   - A key has one algorithm, fixed when the key is made and never taken from
//     a token. A header that names another one is refused.
//   - Only the nine algorithms that HelseID accepts exist: RS, PS and ES with
//     SHA-256, SHA-384 and SHA-512. There is no "none" and no HMAC.
//   - Only the compact serialisation is read. Base64url is read strictly.
//   - JSON is read by exact member name, and duplicate members are refused.
//   - No error contains key material or the text that was read.
package jose
