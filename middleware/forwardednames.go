package middleware

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// forwardedNames are the names of headers that differ between proxies. A header with an
// empty name is not read.
type forwardedNames struct{ host, port, prefix string }

func newForwardedNames(config Config, proxied bool) (forwardedNames, error) {
	var errs []error
	for _, field := range []struct{ name, value string }{
		{"HostHeader", config.HostHeader}, {"PortHeader", config.PortHeader}, {"PrefixHeader", config.PrefixHeader},
	} {
		switch {
		case field.value == "":
		case !isHeaderName(field.value):
			errs = append(errs, fmt.Errorf("field %s is not the name of a header", field.name))
		case config.PublicURL != "":
			errs = append(errs, fmt.Errorf("field %s: it has no effect with PublicURL", field.name))
		case !proxied:
			errs = append(errs, fmt.Errorf("field %s needs TrustedProxies or TrustUnixSocket", field.name))
		}
	}
	if config.HostHeader != "" && config.ForwardedHeader == Forwarded {
		errs = append(errs, errors.New("field HostHeader: ForwardedHeader says that the host is in the header Forwarded"))
	}
	return forwardedNames{cmp.Or(config.HostHeader, "X-Forwarded-Host"), config.PortHeader, config.PrefixHeader}, errors.Join(errs...)
}

// isHeaderName accepts a token of RFC 9110 section 5.6.2.
func isHeaderName(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// withPort replaces the port of host by the forwarded port, if there is one.
func (n forwardedNames) withPort(r *http.Request, host string) (string, error) {
	port, err := n.last(r, n.port)
	if err != nil {
		return "", err
	}
	if port == "" {
		return host, nil
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || strconv.FormatUint(number, 10) != port {
		return "", errPort
	}
	return net.JoinHostPort((&url.URL{Host: host}).Hostname(), port), nil
}

// pathPrefix returns the prefix that a proxy has removed from the path.
func (n forwardedNames) pathPrefix(r *http.Request) (string, error) {
	value, err := n.last(r, n.prefix)
	if err != nil {
		return "", err
	}
	prefix := strings.TrimSuffix(value, "/")
	if prefix != "" && !isPath(prefix) {
		return "", errPrefix
	}
	return prefix, nil
}

func (n forwardedNames) last(r *http.Request, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	fields := r.Header.Values(name)
	if tooLong(fields) {
		return "", errForwarded
	}
	return lastValue(fields), nil
}
