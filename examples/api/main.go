// Command api is an API behind HelseID.
//
//	go run ./examples/api
//	go run ./examples/api -issuer https://helseid-sts.test.nhn.no -audience nhn:some-api -scope nhn:some-api/read
//
// Without -issuer it starts its own HelseID on loopback, and writes a client
// configuration with which examples/machine can call it.
//
// All routes but the last need a valid DPoP token with the scope:
//
//	/machine, /files/…   systems and users, any method
//	/practitioner        users at security level 4 with an HPR number
//	/organisation        callers with a parent organisation
//	/healthz             everybody
//
// It prints the address at which it listens and, on standard error, a line for each
// request that a guard accepted or refused; with -json both are JSON objects on
// standard output.
//
// With -public-url it runs behind a proxy. With -forward-auth and -trusted-proxies a
// proxy asks it, at /machine, about requests to another service.
//
// It exits with 2 for a mistake in the flags.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type options struct {
	listen     string
	issuer     string
	audience   string
	scope      string
	publicURL  string
	proxies    string
	asked      string
	nonce      bool
	tokenTypes string
	json       bool
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("api", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&opts.listen, "listen", "127.0.0.1:8080", "`address` to listen on; port 0 takes a free one")
	flags.StringVar(&opts.issuer, "issuer", "", "HelseID's issuer `URL`; empty: an embedded HelseID")
	flags.StringVar(&opts.audience, "audience", "nhn:demo-api", "the API's short name in HelseID")
	flags.StringVar(&opts.scope, "scope", "nhn:demo-api/read", "scopes that callers need, separated by spaces; empty: none")
	flags.StringVar(&opts.publicURL, "public-url", "", "the API's `URL` as its clients see it, if that is another than it sees itself")
	flags.StringVar(&opts.proxies, "trusted-proxies", "", "`prefixes` of the addresses of proxies, such as 10.0.0.0/8, separated by commas")
	flags.StringVar(&opts.asked, "forward-auth", "", "be asked by those proxies, at /machine, about requests to these `routes`, such as \"GET /journal/{id}\", separated by commas")
	flags.BoolVar(&opts.nonce, "nonce", false, "demand a nonce of the API's own in each proof")
	flags.StringVar(&opts.tokenTypes, "token-typ", "at+jwt", "accepted types of access tokens, separated by commas")
	flags.BoolVar(&opts.json, "json", false, "print one JSON object per line")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	err := checkAddress(opts.listen)
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case err != nil:
		err = fmt.Errorf("-listen takes an address with a port, such as 127.0.0.1:8080: %w", err)
	case strings.Contains(opts.scope, `"`):
		err = errors.New("-scope: a scope has no quotation marks")
	}
	if err != nil {
		fmt.Fprintln(stderr, "api:", err)
	}
	return opts, err
}

// acceptsEarlierProofs reports whether the system chooses the port, which is part of
// the URL that clients use: then no earlier process had the same URL, and no used proof
// can be replayed.
func (o options) acceptsEarlierProofs() bool {
	_, port, err := net.SplitHostPort(o.listen)
	return err == nil && port == "0" && o.publicURL == ""
}

func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	return err
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	report := &report{stdout: stdout, stderr: stderr, asJSON: opts.json}
	if err := serve(ctx, opts, report); err != nil {
		fmt.Fprintln(stderr, "api:", err)
		if errors.Is(err, middleware.ErrConfig) {
			return 2
		}
		return 1
	}
	return 0
}

func serve(ctx context.Context, opts options, report *report) error {
	listener, err := net.Listen("tcp", opts.listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	if !opts.acceptsEarlierProofs() {
		// The iat of a proof is in whole seconds. After waiting for a new second, no
		// proof with this iat can have been used with the previous process.
		next := time.Now().Truncate(time.Second).Add(time.Second)
		select {
		case <-time.After(time.Until(next)):
		case <-ctx.Done():
			return nil
		}
	}
	demo := func(string) {}
	if opts.issuer == "" {
		end, announce, err := startDemo(&opts, report)
		if err != nil {
			return err
		}
		defer end()
		demo = announce
	}
	if strings.HasPrefix(opts.issuer, "http://") {
		report.warn("HelseID is spoken to over plain http, which is accepted for loopback only")
	}
	auth, err := guard(opts, report)
	if err != nil {
		return err
	}
	defer auth.Close()

	if tcp, ok := listener.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		report.warn("it listens beyond this machine, over plain http: put a proxy with TLS before it, and name it in -public-url")
	}
	address := "http://" + reachable(listener.Addr())
	report.say(event{"event": "listening", "url": address, "issuer": opts.issuer}, "listening on %s", address)
	demo(address)

	server := &http.Server{Handler: routes(auth, opts.scope), ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() {
		deadline, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(deadline)
	})
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// reachable returns the address at which clients on this machine reach a listener,
// including one that listens on all addresses.
func reachable(address net.Addr) string {
	if tcp, ok := address.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	return address.String()
}

// guard makes the middleware from the flags.
func guard(opts options, report *report) (*middleware.Middleware, error) {
	config := middleware.Config{
		Issuer:    opts.issuer,
		Audience:  opts.audience,
		PublicURL: opts.publicURL,
		Token:     tokenvalidation.Config{TokenTypes: strings.Split(opts.tokenTypes, ",")},
		Audit:     report.audit(),
	}
	for _, text := range fields(opts.proxies) {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%w: -trusted-proxies: %w", middleware.ErrConfig, err)
		}
		config.TrustedProxies = append(config.TrustedProxies, prefix)
	}
	if routes := fields(opts.asked); len(routes) > 0 {
		config.ForwardAuth = &middleware.ForwardAuth{Routes: routes}
	}
	config.Proof.AcceptProofsFromBeforeStart = opts.acceptsEarlierProofs()
	if opts.nonce {
		nonces, err := dpop.NewNonceIssuer(dpop.NonceIssuerConfig{})
		if err != nil {
			return nil, err
		}
		config.Proof.Nonces = nonces
	}
	return middleware.New(config)
}

// fields splits a list.
func fields(list string) (found []string) {
	for element := range strings.SplitSeq(list, ",") {
		if element = strings.TrimSpace(element); element != "" {
			found = append(found, element)
		}
	}
	return found
}

// routes guards each route with its requirements. The files are guarded outside of the
// mux, which would answer a path like /files//x with a redirect before the token is
// checked.
func routes(auth *middleware.Middleware, scope string) http.Handler {
	require := func(requirements ...middleware.Requirement) http.Handler {
		if scopes := strings.Fields(scope); len(scopes) > 0 {
			requirements = append([]middleware.Requirement{middleware.Scope(scopes...)}, requirements...)
		}
		return auth.Require(answer, requirements...)
	}
	mux := http.NewServeMux()
	mux.Handle("/machine", require())
	mux.Handle("/practitioner", require(middleware.SecurityLevel(4), middleware.HPRNumber()))
	mux.Handle("/organisation", require(middleware.AnyParentOrganization()))
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })

	const files = "/files/"
	guarded := require()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, files) || strings.HasPrefix(path.Clean(r.URL.Path), files) {
			r.Pattern = files // for the audit record; the mux would set it, too
			guarded.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}
