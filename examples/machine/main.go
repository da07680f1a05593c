// Command machine gets a token from HelseID as a system, and calls an API with
// it.
//
//	go run ./examples/machine
//	go run ./examples/machine -config client.json -scope "nhn:some-api/read" -url https://api.example.no/v1/things
//
// Without -config it starts its own HelseID and API on loopback. With -config it reads
// a configuration file from HelseID Selvbetjening.
//
// It prints a line for each call, with the body of the first response, and a summary;
// with -json it prints JSON objects, without the body.
//
// It exits with 0 if every response was a 2xx, with 1 if a call failed or was not made
// because the program was interrupted, and with 2 for a mistake in flags or
// configuration, which is found before anything is sent.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
)

const (
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type options struct {
	configFile  string
	issuer      string
	scope       string
	resource    string
	parent      string
	child       string
	journalID   string
	method      string
	url         string
	calls       int
	concurrency int
	timeout     time.Duration
	json        bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return exitUsage // the flag package has printed the error
	}
	report := newReport(stdout, stderr, opts.json)

	config, cleanup, err := configure(&opts, report)
	defer cleanup()
	var client *helseid.Client
	if err == nil {
		config.OnEvent = report.count
		client, err = helseid.New(config)
	}
	if client != nil {
		defer client.Close()
	}
	if opts.url != "" { // otherwise the demo has not started
		err = errors.Join(err, checkTarget(opts.method, opts.url, report))
	}
	switch {
	case err != nil && opts.configFile == "" && client == nil:
		report.problem(err)
		return exitFailure
	case err != nil:
		report.problem(err)
		return exitUsage
	}

	if strings.Contains(opts.scope, ",") {
		report.warn("-scope: a comma is a part of a scope's name; separate scopes by spaces")
	}
	request := helseid.TokenRequest{
		Scopes:       strings.Fields(opts.scope),
		Resource:     opts.resource,
		Organization: clientassertion.Organization{Parent: identity.OrganizationNumber(opts.parent), Child: identity.OrganizationNumber(opts.child)},
		JournalID:    opts.journalID,
	}
	if err := client.Validate(request); err != nil {
		report.problem(err)
		return exitUsage
	}
	callAll(ctx, client, request, opts, report)
	client.Close() // waits for renewals in the background, so that they are counted
	if !report.summary(opts.calls) {
		return exitFailure
	}
	return 0
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("machine", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&opts.configFile, "config", "", "the client configuration `file` from HelseID Selvbetjening; empty: an embedded HelseID")
	flags.StringVar(&opts.issuer, "issuer", "", "issuer `URL` in place of the file's authority")
	flags.StringVar(&opts.scope, "scope", "", "scopes to ask for, separated by spaces; empty: all that the client has")
	flags.StringVar(&opts.resource, "resource", "", "short name of the API that the token is for")
	flags.StringVar(&opts.parent, "parent", "", "organisation `number` of the legal entity that a multi-tenant client acts for")
	flags.StringVar(&opts.child, "child", "", "organisation `number` of the sub-unit")
	flags.StringVar(&opts.journalID, "journal-id", "", "SFM journal `id` for a multi-tenant client")
	flags.StringVar(&opts.method, "method", http.MethodGet, "HTTP method")
	flags.StringVar(&opts.url, "url", "", "`URL` to call")
	flags.IntVar(&opts.calls, "n", 1, "number of calls")
	flags.IntVar(&opts.concurrency, "c", 1, "number of calls at a time")
	flags.DurationVar(&opts.timeout, "timeout", 30*time.Second, "how long a call may take, with the token that it needs, as a `duration`")
	flags.BoolVar(&opts.json, "json", false, "print one JSON object per line")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	var err error
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case opts.calls < 1 || opts.concurrency < 1:
		err = errors.New("-n and -c must be at least 1")
	case opts.timeout <= 0:
		err = errors.New("-timeout must be more than nothing")
	case opts.configFile != "" && opts.url == "":
		err = errors.New("-url is required with -config")
	case opts.configFile == "" && opts.issuer != "":
		err = errors.New("-config is required with -issuer: a server asks who the client is")
	}
	if err != nil {
		fmt.Fprintln(stderr, "machine:", err)
	}
	return opts, err
}

// configure loads the file, or starts a HelseID and an API for a demonstration.
func configure(opts *options, report *report) (config helseid.Config, cleanup func(), err error) {
	cleanup = func() {}
	if opts.configFile == "" {
		config, cleanup, err = startDemo(opts, report)
	} else {
		config, err = helseid.LoadConfig(opts.configFile)
	}
	if opts.issuer != "" {
		config.Issuer = opts.issuer
	}
	if err == nil && strings.HasPrefix(config.Issuer, "http://") {
		report.warn("HelseID is spoken to over plain http, which is accepted for loopback only")
	}
	return config, cleanup, err
}

// checkTarget finds a wrong -method or -url before a token is requested for it.
func checkTarget(method, target string, report *report) error {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		return errors.New("-url is not an absolute URL")
	}
	if _, err := http.NewRequest(method, target, nil); err != nil {
		return fmt.Errorf("-method: %w", err)
	}
	switch {
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		report.warn("the API is called over plain http, which is accepted for loopback only")
		return nil
	}
	return fmt.Errorf("-url: %w", helseid.ErrInsecureURL)
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback() && !address.Is4In6()
}

// callAll makes the calls, with a limit on concurrent ones.
func callAll(ctx context.Context, client *helseid.Client, request helseid.TokenRequest, opts options, report *report) {
	api := client.HTTPClient(request)
	showToken := sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(ctx, opts.timeout)
		defer cancel()
		if token, err := client.Token(ctx, request); err == nil { // from memory
			report.token(token)
		}
	})
	var started atomic.Int64
	var workers sync.WaitGroup
	for range min(opts.concurrency, opts.calls) {
		workers.Go(func() {
			for ctx.Err() == nil && started.Add(1) <= int64(opts.calls) {
				result := callOnce(ctx, api, opts)
				if result.err == nil {
					showToken()
				}
				report.call(result)
			}
		})
	}
	workers.Wait()
}

const maxShown = 64 << 10 // bytes of a response

func callOnce(ctx context.Context, api *http.Client, opts options) outcome {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, opts.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, opts.method, opts.url, nil)
	if err != nil {
		return outcome{err: err}
	}
	response, err := api.Do(request)
	if err != nil {
		return outcome{err: err, took: time.Since(start)}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxShown))
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
	}
	return outcome{status: response.StatusCode, body: body, err: err, took: time.Since(start)}
}
