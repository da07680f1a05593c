package helseidtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// LoginOption chooses the user and the browser that [Server.LogIn] simulates.
type LoginOption func(*browser)

type browser struct {
	choice Choice
	jar    http.CookieJar
}

// AsUser logs in the person with this national identity number. The default is
// the first of [Server.Users].
func AsUser(personalIdentityNumber string) LoginOption {
	return func(b *browser) { b.choice.User = personalIdentityNumber }
}

// AtLevel logs in at this security level, 2 to 4, instead of the user's own.
func AtLevel(level int) LoginOption { return func(b *browser) { b.choice.SecurityLevel = level } }

// Cancelled cancels the login.
func Cancelled() LoginOption { return func(b *browser) { b.choice.Cancel = true } }

// InBrowser simulates a browser with these cookies, which include its single sign-on.
// Without it, each call uses a new browser. With the Jar of a [Server.Browser], the
// options describe what its user does next, or who uses it next.
func InBrowser(cookies http.CookieJar) LoginOption { return func(b *browser) { b.jar = cookies } }

// LogIn simulates the browser and the user. It opens the URL at which a login starts
// and returns the URL at which it ends: the client's redirect URI with the response,
// which is not called. A response with an error is such a URL, too. If the server shows
// an error page because it cannot redirect to the client, LogIn returns an error.
func (s *Server) LogIn(authorizeURL string, opts ...LoginOption) (callback *url.URL, err error) {
	response, err := s.visit(authorizeURL, opts)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	callback, err = response.Location()
	if err != nil {
		return nil, pageError("the login", response)
	}
	return callback, nil
}

// LogOut simulates the browser at the end session endpoint. It returns the URL that the
// browser is sent to, without calling it, or nil if the browser is shown a page.
func (s *Server) LogOut(endSessionURL string, opts ...LoginOption) (next *url.URL, err error) {
	response, err := s.visit(endSessionURL, opts)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if next, err := response.Location(); err == nil {
		return next, nil
	}
	if response.StatusCode != http.StatusOK {
		return nil, pageError("the logout", response)
	}
	if _, target, found := strings.Cut(response.Header.Get("Refresh"), "url="); found {
		return url.Parse(target)
	}
	return nil, nil
}

func newBrowser(opts []LoginOption) browser {
	var b browser
	for _, option := range opts {
		option(&b)
	}
	return b
}

// visit opens a URL in a browser.
func (s *Server) visit(target string, opts []LoginOption) (*http.Response, error) {
	b := newBrowser(opts)
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, target, nil)
	if err != nil {
		return nil, fmt.Errorf("helseidtest: %w", err)
	}
	if b.jar == nil {
		return s.open(request, b.choice)
	}
	for _, cookie := range b.jar.Cookies(request.URL) {
		request.AddCookie(cookie)
	}
	response, err := s.open(request, b.choice)
	if err == nil {
		b.jar.SetCookies(request.URL, response.Cookies())
	}
	return response, err
}

// open passes the request to the handler, with or without a listener.
func (s *Server) open(request *http.Request, choice Choice) (*http.Response, error) {
	if !strings.HasPrefix(request.URL.String(), s.issuer+"/") {
		return nil, errors.New("helseidtest: the URL is not one of this server")
	}
	response, err := s.serveDirectly(request.WithContext(withChoice(request.Context(), choice)))
	if err != nil {
		return nil, fmt.Errorf("helseidtest: %w", err)
	}
	return response, nil
}

// pageError returns the text of the page as an error.
func pageError(what string, response *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	_, text, _ := strings.Cut(string(body), "<p>")
	text, _, _ = strings.Cut(text, "</p>")
	return fmt.Errorf("helseidtest: %s ended on a page with status %d: %s", what, response.StatusCode, text)
}
