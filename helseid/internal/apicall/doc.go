// Package apicall sends requests to APIs, each with a token and a fresh DPoP proof for
// every sending. It answers nonce challenges, replaces a token that an API has
// refused, and keeps net/http from sending a proof twice. The caller supplies the tokens
// and proofs ([Credentials]).
package apicall
