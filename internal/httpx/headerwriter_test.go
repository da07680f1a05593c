package httpx

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The last look at the header is before its first byte, once, however an answer is
// written.
func TestHeaderWriter(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(*HeaderWriter){
		"nothing":    func(*HeaderWriter) {},
		"a status":   func(w *HeaderWriter) { w.WriteHeader(http.StatusTeapot) },
		"a hint":     func(w *HeaderWriter) { w.WriteHeader(http.StatusEarlyHints) },
		"text":       func(w *HeaderWriter) { _, _ = io.WriteString(w, "x") },
		"a copy":     func(w *HeaderWriter) { _, _ = io.Copy(w, strings.NewReader("x")) },
		"a flush":    func(w *HeaderWriter) { w.Flush() },
		"by name":    func(w *HeaderWriter) { _ = http.NewResponseController(w).Flush() },
		"everything": func(w *HeaderWriter) { w.WriteHeader(http.StatusTeapot); _, _ = io.WriteString(w, "x"); w.Flush() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				w := BeforeHeader(rw, func(status int) int {
					rw.Header().Add("Looked", "here")
					return status + 1
				})
				write(w)
				w.Close()
			}))
			defer server.Close()
			response, err := server.Client().Get(server.URL)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, []string{"here"}, response.Header.Values("Looked"))
			require.Contains(t, []int{http.StatusOK + 1, http.StatusTeapot + 1}, response.StatusCode)
		})
	}
}

// A connection can be taken over, and nothing is written to it then.
func TestHeaderWriterHijack(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		w := BeforeHeader(rw, func(status int) int { return status })
		connection, _, err := http.Hijacker(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(connection, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
		connection.Close()
		w.Close()
	}))
	defer server.Close()
	response, err := server.Client().Get(server.URL)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusNoContent, response.StatusCode)

	_, _, err = BeforeHeader(httptest.NewRecorder(), nil).Hijack()
	require.ErrorIs(t, err, http.ErrNotSupported)
	require.NotNil(t, BeforeHeader(httptest.NewRecorder(), nil).CloseNotify())
	require.NotNil(t, BeforeHeader(httptest.NewRecorder(), nil).Unwrap())
}

// A parser of patterns finds the names of net/http's.
func TestWildcards(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string][]string{
		"":                             nil,
		"GET /":                        nil,
		"/{$}":                         nil,
		"GET example.no/{a}/b/{c...}":  {"a", "c"},
		"POST /organizations/{p}/{id}": {"p", "id"},
		"/{":                           nil,
	} {
		var found []string
		for name := range wildcards(pattern) {
			found = append(found, name)
		}
		require.Equal(t, want, found, pattern)
	}
}
