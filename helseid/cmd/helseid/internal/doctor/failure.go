package doctor

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"syscall"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/redact"
)

// failure is why a request got no answer, and which step is to blame.
type failure struct {
	step string
	finding
}

// failure explains why the contact has failed, or returns nil.
func (c *contact) failure() *failure {
	if c.err == nil {
		return nil
	}
	if c.proxyErr != nil {
		// The error quotes the variable, which may hold a password.
		return &failure{"proxy", finding{"HTTPS_PROXY or HTTP_PROXY is not the URL of a proxy",
			[]string{"Write it as http://proxy.example.no:8080, with user:password@ before the host if the proxy demands that, percent-encoded, or unset it."}}}
	}
	c.mu.Lock()
	reached := c.stage
	c.mu.Unlock()
	found := explain(c.err, c.target, c.proxy, reached)
	return &found
}

// explain says why a request to a server has got no answer.
func explain(err error, target, proxy *url.URL, reached stage) failure {
	to := target.Host // who is connected to
	if proxy != nil {
		to = "the proxy " + proxy.Host
	}
	if refusal, ok := errors.AsType[*proxyRefusal](err); ok {
		return failure{"proxy", refusal.finding()}
	}
	if lookup, ok := errors.AsType[*net.DNSError](err); ok {
		return failure{"dns", unknownName(lookup, proxy != nil)}
	}
	if certificate, ok := certificateFinding(err, target, proxy); ok {
		return failure{"tls", certificate}
	}
	silent := isTimeout(err)
	switch {
	case isRefused(err):
		return failure{"connection", finding{to + " refuses the connection: nothing listens there, or a firewall is in the way", reachRemedies(target, proxy)}}
	case silent && (reached == atConnect || reached == atLookup || reached == atStart):
		return failure{"connection", finding{to + " does not answer: a firewall is in the way, or the address is wrong", reachRemedies(target, proxy)}}
	case silent && reached == atProxy:
		return failure{"proxy", finding{to + " takes the connection, and is silent when it is asked for the way to " + target.Host,
			[]string{"Ask the proxy's owner to allow " + target.Host + ", or name the host in NO_PROXY if it can be reached without."}}}
	case silent && reached == atTLS:
		return failure{"tls", finding{to + " takes the connection, and is silent when TLS begins",
			[]string{"Something in between holds the connection up: ask the network's owner about a firewall or a proxy before " + target.Host + "."}}}
	case silent:
		return failure{"metadata", finding{target.Host + " takes the request, and does not answer in time",
			[]string{"Try again in a minute. If it stays silent, look for a proxy or a firewall in between, or ask the owner of " + target.Host + "."}}}
	case isNotTLS(err):
		return failure{"tls", finding{target.Host + " does not answer with TLS",
			[]string{"Look at the port and the scheme in the address: a server for plain http, or a proxy that is none for https, answers there."}}}
	case reached == atTLS:
		return failure{"tls", finding{"TLS with " + target.Host + " fails: " + redact.Text(innermost(err).Error()),
			[]string{"The server must offer TLS 1.2 or later. Otherwise something in between ends the connection: ask the network's owner about a firewall or a proxy."}}}
	case reached == atProxy:
		return failure{"proxy", finding{to + " ends the connection when it is asked for the way to " + target.Host,
			[]string{"Look at the address in HTTPS_PROXY: is it a proxy for https (CONNECT)? Ask its owner to allow " + target.Host + "."}}}
	case reached == atAnswer:
		return failure{"metadata", finding{target.Host + " ends the connection without an answer: " + redact.Text(innermost(err).Error()),
			[]string{"Try again in a minute. If it stays so, look for a proxy or a firewall in between."}}}
	}
	return failure{"connection", finding{"there is no connection to " + to + ": " + redact.Text(innermost(err).Error()), reachRemedies(target, proxy)}}
}

func reachRemedies(target, proxy *url.URL) []string {
	if proxy == nil && httpx.IsLoopback(target.Hostname()) {
		return []string{"Start the server on this machine, or correct the port in the address."}
	}
	if proxy != nil {
		return []string{"Look at the address of the proxy in HTTPS_PROXY.", "If " + target.Host + " can be reached without a proxy, name the host in NO_PROXY."}
	}
	return []string{
		"Look at the host and the port in the address.",
		"Inside a closed network, such as Helsenettet, set HTTPS_PROXY to the proxy's address, or have " + target.Host + " opened in the firewall.",
	}
}

func unknownName(lookup *net.DNSError, ofProxy bool) finding {
	name := lookup.Name
	if ofProxy {
		return finding{"the name of the proxy, " + name + ", is not found", []string{"Look at the address of the proxy in HTTPS_PROXY."}}
	}
	inside := "Inside a closed network, names of the internet may not be known: set HTTPS_PROXY to the proxy's address."
	if !lookup.IsNotFound {
		return finding{"the name server does not tell where " + name + " is", []string{"Look at this machine's name server (on Linux: /etc/resolv.conf), and at its network.", inside}}
	}
	if name == hostOf(helseid.Production) || name == hostOf(helseid.Test) {
		return finding{"the name " + name + " is not found", []string{inside, "Otherwise look at this machine's name server (on Linux: /etc/resolv.conf), and at its network."}}
	}
	return finding{"the name " + name + " is not found", []string{"Look at the spelling of the host.", inside}}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded)
}

// innermost is the cause of an error, whose text names no URL. Of several that are wrapped
// the last is the cause, and those before it are categories.
func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if several, ok := err.(interface{ Unwrap() []error }); ok {
			if wrapped := several.Unwrap(); len(wrapped) > 0 {
				inner = wrapped[len(wrapped)-1]
			}
		}
		if inner == nil {
			return err
		}
		err = inner
	}
}

// isRefused reports that nothing listens at an address. Windows has an error of its own for
// that.
func isRefused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || strings.Contains(err.Error(), "actively refused")
}
