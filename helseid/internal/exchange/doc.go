// Package exchange is the client's way to HelseID: it authenticates with
// private_key_jwt (RFC 7523), proves possession of its key (RFC 9449), answers
// nonce challenges, and repeats what may be repeated.
package exchange
