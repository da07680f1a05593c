package call

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/jwtview"
	"github.com/helseid-go/sdk/internal/redact"
)

// tracer prints what goes over the wire, without credentials.
type tracer struct {
	base http.RoundTripper
	out  *cli.Output
}

// Unwrap lets the client look at the transport inside.
func (t *tracer) Unwrap() http.RoundTripper { return t.base }

// RoundTrip implements [http.RoundTripper].
func (t *tracer) RoundTrip(request *http.Request) (*http.Response, error) {
	// Of a request to HelseID only the line is shown: its body holds an assertion.
	api := request.Header.Get("Authorization") != ""
	t.out.Note("> %s %s", request.Method, shownURL(request.URL))
	if api {
		t.headers(">", request.Header)
		if _, claims, err := jwtview.Decode(request.Header.Get("DPoP")); err == nil {
			if said, err := jwtview.Show(claims); err == nil {
				t.out.Note("> the proof says %s", said)
			}
		}
	}
	response, err := t.base.RoundTrip(request)
	if err != nil {
		t.out.Note("< no answer")
		return response, err
	}
	t.out.Note("< %s %s", response.Proto, response.Status)
	if api {
		t.headers("<", response.Header)
	}
	return response, nil
}

func (t *tracer) headers(direction string, header http.Header) {
	shown := shownHeaders(header)
	names := make([]string, 0, len(shown))
	for name := range shown {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range shown[name] {
			t.out.Note("%s %s: %s", direction, strings.Replace(name, "Dpop", "DPoP", 1), value)
		}
	}
}

// shownURL is a URL with identity numbers masked.
func shownURL(u *url.URL) string { return string(jwtview.Mask([]byte(u.String()))) }

// shownHeaders are headers without what lets somebody in.
func shownHeaders(header http.Header) map[string][]string {
	shown := make(map[string][]string, len(header))
	for name, values := range header {
		for _, value := range values {
			shown[name] = append(shown[name], shownHeader(name, value))
		}
	}
	return shown
}

func shownHeader(name, value string) string {
	lower := strings.ToLower(name)
	switch {
	case lower == "authorization":
		scheme, _, _ := strings.Cut(value, " ")
		return scheme + " " + redact.Placeholder
	case lower == "www-authenticate", lower == "dpop-nonce":
		return string(jwtview.Mask([]byte(value)))
	case lower == "location":
		target, err := url.Parse(value)
		if err != nil {
			return redact.Placeholder
		}
		target.RawQuery, target.Fragment, target.User = "", "", nil
		return shownURL(target)
	case slices.ContainsFunc([]string{"dpop", "cookie", "auth", "token", "secret", "key", "session", "password"}, func(part string) bool {
		return strings.Contains(lower, part)
	}):
		return redact.Placeholder
	}
	return string(jwtview.Mask([]byte(value)))
}
