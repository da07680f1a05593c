package middleware_test

import (
	"bytes"
	"context"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/middleware"
)

// upload is a request with a form whose file does not fit into memory.
func (w *world) upload(target string) *http.Request {
	w.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	require.NoError(w, form.WriteField("note", "a note"))
	part, err := form.CreateFormFile("image", "image.dcm")
	require.NoError(w, err)
	_, err = part.Write(bytes.Repeat([]byte("x"), 1<<20))
	require.NoError(w, err)
	require.NoError(w, form.Close())
	request := w.authorized(http.MethodPost, target, &body)
	request.Header.Set("Content-Type", form.FormDataContentType())
	return request
}

// keep parses the upload, as handlers do, and checks that this made a file.
func keep(t testing.TB, rw http.ResponseWriter, r *http.Request) {
	if err := r.ParseMultipartForm(1 << 10); err != nil {
		t.Error(err)
		return
	}
	file, err := r.MultipartForm.File["image"][0].Open()
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = file.Close() }()
	if _, onDisk := file.(*os.File); !onDisk {
		t.Error("the upload is in memory")
	}
	n, err := io.Copy(io.Discard, file)
	if n != 1<<20 || err != nil {
		t.Error("the upload cannot be read:", n, err)
	}
	rw.WriteHeader(http.StatusCreated)
}

type someKey struct{}

// copying stands for code, such as a router, that copies the request to add to its
// context.
func copying(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(rw, r.WithContext(context.WithValue(r.Context(), someKey{}, "something")))
	})
}

func recovering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				rw.WriteHeader(http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(rw, r)
	})
}

type guardFunc = func(...middleware.Requirement) func(http.Handler) http.Handler

// The temporary files of an upload are removed when it has been answered, wherever the
// guard is. The test changes the folder for them, so it does not run in parallel.
func TestUploadsLeaveNoFile(t *testing.T) {
	parse := func(t *testing.T) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { keep(t, rw, r) })
	}
	panicking := func(t *testing.T) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			keep(t, httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		})
	}
	mux := func(handler http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("POST /images/{id}", handler)
		return mux
	}
	for name, test := range map[string]struct {
		handler func(*testing.T, guardFunc) http.Handler
		status  int // 0: the connection breaks off
	}{
		"at a route": {func(t *testing.T, guard guardFunc) http.Handler {
			return mux(guard()(parse(t)))
		}, http.StatusCreated},
		"around a router": {func(t *testing.T, guard guardFunc) http.Handler {
			return guard()(mux(parse(t)))
		}, http.StatusCreated},
		"both": {func(t *testing.T, guard guardFunc) http.Handler {
			return guard()(mux(guard(middleware.System())(parse(t))))
		}, http.StatusCreated},
		"in a router that copies": {func(t *testing.T, guard guardFunc) http.Handler {
			return copying(guard()(parse(t)))
		}, http.StatusCreated},
		"both, and a copy between": {func(t *testing.T, guard guardFunc) http.Handler {
			return guard()(copying(guard(middleware.System())(parse(t))))
		}, http.StatusCreated},
		"a panic that somebody recovers": {func(t *testing.T, guard guardFunc) http.Handler {
			return recovering(guard()(panicking(t)))
		}, http.StatusInternalServerError},
		"a panic": {func(t *testing.T, guard guardFunc) http.Handler {
			return guard()(panicking(t))
		}, 0},
		"a handler with a time limit": {func(t *testing.T, guard guardFunc) http.Handler {
			return http.TimeoutHandler(guard()(parse(t)), time.Minute, "")
		}, http.StatusCreated},
	} {
		for protocol, set := range map[string]func(*http.Protocols){"HTTP/1": func(*http.Protocols) {}, "HTTP/2": noHTTP1} {
			t.Run(name+", "+protocol, func(t *testing.T) {
				folder := temporary(t)
				w := newWorld(t, worldOptions{cold: true})
				server := w.listen(test.handler(t, w.auth.Guard))
				if test.status == 0 {
					transport := &http.Transport{Protocols: new(http.Protocols)}
					transport.Protocols.SetHTTP1(true)
					set(transport.Protocols)
					defer transport.CloseIdleConnections()
					response, err := transport.RoundTrip(w.upload(server.URL + "/images/1"))
					if err == nil {
						require.NoError(t, response.Body.Close())
					}
					require.Error(t, err)
				} else {
					status, body := w.call(w.upload(server.URL+"/images/1"), set)
					require.Equal(t, test.status, status, body)
				}
				requireEmpty(t, folder, func() {})
			})
		}
	}
}

