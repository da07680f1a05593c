// Command machine gets a token from HelseID as a system, and calls an API with
// it.
//
//	go run ./examples/machine
//	go run ./examples/machine -config client.json -scope "nhn:some-api/read" -url https://api.example.no/v1/things
//
// Without -config it starts a HelseID and an API of its own on loopback. With
// it, the file is the one that HelseID Selvbetjening hands out.
//
// It exits with 0 if every answer was a 2xx, 1 if a call failed, and 2 for a
// mistake in flags or configuration, which is found before anything is sent.
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
	"syscall"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
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
	json        bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return exitUsage // the flag package has said why
	}
	report := newReport(stdout, stderr, opts.json)

	config, cleanup, err := configure(&opts, report)
	if err != nil {
		report.problem(err)
		return exitUsage
	}
	defer cleanup()
	if err := checkTarget(opts.method, opts.url, report); err != nil {
		report.problem(err)
		return exitUsage
	}

	config.OnEvent = report.count
	client, err := helseid.New(config)
	if err != nil {
		report.problem(err)
		return exitUsage
	}
	defer client.Close()

	request := helseid.TokenRequest{
		Scopes:       strings.Fields(opts.scope),
		Resource:     opts.resource,
		Organization: clientassertion.Organization{Parent: opts.parent, Child: opts.child},
		JournalID:    opts.journalID,
	}
	if err := client.Validate(request); err != nil {
		report.problem(err)
		return exitUsage
	}
	callAll(ctx, client, request, opts, report)
	if !report.summary() {
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

// configure loads the file, or starts a HelseID and an API to play with.
func configure(opts *options, report *report) (helseid.Config, func(), error) {
	if opts.configFile == "" {
		return startDemo(opts, report)
	}
	config, err := helseid.LoadConfig(opts.configFile)
	if err != nil {
		return helseid.Config{}, nil, err
	}
	if opts.issuer != "" {
		config.Issuer = opts.issuer
	}
	if strings.HasPrefix(config.Issuer, "http://") {
		report.warn("HelseID is spoken to over plain http, which is accepted for loopback only")
	}
	return config, func() {}, nil
}

// checkTarget finds a bad -method or -url before a token is fetched for it.
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

// callAll makes the calls, so many at a time.
func callAll(ctx context.Context, client *helseid.Client, request helseid.TokenRequest, opts options, report *report) {
	api := client.HTTPClient(request)
	showToken := sync.OnceFunc(func() {
		if token, err := client.Token(ctx, request); err == nil { // from memory
			report.token(token)
		}
	})
	turns := make(chan struct{}, opts.calls)
	for range opts.calls {
		turns <- struct{}{}
	}
	close(turns)
	var workers sync.WaitGroup
	for range min(opts.concurrency, opts.calls) {
		workers.Go(func() {
			for range turns {
				result := callOnce(ctx, api, opts.method, opts.url)
				if result.err == nil {
					showToken()
				}
				report.call(result)
			}
		})
	}
	workers.Wait()
}

const maxShown = 64 << 10 // bytes of an answer

func callOnce(ctx context.Context, api *http.Client, method, target string) outcome {
	start := time.Now()
	request, err := http.NewRequestWithContext(ctx, method, target, nil)
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
