package apicall

import (
	"net/http"
	"slices"

	"github.com/helseid-go/sdk/internal/wwwauth"
)

// The error codes of an API that the client acts upon (RFC 6750 section 3.1, RFC
// 9449 sections 7.1 and 9).
const (
	invalidToken     = "invalid_token"
	invalidDPoPProof = "invalid_dpop_proof"
	useDPoPNonce     = "use_dpop_nonce"
)

// refusalCode returns the error code with which an API refuses a token or its proof,
// or "". The scheme of the challenge does not matter: many APIs always answer with
// the same scheme, whatever was sent. But an error about a proof is ignored if the
// request had no proof, and it does not mean that the token is wrong.
func refusalCode(response *http.Response, bound bool) string {
	if response.StatusCode != http.StatusUnauthorized && response.StatusCode != http.StatusBadRequest {
		return ""
	}
	var codes []string
	for _, challenge := range wwwauth.Parse(response.Header.Values("WWW-Authenticate")) {
		codes = append(codes, challenge.Parameters["error"])
	}
	switch {
	case bound && slices.Contains(codes, useDPoPNonce):
		return useDPoPNonce
	case bound && slices.Contains(codes, invalidDPoPProof):
		return invalidDPoPProof
	case response.StatusCode == http.StatusUnauthorized && slices.Contains(codes, invalidToken):
		return invalidToken
	}
	return ""
}

// RefusesToken reports whether an API's answer refuses the token: status 401 with the
// error invalid_token in a challenge, and no error about the proof.
func RefusesToken(response *http.Response, bound bool) bool {
	return refusalCode(response, bound) == invalidToken
}
