package httpx

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// HeaderWriter is an http.ResponseWriter that has a last look at the header before it
// is sent.
type HeaderWriter struct {
	http.ResponseWriter
	last func(status int) int
	sent bool
}

// BeforeHeader makes one. Last is called once, with the status of the answer, and
// returns the status to be sent.
func BeforeHeader(w http.ResponseWriter, last func(status int) int) *HeaderWriter {
	return &HeaderWriter{ResponseWriter: w, last: last}
}

// Unwrap is for http.ResponseController.
func (h *HeaderWriter) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (h *HeaderWriter) WriteHeader(status int) {
	if !h.sent && (status >= http.StatusOK || status == http.StatusSwitchingProtocols) {
		h.sent = true
		status = h.last(status)
	}
	h.ResponseWriter.WriteHeader(status)
}

// Close is for an answer that nobody has written: the header is sent as at its first
// byte.
func (h *HeaderWriter) Close() {
	if !h.sent {
		h.WriteHeader(http.StatusOK)
	}
}

// Write implements http.ResponseWriter.
func (h *HeaderWriter) Write(data []byte) (int, error) {
	h.Close()
	return h.ResponseWriter.Write(data)
}

// ReadFrom implements io.ReaderFrom, which net/http sends files with.
func (h *HeaderWriter) ReadFrom(source io.Reader) (int64, error) {
	h.Close()
	return io.Copy(h.ResponseWriter, source)
}

// Flush implements http.Flusher.
func (h *HeaderWriter) Flush() { _ = h.FlushError() }

// FlushError is for http.ResponseController.
func (h *HeaderWriter) FlushError() error {
	h.Close()
	return http.NewResponseController(h.ResponseWriter).Flush()
}

// Hijack implements http.Hijacker. Whoever takes the connection writes the header.
func (h *HeaderWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	connection, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	h.sent = h.sent || err == nil
	return connection, buffered, err
}

// CloseNotify implements the http.CloseNotifier that some routers still insist on.
func (h *HeaderWriter) CloseNotify() <-chan bool {
	if notifier, ok := h.ResponseWriter.(http.CloseNotifier); ok { //nolint:staticcheck // see above
		return notifier.CloseNotify()
	}
	return make(chan bool)
}

// Refuse makes a writer for an answer that somebody else writes: it is a refusal
// whatever they write. Without a status of theirs, or with one of success, it is this
// one. Close it when they have written.
func Refuse(w http.ResponseWriter, status int) *HeaderWriter {
	return BeforeHeader(w, func(given int) int {
		if given < http.StatusMultipleChoices {
			return status
		}
		return given
	})
}
