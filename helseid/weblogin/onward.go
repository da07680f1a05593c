package weblogin

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"

	"github.com/helseid-go/sdk/internal/jose"
)

//go:embed onward.html
var onwardSource string

var onward = template.Must(template.New("onward").Parse(onwardSource))

// postScript submits the form of a page that continues by itself. Without scripts the
// user presses its button.
const postScript = `document.forms[0].submit()`

// onwardPolicy permits the page's own style and script. It does not set form-action:
// Chromium would apply it to the redirects that follow, and it is not known where
// HelseID redirects to. The page contains nothing from anyone else.
var onwardPolicy = func() string {
	script := sha256.Sum256([]byte(postScript))
	style := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(style[:]) +
		"'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(script[:]) +
		"'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
}()

// parameterAgain says that the browser comes from such a page of this application.
// Its value must match the browser's cookie of the visit, so that a link on another
// site cannot skip that page, and with it the session.
const parameterAgain = "again"

func againOf(v visit) string { return hash("again " + v.id) }

// isSecondTime reports that the browser comes from such a page. A browser that keeps
// no cookies has no session, and must not be redirected for ever.
func (w *Web) isSecondTime(r *http.Request) bool {
	again, visit := r.URL.Query().Get(parameterAgain), w.visitOf(r)
	return again != "" && (visit.id == "" || again == againOf(visit))
}

// comeAgain answers with a page that leads to the same place again, if the browser
// may have a session but may not have sent its cookie: a SameSite=Strict cookie is
// not sent when another site leads here, as HelseID does. From that page on the
// browser is on this site.
func (w *Web) comeAgain(rw http.ResponseWriter, r *http.Request) bool {
	if !w.config.SameSiteStrict || w.isSecondTime(r) || !isNavigation(r) {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "same-site", "none":
		return false
	}
	if _, present := w.cookies.value(r, w.cookies.session); present {
		return false
	}
	visit := w.visitOf(r)
	if visit.id == "" {
		visit.id = jose.NewID()
		w.setVisit(rw, visit)
	}
	query := r.URL.Query()
	query.Set(parameterAgain, againOf(visit))
	rw.Header().Set("Referrer-Policy", "no-referrer") // the URL of a callback contains a code
	writeOnward(rw, w.outside(r.URL.Path)+"?"+query.Encode(), nil)
	return true
}

// postOn sends the browser on with the parameters of a URL in the body of a form.
func (w *Web) postOn(rw http.ResponseWriter, target string) {
	u, err := url.Parse(target)
	if err != nil { // unreachable: the client has made it
		redirect(rw, target)
		return
	}
	fields := u.Query()
	u.RawQuery = ""
	writeOnward(rw, u.String(), fields)
}

// writeOnward shows a page that continues by itself: with a form that submits itself
// if there are fields, otherwise without a script.
func writeOnward(rw http.ResponseWriter, target string, fields url.Values) {
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	rw.Header().Set("Content-Type", "text/html; charset=UTF-8")
	rw.Header().Set("Content-Security-Policy", onwardPolicy)
	_ = onward.Execute(rw, struct {
		Target string
		Fields url.Values
		Style  template.CSS
		Script template.JS
	}{target, fields, template.CSS(pageStyle), postScript})
}
