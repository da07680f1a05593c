package helseidtest

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"syscall"

	"github.com/helseid-go/sdk/internal/httpx"
)

// memoryTransport calls handlers directly. It finds them by host.
type memoryTransport struct {
	server *Server
}

// ownFirst calls the server directly, and others through the network.
type ownFirst struct {
	server *Server
}

// RoundTrip implements http.RoundTripper.
func (o ownFirst) RoundTrip(request *http.Request) (*http.Response, error) {
	if own, err := url.Parse(o.server.issuer); err == nil && httpx.Origin(own) == httpx.Origin(request.URL) {
		return o.server.serveDirectly(request)
	}
	return http.DefaultTransport.RoundTrip(request)
}

func (s *Server) mountedAt(u *url.URL) http.Handler {
	if u.Scheme != "https" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mounted[u.Host]
}

var (
	errAborted = errors.New("the server cut the connection")

	// errClosed is what a client gets where nobody listens.
	errClosed error = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
)

// RoundTrip implements http.RoundTripper.
func (t memoryTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme+"://"+request.URL.Host == inMemoryHost {
		return t.server.serveDirectly(request)
	}
	handler := t.server.mountedAt(request.URL)
	if handler == nil {
		if request.Body != nil {
			_ = request.Body.Close()
		}
		return nil, errors.New("helseidtest: a server in memory answers for itself and what is mounted only")
	}
	return callInMemory(handler, request)
}

// serveDirectly answers a request without a listener, until the server is closed.
func (s *Server) serveDirectly(request *http.Request) (*http.Response, error) {
	if s.closed.Load() {
		if request.Body != nil {
			_ = request.Body.Close()
		}
		return nil, errClosed
	}
	response, err := callInMemory(s.handler, request)
	if err == nil && s.closed.Load() {
		_ = response.Body.Close()
		return nil, errAborted
	}
	return response, err
}

func callInMemory(handler http.Handler, request *http.Request) (*http.Response, error) {
	if request.Body != nil {
		defer request.Body.Close()
	}
	type outcome struct {
		response *http.Response
		err      error
	}
	done := make(chan outcome, 1)
	go func() {
		response, err := serveInMemory(handler, request) //nolint:bodyclose // the caller of RoundTrip does
		done <- outcome{response, err}
	}()
	select {
	case result := <-done:
		return result.response, result.err
	case <-request.Context().Done():
		return nil, request.Context().Err()
	}
}

func serveInMemory(handler http.Handler, request *http.Request) (*http.Response, error) {
	incoming := request.Clone(request.Context())
	incoming.RequestURI = request.URL.RequestURI()
	if incoming.Host == "" {
		incoming.Host = request.URL.Host
	}
	if incoming.Body == nil {
		incoming.Body = http.NoBody
	}
	writer := &memoryWriter{header: make(http.Header)}
	aborted := writer.run(handler, incoming)
	if aborted && writer.status == 0 {
		return nil, errAborted
	}
	if writer.status == 0 {
		writer.WriteHeader(http.StatusOK)
	}
	var body io.Reader = &writer.body
	if aborted {
		body = io.MultiReader(&writer.body, brokenReader{})
	}
	length := int64(-1)
	if n, err := strconv.ParseInt(writer.header.Get("Content-Length"), 10, 64); err == nil {
		length = n
	}
	return &http.Response{
		Status:        strconv.Itoa(writer.status) + " " + http.StatusText(writer.status),
		StatusCode:    writer.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        writer.header,
		Body:          io.NopCloser(body),
		ContentLength: length,
		Request:       request,
	}, nil
}

type memoryWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *memoryWriter) run(handler http.Handler, request *http.Request) (aborted bool) {
	defer func() {
		switch fault := recover(); fault {
		case nil:
		case http.ErrAbortHandler:
			aborted = true
		default:
			panic(fault)
		}
	}()
	handler.ServeHTTP(w, request)
	return false
}

func (w *memoryWriter) Header() http.Header { return w.header }

func (w *memoryWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
		w.header = w.header.Clone()
	}
}

func (w *memoryWriter) Write(data []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(data)
}

// replay sends the response that has been recorded here.
func (w *memoryWriter) replay(to http.ResponseWriter, _ *http.Request) {
	maps.Copy(to.Header(), w.header)
	if w.status != 0 {
		to.WriteHeader(w.status)
	}
	_, _ = to.Write(w.body.Bytes())
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
