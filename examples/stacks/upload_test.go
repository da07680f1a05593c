package main

import (
	"context"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

const documentSize = 50 << 20 // more than any of the stacks keeps in memory

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// upload is a request with a form that has a document of 50 MB.
func (w *world) upload(path string) *http.Request {
	w.Helper()
	body, writer := io.Pipe()
	form := multipart.NewWriter(writer)
	go func() {
		part, err := form.CreateFormFile("document", "image.dcm")
		if err == nil {
			_, err = io.Copy(part, io.LimitReader(zeros{}, documentSize))
		}
		if err == nil {
			err = form.Close()
		}
		_ = writer.CloseWithError(err)
	}()
	request := w.request(http.MethodPost, path, body, mint.Clinician())
	request.Header.Set("Content-Type", form.FormDataContentType())
	return request
}

// No temporary file is left of an upload, in any stack, behind one guard or several,
// and also if the handler panics.
func TestUploadsLeaveNoFile(t *testing.T) {
	for name, path := range map[string]string{"one guard": "/documents", "a guard in a guard": "/clinician/documents"} {
		for name2, around := range map[string]bool{"": false, ", and one around all": true} {
			t.Run(name+name2, func(t *testing.T) {
				inEachRouter(t, func() worldOptions { return worldOptions{around: around, own: backend{keep: fromDisk}} }, func(w *world) {
					folder := temporary(w)
					requireJSON(w, `{"size":52428800}`, w.send(w.upload(path)))
					requireEmpty(w, folder)
				})
			})
			t.Run(name+name2+", a panic", func(t *testing.T) {
				inEachRouter(t, func() worldOptions { return worldOptions{around: around, own: backend{keep: thatPanics}} }, func(w *world) {
					folder := temporary(w)
					w.requirePanic(w.upload(path))
					requireEmpty(w, folder)
					records := w.log()
					require.NotEmpty(w, records)
					for _, record := range records {
						require.True(w, record.Allowed)
						require.Equal(w, mint.DefaultSubject, record.Subject)
					}
				})
			})
		}
	}
}

// Nor of one that is refused, or that nobody has read.
func TestUploadThatIsRefused(t *testing.T) {
	inEachRouter(t, plain, func(w *world) {
		folder := temporary(w)
		request := w.upload("/documents")
		request.Header.Del("DPoP")
		if response, err := w.client.Do(request); err == nil { // or the connection is closed while it is sent
			require.NoError(w, response.Body.Close())
			require.Equal(w, http.StatusUnauthorized, response.StatusCode)
		}
		requireEmpty(w, folder)
	})
}

// fromDisk is an archive that makes sure that the document has come by way of a file.
func fromDisk(ctx context.Context, document io.Reader) (int64, error) {
	if file, isFile := document.(*os.File); !isFile || file.Name() == "" {
		panic("the document is in memory")
	}
	return measure(ctx, document)
}

func thatPanics(ctx context.Context, document io.Reader) (int64, error) {
	if _, err := fromDisk(ctx, document); err != nil {
		return 0, err
	}
	panic("an archive")
}

// temporary is the folder for temporary files during a test.
func temporary(w *world) string {
	folder := w.TB.(*testing.T).TempDir()
	w.Setenv("TMPDIR", folder)
	w.Setenv("TMP", folder)
	return folder
}

// requireEmpty waits for the handler to return, which may be after its answer.
func requireEmpty(w *world, folder string) {
	w.Helper()
	require.Eventually(w, func() bool {
		files, err := os.ReadDir(folder)
		return err == nil && len(files) == 0
	}, 10*time.Second, 5*time.Millisecond, "temporary files are left")
}
