package middleware

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/helseid-go/sdk/internal/httpx"
)

// publicAddress is an address of the API as its clients see it.
type publicAddress struct {
	scheme, host string
	prefix       string // of paths, without a trailing slash
	origin       string
}

func (a publicAddress) base() string { return a.scheme + "://" + a.host + a.prefix }

// isAt compares hosts under the address's own scheme. It makes no difference whether a
// default port is written.
func (a publicAddress) isAt(host string) bool {
	return httpx.Origin(&url.URL{Scheme: a.scheme, Host: host}) == a.origin
}

// publicAddresses parses PublicURL, or else PublicURLs.
func publicAddresses(config Config) (only *publicAddress, choice []publicAddress, err error) {
	if config.PublicURL != "" {
		if len(config.PublicURLs) > 0 {
			return nil, nil, errors.New("fields PublicURL and PublicURLs: set one of them")
		}
		address, err := parsePublicURL("PublicURL", config.PublicURL)
		return &address, nil, err
	}
	var errs []error
	for _, text := range config.PublicURLs {
		address, err := parsePublicURL("PublicURLs", text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, other := range choice {
			switch {
			case !other.isAt(address.host) && !address.isAt(other.host):
			case config.PrefixHeader == "":
				errs = append(errs, errors.New("field PublicURLs has two addresses with the same host: without PrefixHeader they cannot be told apart"))
			case other.prefix == address.prefix:
				errs = append(errs, errors.New("field PublicURLs has two addresses with the same host and prefix"))
			}
		}
		choice = append(choice, address)
	}
	return nil, choice, errors.Join(errs...)
}

// parsePublicURL checks an address. Plain http is accepted for loopback hosts only.
func parsePublicURL(field, text string) (publicAddress, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return publicAddress{}, fmt.Errorf("field %s must be an absolute URL without query and fragment", field)
	}
	if strings.ContainsFunc(u.Host, func(r rune) bool { return r > '~' }) {
		return publicAddress{}, fmt.Errorf("field %s: write the host in its xn-- form", field)
	}
	if err := httpx.CheckSecure(u); err != nil {
		return publicAddress{}, fmt.Errorf("field %s: %w", field, err)
	}
	return publicAddress{u.Scheme, u.Host, strings.TrimSuffix(u.EscapedPath(), "/"), httpx.Origin(u)}, nil
}
