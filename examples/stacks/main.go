// Command stacks serves one small API through the router or the RPC framework of your
// choice, and calls it.
//
//	go -C examples/stacks run . -stack chi
//	go -C examples/stacks run . -stack chi -issuer https://helseid-sts.test.nhn.no -audience nhn:some-api -scope nhn:some-api/read
//
// Without -issuer it starts its own HelseID on loopback, registers a client there and makes
// two calls with it: one that the API accepts and one that it refuses. Then it serves on.
//
// Each of servemux.go, chi.go, gin.go, echo.go, connect.go and grpc.go is the whole API,
// ready to be copied; api.go, and for the last two rpc.go, stand for what is your own. All
// routes but the first need a valid DPoP token with the scope:
//
//	GET  /healthz                       everybody
//	GET  /caller                        who is calling
//	GET  /events                        a stream of lines
//	POST /documents                     a form with the file "document"
//	GET  /organizations/{organization}  callers for this parent organisation alone
//	GET  /clinician/caller              users at security level 4 with an HPR number
//	POST /clinician/documents           the same
//
// In Connect and gRPC, they are the methods of stacksv1/api.proto, and in gRPC the first
// one is grpc.health.v1.Health.
//
// With -call it calls the API at that address, with tokens for the client in a
// configuration file of HelseID Selvbetjening, and prints who the API says is calling:
//
//	go -C examples/stacks run . -stack grpc -call https://api.example.no -config client.json -scope nhn:some-api/read
//
// Otherwise it prints the address at which it listens and, on standard error, a line for each
// request that a guard accepted or refused. It exits with 2 for a mistake in the flags, and
// with 1 if something else goes wrong, such as a call of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/grpccredentials"
	"github.com/helseid-go/sdk/middleware"
)

// stack makes the API. Every caller needs a valid token and must meet the requirement.
type stack func(auth *middleware.Middleware, everybody middleware.Requirement, own backend) (server, error)

var stacks = map[string]stack{
	"servemux": overHTTP(serveMuxStack),
	"chi":      overHTTP(chiStack),
	"gin":      overHTTP(ginStack),
	"echo":     overHTTP(echoStack),
	"connect":  overHTTP(connectStack),
	"grpc":     overGRPC,
}

// server serves the API.
type server interface {
	http.Handler
	Serve(listener net.Listener) error
	stop()
}

// httpServer is a server of net/http.
type httpServer struct {
	http.Handler
	*http.Server
}

func overHTTP(stack func(*middleware.Middleware, middleware.Requirement, backend) http.Handler) stack {
	return func(auth *middleware.Middleware, everybody middleware.Requirement, own backend) (server, error) {
		handler := stack(auth, everybody, own)
		server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, Protocols: new(http.Protocols)}
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true) // for Connect's streams in both directions and its gRPC clients
		return &httpServer{handler, server}, nil
	}
}

func (s *httpServer) stop() {
	deadline, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = s.Shutdown(deadline)
}

// grpcServer is a server of gRPC.
type grpcServer struct{ *grpc.Server }

func overGRPC(auth *middleware.Middleware, everybody middleware.Requirement, own backend) (server, error) {
	server, err := grpcStack(auth, everybody, own)
	return grpcServer{server}, err
}

