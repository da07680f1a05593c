package doctor

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/helseid-go/sdk/internal/httpx"
)

// network is the way to all servers: as that of a client without Config.HTTPClient, and
// with the answers of a proxy that refuses the way.
type network struct {
	transport *http.Transport
}

func newNetwork() *network {
	transport := httpx.NewTransport()
	transport.OnProxyConnectResponse = func(_ context.Context, proxy *url.URL, connect *http.Request, response *http.Response) error {
		if response.StatusCode == http.StatusOK {
			return nil
		}
		return &proxyRefusal{proxy: proxy, target: connect.Host, status: response.StatusCode}
	}
	return &network{transport}
}

// stage is how far a request has got.
type stage int

const (
	atStart stage = iota
	atLookup
	atConnect
	atProxy // the proxy has been asked for the way
	atTLS
	atAnswer // the request has been sent
)

// contact is a request for HelseID's metadata without credentials, and how far it got.
type contact struct {
	target   *url.URL
	proxy    *url.URL // nil for none
	proxyErr error    // of the environment
	err      error    // there was no answer

	mu        sync.Mutex // the trace is called from several goroutines
	stage     stage
	addresses []string
	dialed    string // the address of the connection
	tls       *tls.ConnectionState

	status int
	header http.Header
	body   []byte
	at     time.Time // when the headers of the answer came
}

// reach makes the contact, once.
func (s *state) reach(ctx context.Context) *contact {
	if s.contact == nil && s.issuer != nil {
		s.contact = s.network.get(ctx, s.issuer.JoinPath("/.well-known/openid-configuration"))
	}
	return s.contact
}

// get sends a request as a client of HelseID's does, but follows no redirect and repeats
// nothing.
func (n *network) get(ctx context.Context, target *url.URL) *contact {
	c := &contact{target: target}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, c.trace()), http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		c.err = err
		return c
	}
	if c.proxy, c.proxyErr = proxyFor(request); c.proxyErr != nil {
		c.err = c.proxyErr
		return c
	}
	request.Header.Set("Accept", "application/json")
	httpx.SetUserAgent(request.Header)
	client := httpx.NoRedirect(&http.Client{Transport: n.transport})
	response, err := client.Do(request) //nolint:bodyclose // ReadBody does
	if err == nil {
		c.at = time.Now()
		c.status, c.header = response.StatusCode, response.Header
		c.body, err = httpx.ReadBody(response)
	}
	c.err = err
	if err != nil && c.proxy == nil && ignoredProxy(target) {
		c.proxyErr = errUnreadableProxy
	}
	return c
}

func (c *contact) trace() *httptrace.ClientTrace {
	reached := func(stage stage) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.stage = max(c.stage, stage)
	}
	return &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { reached(atLookup) },
		DNSDone: func(info httptrace.DNSDoneInfo) {
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, address := range info.Addrs {
				c.addresses = append(c.addresses, address.String())
			}
		},
		ConnectStart: func(string, string) { reached(atConnect) },
		ConnectDone: func(_, _ string, err error) {
			if err == nil && c.proxy != nil {
				reached(atProxy)
			}
		},
		TLSHandshakeStart: func() { reached(atTLS) },
		GotConn: func(info httptrace.GotConnInfo) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.dialed = info.Conn.RemoteAddr().String()
			if secured, ok := info.Conn.(*tls.Conn); ok {
				state := secured.ConnectionState()
				c.tls = &state
			}
		},
		WroteHeaders: func() { reached(atAnswer) },
	}
}

// order are the steps of the contact as they follow each other.
var order = []string{"dns", "connection", "proxy", "tls", "metadata"}

// stageResult is the result of a step of the contact, which has failed at it, has passed
// it, or has not come to it.
func (s *state) stageResult(ctx context.Context, name string, passed func(*contact) result) result {
	contact := s.reach(ctx)
	if contact == nil {
		return skip("no issuer is known that can be used")
	}
	failed := contact.failure()
	switch {
	case failed == nil:
		return passed(contact)
	case failed.step == name:
		return result{findings: []finding{failed.finding}}
	case contact.proxyErr != nil:
		return skip("the address of the proxy cannot be used")
	case slices.Index(order, name) < slices.Index(order, failed.step):
		return passed(contact)
	}
	return skip("%s", failedBefore[failed.step])
}

var failedBefore = map[string]string{
	"dns":        "the name is not found",
	"connection": "there is no connection",
	"proxy":      "the proxy does not open the way",
	"tls":        "there is no TLS",
	"metadata":   "there is no answer",
}

// checkDNS finds the name of HelseID, or of the proxy that finds it.
func checkDNS(ctx context.Context, s *state) result {
	return s.stageResult(ctx, "dns", func(c *contact) result {
		host := c.target.Hostname()
		if c.proxy != nil {
			host = c.proxy.Hostname()
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		text := host + " needs no look-up"
		if len(c.addresses) > 0 {
			const most = 3
			text = host + " is " + strings.Join(c.addresses[:min(most, len(c.addresses))], ", ")
		}
		if c.proxy != nil {
			text += "; the proxy finds " + c.target.Hostname()
		}
		return good("%s", text)
	})
}

// checkConnection connects to HelseID, or to the proxy.
func checkConnection(ctx context.Context, s *state) result {
	return s.stageResult(ctx, "connection", func(c *contact) result {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.dialed == "" {
			return good("there is one")
		}
		return good("to %s", c.dialed)
	})
}
