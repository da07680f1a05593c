package selvbetjening

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/answer"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jose"
)

// problem is an error response (RFC 9457).
type problem struct {
	status int
	detail string
}

var (
	errMediaType     = &problem{http.StatusUnsupportedMediaType, "the body must be application/json"}
	errTooLarge      = &problem{http.StatusRequestEntityTooLarge, "the body is too large"}
	errNotRegistered = &problem{http.StatusForbidden, "the token's client is not registered any more"}
)

func badRequest(detail string) *problem { return &problem{http.StatusBadRequest, detail} }

func (p problem) write(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": "about:blank", "title": http.StatusText(p.status), "status": p.status, "detail": p.detail, "instance": r.URL.Path,
	})
}

func answerProblemOrJSON(w http.ResponseWriter, r *http.Request, serve func(*http.Request) (any, *problem)) {
	value, refused := serve(r)
	switch {
	case refused != nil:
		refused.write(w, r)
	case value == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		answer.JSON(w, http.StatusOK, value)
	}
}

func readJSON(r *http.Request) (jose.Object, *problem) {
	if !httpx.IsJSON(r.Header) {
		return jose.Object{}, errMediaType
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return jose.Object{}, errTooLarge
	}
	object, err := jose.ParseObject(body)
	if err != nil {
		return jose.Object{}, badRequest("the body is not a JSON object: " + err.Error())
	}
	return object, nil
}
