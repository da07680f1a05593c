package grpccredentials

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"unicode"

	"google.golang.org/grpc"

	"github.com/helseid-go/sdk/helseid"
)

// ErrConfig is wrapped by every error about the configuration.
var ErrConfig = words("grpccredentials: configuration")

// words makes an error whose text may stand in a log.
func words(text string) error { return &failure{text} }

type failure struct{ text string }

func (f *failure) Error() string { return f.text }

// LogValue tells the SDK that its log lines may quote the text.
func (f *failure) LogValue() slog.Value { return slog.StringValue(f.text) }

// Config names an API and the tokens for it.
type Config struct {
	// Tokens are the tokens for the API, of [helseid.Client.TokenSource] or
	// [helseid.Session.TokenSource]. Required.
	Tokens *helseid.TokenSource

	// Origin is the API's scheme, host and port, such as "https://api.example.no". No
	// other host gets a token, whatever a resolver or a call option names. It must be
	// the authority that calls have: the host and port of the target, unless
	// [grpc.WithAuthority] names another. Required.
	Origin string

	// AllowPlaintextLoopback permits an Origin with the scheme http whose host is
	// loopback, such as "http://localhost:8080", for development. The options of
	// [Credentials.DialOptions] then include transport credentials without TLS, which
	// connect to this machine only.
	AllowPlaintextLoopback bool
}

// Credentials put a token and a proof on each attempt of a call. They implement
// [google.golang.org/grpc/credentials.PerRPCCredentials]. They are safe for concurrent
// use.
type Credentials struct {
	tokens    *helseid.TokenSource
	origin    url.URL
	plaintext bool
}

// New checks the configuration and reports all its mistakes at once. It makes no
// network call.
func New(config Config) (*Credentials, error) {
	var errs []error
	if config.Tokens == nil {
		errs = append(errs, errors.New("field Tokens is required"))
	}
	origin, err := url.Parse(config.Origin)
	switch {
	case err != nil || origin.Host == "" || strings.TrimSuffix(origin.Path, "/") != "" || origin.RawQuery != "" || origin.Fragment != "" || origin.User != nil:
		errs = append(errs, errors.New("field Origin must be a scheme and a host, such as https://api.example.no"))
		origin = &url.URL{}
	case !isASCII(origin.Host):
		errs = append(errs, errors.New("field Origin: the host must be ASCII: write an internationalized name in its xn-- form"))
	case origin.Scheme == "http" && !isLoopback(origin.Hostname()):
		errs = append(errs, errors.New("field Origin: plain http is for loopback hosts only"))
	case origin.Scheme == "http" && !config.AllowPlaintextLoopback:
		errs = append(errs, errors.New("field Origin: plain http needs AllowPlaintextLoopback"))
	case origin.Scheme != "https" && origin.Scheme != "http":
		errs = append(errs, errors.New("field Origin: the scheme is https"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return &Credentials{
		tokens:    config.Tokens,
		origin:    url.URL{Scheme: origin.Scheme, Host: origin.Host},
		plaintext: origin.Scheme == "http",
	}, nil
}

// DialOptions returns what [grpc.NewClient] needs: these credentials for each call, and
// the interceptors. Transport credentials, such as those of
// [google.golang.org/grpc/credentials.NewTLS], must be added, except with
// AllowPlaintextLoopback.
func (c *Credentials) DialOptions() []grpc.DialOption {
	options := []grpc.DialOption{
		grpc.WithPerRPCCredentials(c),
		grpc.WithChainUnaryInterceptor(c.Unary()),
		grpc.WithChainStreamInterceptor(c.Stream()),
	}
	if c.plaintext {
		options = append(options, grpc.WithTransportCredentials(loopbackOnly{}))
	}
	return options
}

// isASCII reports that [strings.EqualFold] compares a host as DNS does: other letters,
// such as the Kelvin sign, can be equal to one of ASCII.
func isASCII(host string) bool {
	return !strings.ContainsFunc(host, func(r rune) bool { return r > unicode.MaxASCII })
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}

// isOnThisMachine reports whether a connection does not leave this machine: it is to a
// loopback address, over a Unix socket, or within the process.
func isOnThisMachine(address net.Addr) bool {
	switch address := address.(type) {
	case nil:
		return false
	case *net.TCPAddr:
		return address.IP.IsLoopback()
	}
	network := address.Network()
	return network == "unix" || network == "pipe" || network == "bufconn"
}
