package httpx

import (
	"context"
	"iter"
	"mime/multipart"
	"net/http"
	"runtime"
	"strings"
)

// ServeContext calls a handler with a copy of the request that has another context.
// What handlers write to the copy would be lost to the caller, so the copy's forms,
// pattern and path values are copied back to the original request, also when the
// handler panics.
//
// The temporary files of an upload that the handler has parsed are removed: net/http
// removes only those of its own request, and other code, such as a router, may have
// copied that request before.
func ServeContext(next http.Handler, w http.ResponseWriter, r *http.Request, ctx context.Context) {
	served := r.WithContext(ctx)
	parsedBefore := r.MultipartForm
	defer func() {
		if form := served.MultipartForm; form != nil && form != parsedBefore {
			_ = form.RemoveAll()
		} else if form == nil && isUpload(r) {
			// The handler may not have run yet: a router's adapter may keep the request and
			// return.
			runtime.SetFinalizer(served, func(r *http.Request) { removeAll(r.MultipartForm) })
		}
		giveBack(r, served)
	}()
	next.ServeHTTP(w, served)
}

func isUpload(r *http.Request) bool {
	const mediaType = "multipart/"
	contentType := r.Header.Get("Content-Type")
	return len(contentType) >= len(mediaType) && strings.EqualFold(contentType[:len(mediaType)], mediaType)
}

func removeAll(form *multipart.Form) {
	if form != nil {
		_ = form.RemoveAll()
	}
}

// giveBack copies to a request what handlers have set on its copy.
func giveBack(r, served *http.Request) {
	if r.Form == nil {
		r.Form = served.Form
	}
	if r.PostForm == nil {
		r.PostForm = served.PostForm
	}
	if r.MultipartForm == nil {
		r.MultipartForm = served.MultipartForm
	}
	if served.Pattern == r.Pattern {
		return
	}
	r.Pattern = served.Pattern
	for name := range wildcards(served.Pattern) {
		r.SetPathValue(name, served.PathValue(name))
	}
}

// wildcards yields the names in a pattern of [http.ServeMux].
func wildcards(pattern string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for {
			_, after, found := strings.Cut(pattern, "{")
			name, rest, closed := strings.Cut(after, "}")
			if !found || !closed {
				return
			}
			if name = strings.TrimSuffix(name, "..."); name != "$" && name != "" && !yield(name) {
				return
			}
			pattern = rest
		}
	}
}
