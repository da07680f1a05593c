package apicall

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/helseid-go/sdk/internal/httpx"
)

// maxSwiftBody is the size of a request body up to which sending it counts as part of
// the wait. The time for a larger body is not limited as long as it makes progress.
const maxSwiftBody = 64 << 10

// What an API is waited for, in the words of the error.
const (
	waitsForConnection = "there was no connection to it"
	waitsForUpload     = "it took no more of the request"
	waitsForHeaders    = "the headers of an answer did not come"
)

// headerWait ends an attempt in which the API is silent for as long as the limit:
// there is no connection, the API accepts no more of a large body, or no headers
// come. Each step restarts the limit, and the time for a Read of the caller's body
// does not count. It works with every [http.RoundTripper]; one that does not report a
// step (net/http/httptrace) has fewer steps.
type headerWait struct {
	limit time.Duration // zero: none
	api   *url.URL
	stop  func()

	mu    sync.Mutex
	timer *time.Timer
	what  string
	over  bool // the headers have come, or the attempt has failed
	sent  bool // all of the request is written
	err   error
}

// restart begins the wait for the next step.
func (w *headerWait) restart(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.what = what
	switch {
	case w.over || w.limit == 0:
	case w.timer == nil:
		w.timer = time.AfterFunc(w.limit, w.expire)
	default:
		w.timer.Reset(w.limit)
	}
}

// pause stops the clock until the next restart.
func (w *headerWait) pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
}

// finish notes that all of the request has been written, and waits for headers.
func (w *headerWait) finish() {
	w.mu.Lock()
	w.sent = true
	w.mu.Unlock()
	w.restart(waitsForHeaders)
}

func (w *headerWait) finished() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent
}

func (w *headerWait) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over && w.err == nil {
		w.err = &silentError{api: httpx.Origin(w.api), what: w.what, limit: w.limit}
		w.stop()
	}
}

// end ends the wait. It returns an error if the limit had been exceeded.
func (w *headerWait) end() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if w.timer != nil {
		w.timer.Stop()
	}
	return w.err
}

// watch returns the request's body. Reading it counts as progress if it is larger
// than maxSwiftBody.
func (w *headerWait) watch(request *http.Request) io.ReadCloser {
	swift := request.GetBody != nil && request.ContentLength > 0 && request.ContentLength <= maxSwiftBody
	if w.limit == 0 || swift {
		return request.Body
	}
	return &watchedBody{request.Body, w}
}

// watchedBody is a request body that may take long to send.
type watchedBody struct {
	io.ReadCloser
	wait *headerWait
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.wait.pause() // the caller's reader takes this time, not the API
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.wait.restart(waitsForHeaders)
	} else {
		b.wait.restart(waitsForUpload)
	}
	return n, err
}

// silentError says what did not come in time. It is [os.ErrDeadlineExceeded], not
// [context.DeadlineExceeded], which stands for the caller's own limit.
type silentError struct {
	api   string
	what  string
	limit time.Duration
}

func (e *silentError) Error() string {
	return fmt.Sprintf("helseid: %s was silent for %v: %s (Config.APIHeaderTimeout)", e.api, e.limit, e.what)
}

// Timeout and Temporary make it a [net.Error].
func (e *silentError) Timeout() bool   { return true }
func (e *silentError) Temporary() bool { return true }
func (e *silentError) Unwrap() error   { return os.ErrDeadlineExceeded }
