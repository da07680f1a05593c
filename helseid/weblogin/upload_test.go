package weblogin_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/weblogin"
)

// A form with a file leaves no temporary file behind, over a real socket, and a
// handler around the guard finds what was parsed. It sets the folder for such files,
// so it does not run beside other tests.
func TestUploadsLeaveNoFile(t *testing.T) {
	for name, test := range map[string]struct {
		guard func(*weblogin.Web, http.HandlerFunc) http.Handler
		panic bool
	}{
		"Require":         {(*weblogin.Web).Require, false},
		"Optional":        {(*weblogin.Web).Optional, false},
		"a panic":         {(*weblogin.Web).Require, true},
		"one in another":  {func(w *weblogin.Web, h http.HandlerFunc) http.Handler { return w.Optional(w.Require(h).ServeHTTP) }, false},
		"a certain level": {func(w *weblogin.Web, h http.HandlerFunc) http.Handler { return w.RequireLevel(3, h) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			t.Setenv("TMPDIR", folder)
			t.Setenv("TMP", folder)
			w := newWorld(t, nil)
			b := w.newBrowser()
			b.logIn("/login")
			guarded := test.guard(w.web, func(rw http.ResponseWriter, r *http.Request) {
				if weblogin.Session(r.Context()) == nil {
					t.Error("nobody is logged in")
				}
				if err := r.ParseMultipartForm(1 << 10); err != nil {
					t.Error(err)
				}
				files, err := os.ReadDir(folder)
				if err != nil || len(files) != 1 {
					t.Error("there is no temporary file:", err)
				}
				if test.panic {
					panic(http.ErrAbortHandler)
				}
				rw.WriteHeader(http.StatusCreated)
			})
			seen := make(chan string, 1)
			server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				defer func() { seen <- r.FormValue("note") }()
				guarded.ServeHTTP(rw, r)
			}))
			defer server.Close()
			var body bytes.Buffer
			form := multipart.NewWriter(&body)
			require.NoError(t, form.WriteField("note", "a note"))
			part, err := form.CreateFormFile("image", "image.dcm")
			require.NoError(t, err)
			_, err = part.Write(make([]byte, 1<<20))
			require.NoError(t, err)
			require.NoError(t, form.Close())
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, &body)
			require.NoError(t, err)
			request.Header.Set("Content-Type", form.FormDataContentType())
			request.Header.Set("Sec-Fetch-Site", "same-origin")
			request.AddCookie(&http.Cookie{Name: sessionCookie, Value: b.cookie(sessionCookie)})
			response, err := server.Client().Do(request)
			if test.panic {
				require.Error(t, err)
			} else {
				require.NoError(t, err)
				_, err = io.Copy(io.Discard, response.Body)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				require.Equal(t, http.StatusCreated, response.StatusCode)
			}
			require.Equal(t, "a note", <-seen)
			require.Eventually(t, func() bool {
				files, err := os.ReadDir(folder)
				return err == nil && len(files) == 0
			}, 10*time.Second, 5*time.Millisecond, "a temporary file is left")
		})
	}
}

// An error page that writes no status is a refusal anyway.
func TestErrorPageThatForgetsTheStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *weblogin.Config) {
		c.ErrorPage = func(rw http.ResponseWriter, _ *http.Request, _ weblogin.Problem) { _, _ = io.WriteString(rw, "no") }
	})
	answer := w.newBrowser().get(origin+"/me", header("Sec-Fetch-Mode", "cors"))
	require.Equal(t, http.StatusUnauthorized, answer.StatusCode)
}
