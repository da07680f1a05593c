package httpx

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// HeaderWriter is an [http.ResponseWriter] that calls a function just before the header
// is sent.
type HeaderWriter struct {
	http.ResponseWriter
	last func(status int) int
	sent bool
}

// BeforeHeader makes a HeaderWriter. It calls last once, with the status of the
// response; last returns the status to send.
func BeforeHeader(w http.ResponseWriter, last func(status int) int) *HeaderWriter {
	return &HeaderWriter{ResponseWriter: w, last: last}
}

// Unwrap is for [http.ResponseController].
func (h *HeaderWriter) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (h *HeaderWriter) WriteHeader(status int) {
	if !h.sent && (status >= http.StatusOK || status == http.StatusSwitchingProtocols) {
		h.sent = true
		status = h.last(status)
	}
	h.ResponseWriter.WriteHeader(status)
}

// Close is for a response that nobody has written: the header is sent as before a first
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

// ReadFrom implements [io.ReaderFrom], with which net/http sends files.
func (h *HeaderWriter) ReadFrom(source io.Reader) (int64, error) {
	h.Close()
	return io.Copy(h.ResponseWriter, source)
}

// Flush implements [http.Flusher].
func (h *HeaderWriter) Flush() { _ = h.FlushError() }

// FlushError is for [http.ResponseController].
func (h *HeaderWriter) FlushError() error {
	h.Close()
	return http.NewResponseController(h.ResponseWriter).Flush()
}

// Hijack implements [http.Hijacker]. The caller who takes the connection writes the
// header.
func (h *HeaderWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	connection, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	h.sent = h.sent || err == nil
	return connection, buffered, err
}

// CloseNotify implements [http.CloseNotifier], which some routers still require.
func (h *HeaderWriter) CloseNotify() <-chan bool {
	if notifier, ok := h.ResponseWriter.(http.CloseNotifier); ok { //nolint:staticcheck // see above
		return notifier.CloseNotify()
	}
	return make(chan bool)
}

// Refuse returns a writer for a refusal whose body is written by other code. The
// response has the status that this code sets; it has the given status if the code sets
// none or a status of success. Call Close after the code has run.
func Refuse(w http.ResponseWriter, status int) *HeaderWriter {
	return BeforeHeader(w, func(given int) int {
		if given < http.StatusMultipleChoices {
			return status
		}
		return given
	})
}