func (s grpcServer) stop() {
	deadline := time.AfterFunc(5*time.Second, s.Stop)
	defer deadline.Stop()
	s.GracefulStop()
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type options struct {
	stack    string
	listen   string
	call     string
	config   string
	issuer   string
	audience string
	scope    string
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var opts options
	names := strings.Join(slices.Sorted(maps.Keys(stacks)), ", ")
	flags := flag.NewFlagSet("stacks", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&opts.stack, "stack", "servemux", "the `router` or framework: "+names)
	flags.StringVar(&opts.listen, "listen", "127.0.0.1:8080", "`address` to listen on; port 0 takes a free one")
	flags.StringVar(&opts.issuer, "issuer", "", "HelseID's issuer `URL`; empty: an embedded HelseID, and two calls")
	flags.StringVar(&opts.audience, "audience", "nhn:demo-api", "the API's short name in HelseID")
	flags.StringVar(&opts.scope, "scope", "nhn:demo-api/read", "scopes that callers need, separated by spaces; empty: none")
	flags.StringVar(&opts.call, "call", "", "call the API at this `URL` instead of serving it")
	flags.StringVar(&opts.config, "config", "", "with -call: the client's configuration `file`")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	var err error
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case stacks[opts.stack] == nil:
		err = fmt.Errorf("-stack is one of %s", names)
	case (opts.call == "") != (opts.config == ""):
		err = errors.New("-call and -config go together")
	case strings.Contains(opts.scope, `"`):
		err = errors.New("-scope: a scope has no quotation marks")
	}
	if err != nil {
		fmt.Fprintln(stderr, "stacks:", err)
	}
	return opts, err
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	do := serve
	if opts.call != "" {
		do = call
	}
	if err := do(ctx, opts, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "stacks:", err)
		if errors.Is(err, middleware.ErrConfig) || errors.Is(err, helseid.ErrConfig) || errors.Is(err, grpccredentials.ErrConfig) {
			return 2
		}
		return 1
	}
	return 0
}

func serve(ctx context.Context, opts options, stdout, stderr io.Writer) error {
	listener, err := net.Listen("tcp", opts.listen)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	show := func(context.Context, string, io.Writer) error { return nil }
	if opts.issuer == "" {
		demo, err := startDemo(opts)
		if err != nil {
			return err
		}
		defer demo.end()
		opts.issuer, show = demo.helseid.Issuer(), demo.show
	}
	config := middleware.Config{
		Issuer:   opts.issuer,
		Audience: opts.audience,
		Audit:    func(_ context.Context, record middleware.Record) { fmt.Fprintln(stderr, line(record)) },
	}
	// If the system chooses the port, no earlier process had the same URL, so no used
	// proof can be replayed.
	config.Proof.AcceptProofsFromBeforeStart = strings.HasSuffix(opts.listen, ":0")
	auth, err := middleware.New(config)
	if err != nil {
		return err
	}
	defer auth.Close()
	everybody := middleware.All()
	if scopes := strings.Fields(opts.scope); len(scopes) > 0 {
		everybody = middleware.Scope(scopes...)
	}
	server, err := stacks[opts.stack](auth, everybody, backend{keep: measure, news: threeEvents})
	if err != nil {
		return err
	}
	address := "http://" + reachable(listener.Addr())
	fmt.Fprintln(stdout, "listening on", address)

	stop := context.AfterFunc(ctx, server.stop)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if err := show(ctx, address, stdout); err != nil && ctx.Err() == nil {
		server.stop()
		return err
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
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

// call calls the API and prints who it says is calling.
func call(ctx context.Context, opts options, stdout, _ io.Writer) error {
	api, done, err := dial(opts)
	if err != nil {
		return err
	}
	defer done()
	found, err := api.caller(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "client %s organization %s\n", found.ClientID, found.Organization)
	return nil
}

// dial makes the client that is in the configuration file. The function that it returns
// closes it.
func dial(opts options) (client, func(), error) {
	config, err := helseid.LoadConfig(opts.config)
	if err != nil {
		return nil, nil, err
	}
	tokens, err := helseid.New(config)
	if err != nil {
		return nil, nil, err
	}
	api, done, err := newClient(opts.stack, tokens, helseid.TokenRequest{Scopes: strings.Fields(opts.scope)}, opts.call)
	if err != nil {
		tokens.Close()
		return nil, nil, err
	}
	return api, func() { done(); tokens.Close() }, nil
}

// line returns the audit log's text about a request.
func line(record middleware.Record) string {
	outcome := "let in"
	if !record.Allowed {
		outcome = fmt.Sprintf("refused with %d %s", record.Status, record.Reason)
	}
	return fmt.Sprintf("%s %q client %q organization %q: %s", record.Method, record.Route, record.ClientID, record.Organization.Parent, outcome)
}
