package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/helseid-go/sdk/helseid"
)

// place is the address of the application, as browsers see it.
type place struct {
	redirect   *url.URL
	postLogout *url.URL // nil if none is registered on loopback
}

// findPlace uses the first redirect URI on loopback: the application speaks plain http,
// which must not leave the machine.
func findPlace(registered helseid.Registration) (*place, error) {
	found := &place{redirect: firstLoopback(registered.RedirectURIs), postLogout: firstLoopback(registered.PostLogoutRedirectURIs)}
	if found.redirect == nil {
		return nil, fmt.Errorf("%w: the configuration has no redirect URI on loopback, such as http://localhost:8080/callback: register one for the client", errUsage)
	}
	if slices.Contains(ownPaths, found.redirect.Path) {
		return nil, fmt.Errorf("%w: the redirect URI %s leads to a page of the application's own: register another, such as http://localhost:8080/callback", errUsage, found.redirect)
	}
	return found, nil
}

// ownPaths are the paths of the application's pages.
var ownPaths = []string{"/me", "/call", "/strong"}

func firstLoopback(texts []string) *url.URL {
	for _, text := range texts {
		if u, err := url.Parse(text); err == nil && u.Scheme == "http" && isLoopback(u.Hostname()) {
			return u
		}
	}
	return nil
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback() && !address.Is4In6()
}

// setPort sets the port that the application listens on. HelseID's test environment
// accepts any port on loopback.
func (p *place) setPort(port int) {
	for _, u := range []*url.URL{p.redirect, p.postLogout} {
		if u != nil {
			u.Host = net.JoinHostPort(u.Hostname(), strconv.Itoa(port))
		}
	}
}

// afterLogout is the URL to which HelseID redirects users after a logout, or "".
func (p *place) afterLogout() string {
	if p.postLogout == nil {
		return ""
	}
	return p.postLogout.String()
}

// listen opens the address of the flag, or else the one in the redirect URI.
func listen(address string, p *place) (net.Listener, error) {
	if address == "" {
		port := p.redirect.Port()
		if port == "" {
			port = "80"
		}
		address = net.JoinHostPort(p.redirect.Hostname(), port)
	}
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: -listen takes an address with a port, such as 127.0.0.1:8080: %w", errUsage, err)
	}
	if !isLoopback(host) {
		return nil, fmt.Errorf("%w: -listen: the application listens on loopback only, such as 127.0.0.1:8080", errUsage)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	// HelseID redirects browsers to the host of the redirect URI, so cookies are set
	// for that host.
	seen := net.ParseIP(p.redirect.Hostname())
	if seen != nil && !seen.Equal(listener.Addr().(*net.TCPAddr).IP) {
		_ = listener.Close()
		return nil, fmt.Errorf("%w: -listen: the redirect URI leads to %s, where nobody would answer", errUsage, seen)
	}
	return listener, nil
}

// checkAPI finds a wrong -api before anybody logs in.
func checkAPI(target string, report *report) error {
	if target == "" {
		return nil
	}
	u, err := url.Parse(target)
	switch {
	case err != nil || u.Host == "":
		return fmt.Errorf("%w: -api is not an absolute URL", errUsage)
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		report.warn("the API is called over plain http, which is accepted for loopback only")
		return nil
	}
	return fmt.Errorf("%w: -api: %w", errUsage, helseid.ErrInsecureURL)
}

// ownScopes are requested if the file names no identity scopes.
var ownScopes = []string{
	helseid.ScopeProfile, helseid.ScopeOfflineAccess, helseid.ScopePersonalIdentityNumber, helseid.ScopeSecurityLevel, helseid.ScopeHPRNumber,
}

// isAboutUser distinguishes identity scopes from an API's scopes.
func isAboutUser(scope string) bool {
	return strings.HasPrefix(scope, "helseid://") || !strings.ContainsAny(scope, ":/")
}

// loginScopes are what the client has been granted.
func loginScopes(registered []string) []string {
	if slices.ContainsFunc(registered, isAboutUser) {
		return registered
	}
	return append(slices.Clone(ownScopes), registered...)
}

// resources returns the short names of the APIs, with which their scopes start. Older
// scopes have a backslash instead of the slash. Scopes with neither, such as
// nhn:sfm:journal-id, belong to no API.
func resources(scopes []string) []string {
	var names []string
	for _, scope := range scopes {
		end := strings.IndexAny(scope, `/\`)
		if end > 0 && !isAboutUser(scope) && !slices.Contains(names, scope[:end]) {
			names = append(names, scope[:end])
		}
	}
	return names
}

// setup is the configuration of the application.
type setup struct {
	config        helseid.Config
	organizations []organization // to choose from; none: any
	end           func()
}

// configure loads the file, or starts a HelseID and an API for a demonstration.
func configure(opts *options, report *report) (*setup, error) {
	found := &setup{end: func() {}}
	var err error
	if opts.configFile == "" {
		found, err = startDemo(opts, report)
	} else {
		found.config, err = helseid.LoadConfig(opts.configFile)
	}
	if err != nil {
		return nil, err
	}
	if opts.issuer != "" {
		found.config.Issuer = strings.TrimRight(opts.issuer, "/")
	}
	if strings.HasPrefix(found.config.Issuer, "http://") {
		report.warn("HelseID is spoken to over plain http, which is accepted for loopback only")
	}
	return found, nil
}

// shown is an error whose text is for users.
type shown string

func (s shown) Error() string { return string(s) }

const errNoOrganization = shown("Et organisasjonsnummer har ni sifre.")
