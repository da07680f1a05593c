package httpx

import (
	"context"
	"iter"
	"mime/multipart"
	"net/http"
	"runtime"
	"strings"
)

// ServeContext calls a handler with a request whose context is another one. That takes
// a copy of the request, and what handlers write to the copy would be lost to whoever
// has made the request: the copy's forms, pattern and path values are given back to
// the original, also when the handler panics.
//
// The temporary files of an upload that was parsed meanwhile are removed: net/http
// removes those of its own request alone, and there may be copies between that one and
// this, such as a router's.
func ServeContext(next http.Handler, w http.ResponseWriter, r *http.Request, ctx context.Context) {
	served := r.WithContext(ctx)
	parsedBefore := r.MultipartForm
	defer func() {
		if form := served.MultipartForm; form != nil && form != parsedBefore {
			_ = form.RemoveAll()
		} else if form == nil && isUpload(r) {
			// Perhaps the handler is yet to run: an adapter of a router may take the request
			// away with it, and return.
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

// giveBack writes to a request what handlers have found out about its copy.
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

// wildcards are the names in a pattern of http.ServeMux.
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
