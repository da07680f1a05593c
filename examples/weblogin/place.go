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

// place is where the application listens, as browsers see it.
type place struct {
	redirect   *url.URL
	postLogout *url.URL // nil if none is registered on loopback
}

// findPlace takes the first redirect URI on loopback: the application speaks
// plain http, which nobody but its own machine may see.
func findPlace(registered helseid.Registration) (*place, error) {
	found := &place{redirect: firstLoopback(registered.RedirectURIs), postLogout: firstLoopback(registered.PostLogoutRedirectURIs)}
	if found.redirect == nil {
		return nil, fmt.Errorf("%w: the configuration has no redirect URI on loopback, such as http://localhost:8080/callback: register one for the client", errUsage)
	}
	return found, nil
}

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

// setPort names the port that the application listens on. HelseID takes any
// port on loopback in its test environment.
func (p *place) setPort(port int) {
	for _, u := range []*url.URL{p.redirect, p.postLogout} {
		if u != nil {
			u.Host = net.JoinHostPort(u.Hostname(), strconv.Itoa(port))
		}
	}
}

// afterLogout is where HelseID sends users who have logged out, or "".
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
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%w: -listen: %w", errUsage, err)
	}
	if !isLoopback(host) {
		return nil, fmt.Errorf("%w: -listen: the application listens on loopback only, such as 127.0.0.1:8080", errUsage)
	}
	return net.Listen("tcp", address)
}

// checkAPI finds a bad -api before anybody logs in.
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

// ownScopes are asked for where the file does not name identity scopes.
var ownScopes = []string{
	helseid.ScopeProfile, helseid.ScopeOfflineAccess, helseid.ScopePersonalIdentityNumber, helseid.ScopeSecurityLevel, helseid.ScopeHPRNumber,
}

// isAboutUser tells identity scopes from an API's.
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

// resources are the short names of the APIs, which their scopes start with.
func resources(scopes []string) []string {
	var names []string
	for _, scope := range scopes {
		if name, _, _ := strings.Cut(scope, "/"); !isAboutUser(scope) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// setup is whom the application speaks to, and as whom.
type setup struct {
	config        helseid.Config
	organizations []organization // to choose from; none: any
	end           func()
}

// configure loads the file, or starts a HelseID and an API to play with.
func configure(opts *options, report *report) (*setup, error) {
	if opts.configFile == "" {
		return startDemo(opts, report)
	}
	config, err := helseid.LoadConfig(opts.configFile)
	if err != nil {
		return nil, err
	}
	if opts.issuer != "" {
		config.Issuer = opts.issuer
	}
	if strings.HasPrefix(config.Issuer, "http://") {
		report.warn("HelseID is spoken to over plain http, which is accepted for loopback only")
	}
	return &setup{config: config, end: func() {}}, nil
}

// shown is an error whose text is for users.
type shown string

func (s shown) Error() string { return string(s) }

const errNoOrganization = shown("Et organisasjonsnummer har ni sifre.")
