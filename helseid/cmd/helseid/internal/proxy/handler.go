package proxy

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/jwtview"
	"github.com/helseid-go/sdk/internal/httpx"
)

// secretHeader is what a request must have. A header of its own makes a browser ask first
// (CORS), and is easy to set everywhere.
const secretHeader = "X-Proxy-Secret"

var discard = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)

// handler passes requests on to one API.
type handler struct {
	target    *url.URL
	secret    string
	transport http.RoundTripper // puts token and proof on a request
	observe   func(method, path string, status int)
}

// parseTarget accepts what a token may be sent to.
func parseTarget(text string) (*url.URL, error) {
	if text == "" {
		return nil, errors.New("name the API's URL")
	}
	target, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("it cannot be read")
	}
	if err := httpx.CheckSecure(target); err != nil {
		return nil, err
	}
	if target.User != nil || target.RawQuery != "" || target.ForceQuery || target.Fragment != "" {
		return nil, errors.New("it is scheme, host and path only")
	}
	target.Path, target.RawPath = strings.TrimRight(target.Path, "/"), strings.TrimRight(target.RawPath, "/")
	return target, nil
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := &answerWriter{ResponseWriter: w}
	if h.observe != nil {
		defer func() { h.observe(r.Method, string(jwtview.Mask([]byte(r.URL.EscapedPath()))), answer.status) }()
	}
	if refused := h.check(r); refused != nil {
		refused.write(answer)
		return
	}
	// Without it, an answer that begins early would wait for the end of the request.
	_ = http.NewResponseController(w).EnableFullDuplex()
	(&httputil.ReverseProxy{
		Rewrite:        h.rewrite,
		Transport:      outgoing{h.transport},
		FlushInterval:  -1, // what streams shall not wait
		ErrorLog:       discard,
		ModifyResponse: h.cleanAnswer,
		ErrorHandler:   func(w http.ResponseWriter, _ *http.Request, err error) { failure(err).write(w) },
	}).ServeHTTP(answer, r)
}

// refusal is an answer of the proxy's own.
type refusal struct {
	status int
	text   string
}

func (r *refusal) write(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, "helseid proxy: "+r.text, r.status)
}

// check refuses what does not come from a program on this machine that knows the secret, or
// is not for the API. Whatever a browser sends is refused before the secret is looked at.
func (h *handler) check(r *http.Request) *refusal {
	switch {
	case r.Method == http.MethodConnect, r.URL.IsAbs(), r.URL.Host != "":
		return &refusal{http.StatusMisdirectedRequest, "it calls one API only: send requests to its own address, not through it"}
	case !isLoopbackHost(r.Host):
		return &refusal{http.StatusMisdirectedRequest, "the Host must be loopback: use the printed address"}
	case len(r.Header.Values("Origin")) > 0, !fromNoPage(r.Header.Values("Sec-Fetch-Site")):
		return &refusal{http.StatusForbidden, "it is not for pages in a browser"}
	case !h.knowsSecret(r.Header.Values(secretHeader)):
		return &refusal{http.StatusForbidden, "the header " + secretHeader + " must have the printed secret"}
	case r.Method == http.MethodTrace:
		return &refusal{http.StatusMethodNotAllowed, "a TRACE request must not carry a token"}
	case r.Header.Get("Upgrade") != "":
		return &refusal{http.StatusNotImplemented, "it does not upgrade connections"}
	case !plainPath(r.URL):
		return &refusal{http.StatusBadRequest, "the path must begin with one slash and have neither . nor .. in it"}
	}
	return nil
}

func isLoopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return httpx.IsLoopback(strings.Trim(host, "[]"))
}

// fromNoPage accepts what a person has typed into the address bar, and programs that are
// no browsers (Fetch Metadata Request Headers).
func fromNoPage(sites []string) bool {
	return !slices.ContainsFunc(sites, func(site string) bool { return site != "none" })
}

