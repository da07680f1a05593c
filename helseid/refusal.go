package helseid

import (
	"bytes"
	"io"
	"net/http"
	"slices"

	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/wwwauth"
)

// The error codes of an API that the client acts upon (RFC 6750 section 3.1, RFC
// 9449 sections 7.1 and 9).
const (
	invalidToken     = "invalid_token"
	invalidDPoPProof = "invalid_dpop_proof"
	useDPoPNonce     = "use_dpop_nonce"
)

// refusalCode returns the error code with which an API refuses a token or its
// proof, or "". The scheme of the challenge does not matter: many APIs know one
// scheme in their answers whatever they are sent. What was sent does: an error
// about a proof says nothing of a token without one, and where the proof is wrong,
// the token need not be.
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

// maxRefusalBody is the size up to which a refusal's body is read.
const maxRefusalBody = 8 << 10

// bodyDemandsNonce reports whether a refusal says use_dpop_nonce in a JSON body,
// as a token endpoint does (RFC 9449 section 8). What has been read of the body is
// put back.
func bodyDemandsNonce(response *http.Response) bool {
	if response.StatusCode != http.StatusUnauthorized && response.StatusCode != http.StatusBadRequest ||
		response.Body == nil || response.ContentLength > maxRefusalBody ||
		response.Header.Get("Content-Type") != "" && !httpx.IsJSON(response.Header) {
		return false
	}
	start, err := io.ReadAll(io.LimitReader(response.Body, maxRefusalBody+1))
	rest := response.Body
	response.Body = &rereadBody{io.MultiReader(bytes.NewReader(start), &failed{err}, rest), rest}
	if err != nil || len(start) > maxRefusalBody {
		return false
	}
	object, err := jose.ParseObject(start)
	if err != nil {
		return false
	}
	code, _ := object.Get("error").Text()
	return code == useDPoPNonce
}

// rereadBody is a body that gives what has been read of it once more.
type rereadBody struct {
	io.Reader
	io.Closer
}

// failed repeats the error that ended a reading, if there was one.
type failed struct{ err error }

func (f *failed) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}
