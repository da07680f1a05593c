package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// A browser has somebody in front of it who fills in every form that it is shown. It keeps cookies
// and with them the session at the authorization server.
type browser struct {
	client *http.Client
	pages  int // how many forms have been filled in
}

func newBrowser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // never, without options
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{client: &http.Client{Jar: jar, CheckRedirect: stay, Timeout: 10 * time.Second}}
}

// What the person chooses on the login page.
var (
	clinician       = url.Values{"account": {"clinician-4"}, "action": {"login"}}
	clinicianLevel3 = url.Values{"account": {"clinician-3"}, "action": {"login"}}
	cancels         = url.Values{"action": {"cancel"}}
)

const maxSteps = 20

// walk opens a page of a server and goes wherever it leads, until it leads away from the server. It
// returns where that is, without going there.
func (b *browser) walk(ctx context.Context, server, target string, choice url.Values) (*url.URL, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	for range maxSteps {
		if !strings.HasPrefix(request.URL.String(), server+"/") {
			return request.URL, nil
		}
		if request, err = b.step(ctx, request, choice); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("the browser is sent around in circles")
}

// step makes a request and returns the one that comes of it.
func (b *browser) step(ctx context.Context, request *http.Request, choice url.Values) (*http.Request, error) {
	response, err := b.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	page, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if next, err := response.Location(); err == nil {
		return http.NewRequestWithContext(ctx, http.MethodGet, next.String(), nil)
	}
	action, fields, found := readForm(string(page))
	if response.StatusCode != http.StatusOK || !found {
		return nil, fmt.Errorf("the browser is shown a page with status %d: %s", response.StatusCode, page)
	}
	next, err := request.URL.Parse(action)
	if err != nil {
		return nil, err
	}
	b.pages++
	for name := range fields {
		if choice.Has(name) {
			fields[name] = choice[name]
		}
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, next.String(), strings.NewReader(fields.Encode()))
	if err != nil {
		return nil, err
	}
	post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return post, nil
}

var (
	formPattern  = regexp.MustCompile(`(?s)<form([^>]*)>(.*?)</form>`)
	inputPattern = regexp.MustCompile(`<input([^>]*)>`)
)

// readForm reads a page's form: where it is sent, and its fields with their values.
func readForm(page string) (action string, fields url.Values, found bool) {
	form := formPattern.FindStringSubmatch(page)
	if form == nil {
		return "", nil, false
	}
	fields = url.Values{}
	for _, input := range inputPattern.FindAllStringSubmatch(form[2], -1) {
		if name := attribute(input[1], "name"); name != "" {
			fields.Set(name, attribute(input[1], "value"))
		}
	}
	return attribute(form[1], "action"), fields, true
}

func attribute(tag, name string) string {
	_, rest, _ := strings.Cut(tag, " "+name+`="`)
	text, _, _ := strings.Cut(rest, `"`)
	return html.UnescapeString(text)
}