// knowsSecret compares hashes, so that neither contents nor length show in the time.
func (h *handler) knowsSecret(given []string) bool {
	if len(given) != 1 {
		return false
	}
	got, want := sha256.Sum256([]byte(given[0])), sha256.Sum256([]byte(h.secret))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// plainPath refuses what could name another place than it seems to: //host/path, and
// segments that lead out of the target's path, however they are encoded.
func plainPath(u *url.URL) bool {
	if !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") || strings.Contains(u.Path, `\`) {
		return false
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		segment, _, _ = strings.Cut(segment, ";") // some servers take the rest off
		if segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// rewrite makes the request for the API. ReverseProxy has removed what belongs to the
// connection, and what proxies add.
func (h *handler) rewrite(r *httputil.ProxyRequest) {
	r.Out.URL = &url.URL{
		Scheme: h.target.Scheme, Host: h.target.Host,
		Path:     h.target.Path + r.In.URL.Path,
		RawPath:  h.target.EscapedPath() + r.In.URL.EscapedPath(),
		RawQuery: r.In.URL.RawQuery, ForceQuery: r.In.URL.ForceQuery,
	}
	r.Out.Host, r.Out.Trailer = "", nil
	for _, name := range []string{secretHeader, "Authorization", "Dpop", "Cookie", "Proxy-Authorization", "Expect"} {
		r.Out.Header.Del(name)
	}
	for name := range r.Out.Header {
		if strings.HasPrefix(name, "Sec-Fetch-") {
			r.Out.Header.Del(name)
		}
	}
}

// cleanAnswer takes away what is for the client that this proxy is, or would act on
// everything that is called localhost in a browser.
func (h *handler) cleanAnswer(response *http.Response) error {
	for _, name := range []string{
		"Set-Cookie", "Set-Cookie2", "Dpop-Nonce", "Strict-Transport-Security", "Alt-Svc", "Clear-Site-Data",
		"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Refresh",
	} {
		response.Header.Del(name)
	}
	locations := response.Header.Values("Location")
	if len(locations) > 1 { // programs differ in which one they follow
		return errSeveralLocations
	}
	location := response.Header.Get("Location")
	if location == "" {
		return nil
	}
	next, err := response.Request.URL.Parse(location)
	if err != nil {
		return errElsewhere
	}
	rest, below := strings.CutPrefix(next.EscapedPath(), h.target.EscapedPath())
	if httpx.Origin(next) != httpx.Origin(h.target) || !below || rest != "" && rest[0] != '/' || strings.HasPrefix(rest, "//") {
		if response.StatusCode/100 == 3 {
			return errElsewhere
		}
		response.Header.Del("Location") // of a resource that was made
		return nil
	}
	here := cmp.Or(rest, "/")
	if next.RawQuery != "" {
		here += "?" + next.RawQuery
	}
	response.Header.Set("Location", here)
	return nil
}

// errElsewhere: programs that follow redirects would send the secret along, as curl does
// with headers of its user's.
var errElsewhere = errors.New("the API redirects to another origin, where neither a token nor the secret may go")

var errSeveralLocations = errors.New("the API answers with several headers Location")

func failure(err error) *refusal {
	status := http.StatusBadGateway
	if errors.Is(err, helseid.ErrUnavailable) {
		status = http.StatusServiceUnavailable
	}
	return &refusal{status, fmt.Sprint(cli.WithoutQuery(err))}
}

// maxRepeatable is up to which size a body is read before it is sent, in bytes: it can then
// be sent again when the API demands a nonce. A longer one is streamed.
const maxRepeatable = 64 << 10

// outgoing makes the bodies of small requests repeatable, and drops what comes after a body
// (RFC 9110 section 6.5): nobody looks at it on the way.
type outgoing struct{ base http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (o outgoing) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := makeRepeatable(request); err != nil {
		return nil, err
	}
	response, err := o.base.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	answer := *response // net/http fills the trailer of the original
	answer.Trailer = nil
	return &answer, nil
}

func makeRepeatable(request *http.Request) error {
	if request.Body == nil || request.ContentLength <= 0 || request.ContentLength > maxRepeatable {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(request.Body, maxRepeatable+1))
	_ = request.Body.Close()
	if err != nil {
		return fmt.Errorf("the body of the request broke off: %w", err)
	}
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	request.Body, _ = request.GetBody()
	return nil
}

// answerWriter keeps the API's informational answers (1xx) to itself, whose headers nobody
// has cleaned, and remembers the status.
type answerWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (w *answerWriter) WriteHeader(status int) {
	if status < 200 {
		return
	}
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for [http.ResponseController].
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
