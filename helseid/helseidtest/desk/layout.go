package desk

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"
)

//go:embed layout.html
var layout string

//go:embed style.css
var style string

var styleHash = func() string {
	sum := sha256.Sum256([]byte(style))
	return base64.StdEncoding.EncodeToString(sum[:])
}()

// parsePage makes the template of a page from its parts, each of which is a "define":
// title, brand and content.
func parsePage(parts string) *template.Template {
	shared := template.New("layout").Funcs(template.FuncMap{
		"style": func() template.CSS { return template.CSS(style) },
	})
	return template.Must(template.Must(shared.Parse(layout)).Parse(parts))
}

// writePage writes a page. formAction lists the sources of the Content-Security-Policy
// to which its forms may lead, also through a redirect; none means that forms are not
// permitted.
func writePage(w http.ResponseWriter, status int, page *template.Template, data any, formAction ...string) {
	var body bytes.Buffer
	if err := page.Execute(&body, data); err != nil {
		http.Error(w, "the page cannot be shown", http.StatusInternalServerError)
		return
	}
	if len(formAction) == 0 {
		formAction = []string{"'none'"}
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=UTF-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+styleHash+"'; img-src data:; base-uri 'none'; frame-ancestors 'none'; form-action "+strings.Join(formAction, " "))
	header.Set("X-Content-Type-Options", "nosniff")
	// A referrer would tell other sites the path of a login. But with no-referrer,
	// browsers would send the form with the origin "null".
	header.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}
