package apicall

import (
	"bytes"
	"io"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jose"
)

// DemandsNonce reports whether an API's answer to a request with a proof requires a
// nonce: status 401 or 400 with the error use_dpop_nonce in a challenge or in a small
// JSON body. The body can still be read in full.
func DemandsNonce(response *http.Response) bool {
	return refusalCode(response, true) == useDPoPNonce || bodyDemandsNonce(response)
}

// bodyDemandsNonce looks for a challenge in the answer's body, for no longer than the
// limit on an API's silence.
func (a *call) bodyDemandsNonce(response *http.Response) bool {
	if body, ok := response.Body.(*answerBody); ok && a.HeaderTimeout > 0 {
		defer time.AfterFunc(a.HeaderTimeout, body.attempt.release).Stop()
	}
	return bodyDemandsNonce(response)
}

// maxRefusalBody is the size up to which the body of a refusal is read.
const maxRefusalBody = 8 << 10

// bodyDemandsNonce reports whether a refusal says use_dpop_nonce in a JSON body, as a
// token endpoint does (RFC 9449 section 8). It puts back what it has read of the
// body.
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

// rereadBody is a body that returns once more what has been read of it.
type rereadBody struct {
	io.Reader
	io.Closer
}

// failed returns the error that ended an earlier read, if there was one.
type failed struct{ err error }

func (f *failed) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}
