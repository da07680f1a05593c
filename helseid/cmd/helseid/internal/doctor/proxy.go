package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/internal/httpx"
)

// proxyRefusal is a proxy's answer to CONNECT that is not a success.
type proxyRefusal struct {
	proxy  *url.URL
	target string
	status int
}

func (e *proxyRefusal) Error() string {
	return fmt.Sprintf("the proxy %s does not open the way to %s: status %s", e.proxy.Host, e.target, statusText(e.status))
}

// proxyFor is the proxy that net/http uses for a request, or nil. An address that it
// cannot read it takes for one without a scheme, so the scheme for the proxy's host.
func proxyFor(request *http.Request) (*url.URL, error) {
	proxy, err := http.ProxyFromEnvironment(request)
	if err == nil && proxy != nil && slices.Contains([]string{"", "http", "https"}, proxy.Hostname()) {
		err = errUnreadableProxy
	}
	return proxy, err
}

var errUnreadableProxy = errors.New("the address of the proxy cannot be read")

// ignoredProxy reports that the environment names a proxy for a URL, and net/http goes
// without because it cannot read the address.
func ignoredProxy(target *url.URL) bool {
	if httpx.IsLoopback(target.Hostname()) {
		return false
	}
	name := strings.ToUpper(target.Scheme) + "_PROXY"
	value := cmp.Or(os.Getenv(name), os.Getenv(strings.ToLower(name)))
	_, err := url.Parse(value)
	if err != nil {
		_, err = url.Parse("http://" + value)
	}
	return err != nil
}

// finding says what opens the way.
func (e *proxyRefusal) finding() finding {
	host, _, err := net.SplitHostPort(e.target)
	if err != nil {
		host = e.target
	}
	exempt := "If " + host + " can be reached without a proxy, name the host in NO_PROXY."
	switch {
	case e.status == http.StatusProxyAuthRequired && e.proxy.User != nil:
		return finding{e.Error() + ": it does not take the user and the password", []string{
			"Correct the user and the password in HTTPS_PROXY (http://user:password@host:port, percent-encoded).",
			"A proxy that demands Kerberos or NTLM takes no password: ask its owner to let " + host + " pass without.", exempt}}
	case e.status == http.StatusProxyAuthRequired:
		return finding{e.Error() + ": it demands a user and a password", []string{
			"Write them into HTTPS_PROXY: http://user:password@host:port, percent-encoded.",
			"A proxy that demands Kerberos or NTLM takes no password: ask its owner to let " + host + " pass without.", exempt}}
	case e.status >= 300 && e.status < 400 || e.status >= 200 && e.status < 300:
		return finding{e.Error() + ": it wants to show a page, such as a login page", []string{
			"Log in to the network with a browser on this machine.", "Ask the proxy's owner to let " + host + " pass without a login.", exempt}}
	}
	return finding{e.Error(), []string{"Ask the proxy's owner to allow CONNECT to " + e.target + ".", exempt}}
}

// checkProxy says whether requests to HelseID go through a proxy.
func checkProxy(ctx context.Context, s *state) result {
	return s.stageResult(ctx, "proxy", func(c *contact) result {
		if c.proxy != nil {
			return good("%s, from HTTPS_PROXY", c.proxy.Host)
		}
		if httpx.IsLoopback(c.target.Hostname()) {
			return good("none for this machine itself")
		}
		return good("none (HTTPS_PROXY is not set, or NO_PROXY names %s)", c.target.Hostname())
	})
}
