// Package jose holds the part of JOSE that HelseID uses, and no more: signing
// keys with one algorithm each, JWS in compact form, RFC 7638 thumbprints and a
// strict reader for JSON that comes from outside.
//
// It is the only package that imports a JOSE library. jwx writes private JWKs and
// cross-checks this package in tests. Keys are read here, so that no text is one key
// to the reader that judges it and another to the reader that uses it. Compact
// signatures are made and verified here over the standard library's cryptography,
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
//   - In a key, null, an empty text and an empty list are absent, use, key_ops and
//     alg bind, and what is not used is not judged. A number that is used is checked
//     against the others. Keys of others are read strictly, a user's own leniently
//     where its text has one meaning.
//   - No error contains key material or the text that was read.
package jose
