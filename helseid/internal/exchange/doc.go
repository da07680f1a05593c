// Package exchange sends the client's requests to HelseID: it authenticates with
// private_key_jwt (RFC 7523), proves possession of the DPoP key (RFC 9449), answers
// nonce challenges, and retries requests that may be sent again.
package exchange