// temporary is the folder for temporary files during a test.
func temporary(t *testing.T) string {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	t.Setenv("TMP", folder)
	return folder
}

// requireEmpty waits until a folder is empty, and calls a function while it waits.
func requireEmpty(t *testing.T, folder string, meanwhile func()) {
	t.Helper()
	require.Eventually(t, func() bool {
		meanwhile()
		files, err := os.ReadDir(folder)
		return err == nil && len(files) == 0
	}, 10*time.Second, 5*time.Millisecond, "temporary files are left")
}

// context of a router that has requests of its own, as gin's and echo's.
type routerContext struct {
	writer  http.ResponseWriter
	request *http.Request
	next    func(*routerContext)
}

// The adapters for routers with their own contexts: one that continues inside the
// guard, and one that only takes the request.
func TestUploadsThroughAdapters(t *testing.T) {
	for name, adapter := range map[string]func(guard func(http.Handler) http.Handler, c *routerContext){
		"that goes on inside": func(guard func(http.Handler) http.Handler, c *routerContext) {
			guard(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				c.request = r
				c.next(c)
			})).ServeHTTP(c.writer, c.request)
		},
		"that goes on afterwards": func(guard func(http.Handler) http.Handler, c *routerContext) {
			passed := false
			guard(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { c.request, passed = r, true })).ServeHTTP(c.writer, c.request)
			if passed {
				c.next(c)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := temporary(t)
			w := newWorld(t, worldOptions{cold: true})
			group, route := w.auth.Guard(), w.auth.Guard(middleware.System())
			server := w.listen(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				adapter(group, &routerContext{rw, r, func(c *routerContext) {
					c.next = func(c *routerContext) { keep(t, c.writer, c.request) }
					adapter(route, c)
				}})
			}))
			status, body := w.call(w.upload(server.URL + "/images/1"))
			require.Equal(t, http.StatusCreated, status, body)
			requireEmpty(t, folder, runtime.GC)
		})
	}
}

// Files that were parsed before the guard are removed by the code that has parsed them.
func TestUploadParsedBefore(t *testing.T) {
	folder := temporary(t)
	w := newWorld(t, worldOptions{cold: true})
	guarded := w.auth.Require(w.reach)
	server := w.listen(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1 << 10); err != nil {
			t.Error(err)
		}
		guarded.ServeHTTP(rw, r)
		file, err := r.MultipartForm.File["image"][0].Open()
		if err != nil {
			t.Error("the file is gone:", err)
			return
		}
		_ = file.Close()
	}))
	status, body := w.call(w.upload(server.URL + "/images/1"))
	require.Equal(t, http.StatusOK, status, body)
	requireEmpty(t, folder, func() {})
}

// A handler around the guard sees what inner handlers have written to the request.
func TestRequestOutsideOfTheGuard(t *testing.T) {
	temporary(t)
	w := newWorld(t, worldOptions{cold: true})
	mux := http.NewServeMux()
	mux.Handle("POST /{kind}/{id...}", w.auth.Require(func(rw http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "a note", r.FormValue("note"))
		rw.WriteHeader(http.StatusNoContent)
	}))
	guarded := w.auth.Guard()(mux)
	seen := make(chan string, 1)
	server := w.listen(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		guarded.ServeHTTP(rw, r)
		if middleware.Claims(r.Context()) != nil {
			t.Error("the claims have got out")
		}
		seen <- r.Pattern + " " + r.PathValue("kind") + " " + r.PathValue("id") + " " + r.FormValue("note")
	}))
	status, body := w.call(w.upload(server.URL + "/images/1/2"))
	require.Equal(t, http.StatusNoContent, status, body)
	require.Equal(t, "POST /{kind}/{id...} images 1/2 a note", <-seen)
}
