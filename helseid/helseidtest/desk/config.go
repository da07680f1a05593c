package desk

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/redact"
)

// ErrConfig is wrapped by every error about the configuration and the files that it names.
var ErrConfig = errors.New("desk: configuration")

// DefaultListen is the default of [Config.Listen].
const DefaultListen = "127.0.0.1:8181"

// unprintable makes the type that embeds it print as "[redacted]".
type unprintable = redact.Unprintable

// Config says where the server listens and whom it knows. The zero value is a server on
// [DefaultListen] with one client. Printed, logged or marshalled it reads "[redacted]".
type Config struct {
	unprintable

	// Listen is the address to listen on. Port 0 takes a free one. Empty means
	// DefaultListen.
	Listen string

	// AllowRemote permits an address that other machines can reach. Everybody who reaches
	// it can then log in as any test user and get tokens of this server.
	AllowRemote bool

	// PublicURL is the address under which clients reach the server: its issuer. It is
	// https, or http on a loopback host, such as that of a port that a container
	// publishes. Empty means the address that it listens on; an address such as
	// 0.0.0.0:8181 is none, and needs a PublicURL.
	PublicURL string

	// TLS makes a certificate authority and a certificate for the server's names. The
	// authority's key is never stored, and its certificate is good for these names only.
	TLS bool

	// CAFile is the file that the authority's certificate is written to, as PEM. Clients
	// must trust it: programs in Go on Linux do if SSL_CERT_FILE names it. Empty means one
	// in a temporary folder. A file that is there is replaced only if an earlier run has
	// written it.
	CAFile string

	// ClientsFile is the JSON file of clients and users. Empty means that a client is made.
	ClientsFile string

	// ClientFile is the file that the made client's configuration is written to, with its
	// private key. Empty means one in a temporary folder. A file that is there is replaced
	// only if it is for a server at the same address, or for one on this machine that no
	// longer runs.
	ClientFile string

	// MultiTenant makes the made client a multi-tenant one, which serves other
	// organisations: it names the parent 994598759, which has delegated to it, and may name
	// the child 999977775. False means a single-tenant client, which may name the child.
	MultiTenant bool

	// API is the short name of the protected API at /api/echo, such as "nhn:demo-api": the
	// audience of its tokens. Empty means that there is none.
	API string

	// TestTokenKey is the key that the endpoint of Test-Token-Tjenesten takes. Empty means
	// a new one.
	TestTokenKey string

	// TestMetadata writes the metadata as HelseID's test environment does, with booleans
	// as strings.
	TestMetadata bool

	// Output is where the server prints its addresses and the files that it has written.
	// Its first line is "listening on" and the issuer. Nil means nowhere.
	Output io.Writer

	// JSON prints one JSON object per line instead of words.
	JSON bool

	// Hint, if set, returns what to run with the made client's file and the URL of the
	// API, which may be empty. It is printed below the file's path. With ClientsFile it is
	// called with the word FILE, since this server makes no file then.
	Hint func(clientFile, api string) string
}

// check reports all mistakes at once.
func (c Config) check() error {
	var errs []error
	if c.ClientsFile != "" && c.ClientFile != "" {
		errs = append(errs, errors.New("field ClientFile is for the client that is made without ClientsFile"))
	}
	if c.ClientsFile != "" && c.MultiTenant {
		errs = append(errs, errors.New("field MultiTenant is for the client that is made without ClientsFile, where a client has the member multiTenant"))
	}
	if c.CAFile != "" && !c.TLS {
		errs = append(errs, errors.New("field CAFile is for TLS"))
	}
	host, err := c.listenHost()
	switch {
	case err != nil:
		errs = append(errs, err)
	case !httpx.IsLoopback(host) && !c.AllowRemote:
		errs = append(errs, errors.New("field Listen: it listens on loopback only, such as 127.0.0.1:8181, unless AllowRemote is set"))
	case c.PublicURL == "" && isUnspecified(host):
		errs = append(errs, errors.New("field PublicURL: name the address that clients use, since all addresses are listened on"))
	case c.PublicURL == "" && !httpx.IsLoopback(host) && !c.TLS:
		errs = append(errs, errors.New("field TLS: clients accept plain http for loopback hosts only"))
	}
	if c.PublicURL != "" {
		public, err := url.Parse(c.PublicURL)
		if err == nil {
			err = httpx.CheckSecure(public)
		}
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("field PublicURL: %w", err))
		case c.TLS && public.Scheme != "https":
			errs = append(errs, errors.New("field PublicURL: it is https with TLS"))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

func (c Config) listenHost() (string, error) {
	host, port, err := net.SplitHostPort(c.Listen)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return "", errors.New("field Listen: it is a host and a port, such as 127.0.0.1:8181")
	}
	return host, nil
}

// isUnspecified reports that all addresses are listened on.
func isUnspecified(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "" || err == nil && address.IsUnspecified()
}
