// Command stacks serves one small API through the router of your choice.
//
//	go -C examples/stacks run . -stack chi -issuer https://helseid-sts.test.nhn.no -audience nhn:some-api -scope nhn:some-api/read
//
// Each of servemux.go, chi.go, gin.go and echo.go is the whole API in one router, ready
// to be copied. All routes but the first need a valid DPoP token with the scope:
//
//	GET  /healthz                       everybody
//	GET  /caller                        who is calling
//	POST /documents                     a form with the file "document"
//	GET  /organizations/{organization}  callers for this parent organisation alone
//	GET  /clinician/caller              users at security level 4 with an HPR number
//	POST /clinician/documents           the same
//
// It prints the address at which it listens and, on standard error, a line for each
// request that a guard accepted or refused. It exits with 2 for a mistake in the flags.
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
	"strings"
	"syscall"
	"time"

	"github.com/helseid-go/sdk/middleware"
)

// stack makes the API in one of the routers. Every caller needs a valid token and must
// meet the requirement.
type stack func(auth *middleware.Middleware, everybody middleware.Requirement, keep archive) http.Handler

var stacks = map[string]stack{
	"servemux": serveMuxStack,
	"chi":      chiStack,
	"gin":      ginStack,
	"echo":     echoStack,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type options struct {
	stack    stack
	listen   string
	issuer   string
	audience string
	scope    string
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var opts options
	names := strings.Join(slices.Sorted(maps.Keys(stacks)), ", ")
	flags := flag.NewFlagSet("stacks", flag.ContinueOnError)
	flags.SetOutput(stderr)
	name := flags.String("stack", "servemux", "the `router`: "+names)
	flags.StringVar(&opts.listen, "listen", "127.0.0.1:8080", "`address` to listen on; port 0 takes a free one")
	flags.StringVar(&opts.issuer, "issuer", "http://127.0.0.1:8181", "HelseID's issuer `URL`; the default is that of examples/localhelseid -listen 127.0.0.1:8181")
	flags.StringVar(&opts.audience, "audience", "nhn:demo-api", "the API's short name in HelseID")
	flags.StringVar(&opts.scope, "scope", "nhn:demo-api/read", "scopes that callers need, separated by spaces; empty: none")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	var err error
	opts.stack = stacks[*name]
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case opts.stack == nil:
		err = fmt.Errorf("-stack is one of %s", names)
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
	if err := serve(ctx, opts, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "stacks:", err)
		if errors.Is(err, middleware.ErrConfig) {
			return 2
		}
		return 1
	}
	return 0
}

func serve(ctx context.Context, opts options, stdout, stderr io.Writer) error {
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
	listener, err := net.Listen("tcp", opts.listen)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, "listening on http://"+listener.Addr().String())

	server := &http.Server{Handler: opts.stack(auth, everybody, measure), ReadHeaderTimeout: 10 * time.Second}
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

// line returns the audit log's text about a request.
func line(record middleware.Record) string {
	outcome := "let in"
	if !record.Allowed {
		outcome = fmt.Sprintf("refused with %d %s", record.Status, record.Reason)
	}
	return fmt.Sprintf("%s %q client %q organization %q: %s", record.Method, record.Route, record.ClientID, record.Organization.Parent, outcome)
}
