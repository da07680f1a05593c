package httpx

import (
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/helseid-go/sdk/internal/redact"
)

// MaxBody bounds every response that is read into memory, in bytes.
const MaxBody = 1 << 20

// ErrTooLarge means that a response is larger than [MaxBody].
var ErrTooLarge = redact.Words("the answer is larger than 1 MiB")

// ReadBody reads and closes a response's body, up to MaxBody.
func ReadBody(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxBody+1))
	if err != nil {
		return nil, redact.Foreign(err) // the transport may be the application's
	}
	if len(body) > MaxBody {
		return nil, ErrTooLarge
	}
	return body, nil
}

// Discard reads a little of a body that nobody needs and closes it, so that the
// connection can be reused.
func Discard(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 64<<10)
	_ = body.Close()
}

// IsJSON reports whether a response says that it is JSON (application/json or
// any type with the suffix +json).
func IsJSON(header http.Header) bool {
	mediaType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && (mediaType == "application/json" || strings.HasSuffix(mediaType, "+json"))
}

// MediaType returns the response's media type without parameters, for an error text:
// "text/html", or "no usable content type".
func MediaType(header http.Header) string {
	mediaType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || len(mediaType) > 100 {
		return "no usable content type"
	}
	return redact.Text(mediaType)
}
