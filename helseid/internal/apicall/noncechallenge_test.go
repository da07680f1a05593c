package apicall

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A body that has been looked into is the caller's to read.
func TestBodyDemandsNonce(t *testing.T) {
	t.Parallel()
	const demand = `{"error":"use_dpop_nonce"}`
	for name, test := range map[string]struct {
		contentType, body string
		want              bool
	}{
		"JSON":                    {"application/json", demand, true},
		"with a charset":          {"application/json; charset=utf-8", demand, true},
		"a problem":               {"application/problem+json", `{"title":"no","error":"use_dpop_nonce"}`, true},
		"no content type":         {"", demand, true},
		"text":                    {"text/plain", demand, false},
		"another error":           {"application/json", `{"error":"invalid_token"}`, false},
		"name in capitals":        {"application/json", `{"Error":"use_dpop_nonce"}`, false},
		"twice":                   {"application/json", `{"error":"use_dpop_nonce","error":"x"}`, false},
		"nested":                  {"application/json", `{"a":{"error":"use_dpop_nonce"}}`, false},
		"a list":                  {"application/json", `["use_dpop_nonce"]`, false},
		"not text":                {"application/json", `{"error":["use_dpop_nonce"]}`, false},
		"text behind":             {"application/json", demand + "x", false},
		"empty":                   {"application/json", "", false},
		"just small enough":       {"application/json", demand + strings.Repeat(" ", maxRefusalBody-len(demand)), true},
		"too large":               {"application/json", demand + strings.Repeat(" ", maxRefusalBody-len(demand)+1), false},
		"far too large":           {"application/json", demand + strings.Repeat(" ", 1<<20), false},
		"nothing that JSON knows": {"application/json", "\xff\xfe", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			read := strings.NewReader(test.body)
			response := &http.Response{
				StatusCode: http.StatusBadRequest, ContentLength: -1, Body: io.NopCloser(read),
				Header: http.Header{"Content-Type": {test.contentType}},
			}
			require.Equal(t, test.want, bodyDemandsNonce(response))
			require.LessOrEqual(t, len(test.body)-read.Len(), maxRefusalBody+1, "the look is bounded")
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.Equal(t, test.body, string(body))
		})
	}
	t.Run("an error of the reading comes where it came", func(t *testing.T) {
		t.Parallel()
		response := &http.Response{
			StatusCode: http.StatusUnauthorized, ContentLength: -1, Header: http.Header{},
			Body: io.NopCloser(io.MultiReader(strings.NewReader(demand), &failed{io.ErrUnexpectedEOF})),
		}
		require.False(t, bodyDemandsNonce(response))
		body, err := io.ReadAll(response.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Equal(t, demand, string(body))
	})
}
