package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/helseid-go/sdk/internal/benchmarks/lab"
)

// target is a server under load, and what came of it.
type target struct {
	name      string
	route     *url.URL
	rates     []float64 // requests in a second, by round
	latencies []time.Duration
}

// load lets the servers take turns.
func load(ctx context.Context, opts options, stdout io.Writer) error {
	issuer, err := lab.StartIssuer(3072)
	if err != nil {
		return err
	}
	defer issuer.Close()
	caller, err := lab.NewCaller()
	if err != nil {
		return err
	}
	token, err := issuer.Token(issuer.Claims(caller.Prover.Thumbprint()))
	if err != nil {
		return err
	}
	targets, end, err := startTargets(ctx, issuer.URL)
	if err != nil {
		return err
	}
	defer end()
	client := &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: opts.concurrency, MaxConnsPerHost: opts.concurrency},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       10 * time.Second,
	}
	defer client.CloseIdleConnections()
	for round := range opts.rounds + 1 {
		for i := range targets {
			t := targets[(i+round)%len(targets)]
			if err := t.fire(ctx, client, caller, token, opts); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
		if round == 0 { // keys were fetched, connections made
			for _, t := range targets {
				t.rates, t.latencies = nil, nil
			}
		}
	}
	report(stdout, targets, opts)
	return nil
}

func startTargets(ctx context.Context, issuer string) (targets []*target, end func(), err error) {
	folder, err := os.MkdirTemp("", "load-")
	if err != nil {
		return nil, nil, err
	}
	var programs []*program
	end = func() {
		for _, p := range programs {
			p.stop()
		}
		_ = os.RemoveAll(folder)
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	add := func(name string, p *program, err error) error {
		if err != nil {
			return err
		}
		programs = append(programs, p)
		location, err := url.Parse(p.address + route)
		targets = append(targets, &target{name: name, route: location})
		return err
	}
	api, err := buildAPI(ctx, folder)
	if err != nil {
		return nil, nil, err
	}
	p, err := self("bare")
	if err := add("bare handler", p, err); err != nil {
		return nil, nil, err
	}
	p, err = start(api, "-listen", "127.0.0.1:0", "-issuer", issuer, "-audience", lab.Audience, "-scope", lab.Scope)
	if err := add("this SDK (examples/api)", p, err); err != nil {
		return nil, nil, err
	}
	p, err = self("auth0", "-issuer", issuer)
	if err := add("auth0", p, err); err != nil {
		return nil, nil, err
	}
	return targets, end, nil
}

// fire sends a round of requests, each with a proof of its own, and all of them
// must be let in.
func (t *target) fire(ctx context.Context, client *http.Client, caller *lab.Caller, token string, opts options) error {
	requests := make([]*http.Request, opts.requests)
	for i := range requests {
		proof, err := caller.Proof(t.route, token)
		if err != nil {
			return err
		}
		if requests[i], err = http.NewRequestWithContext(ctx, http.MethodGet, t.route.String(), nil); err != nil {
			return err
		}
		requests[i].Header = http.Header{"Authorization": {"DPoP " + token}, "Dpop": {proof}}
	}
	runtime.GC()
	latencies := make([]time.Duration, len(requests))
	errs := make([]error, opts.concurrency)
	var workers sync.WaitGroup
	start := time.Now()
	for worker := range opts.concurrency {
		workers.Go(func() {
			for i := worker; i < len(requests) && errs[worker] == nil; i += opts.concurrency {
				begin := time.Now()
				errs[worker] = call(client, requests[i])
				latencies[i] = time.Since(begin)
			}
		})
	}
	workers.Wait()
	elapsed := time.Since(start)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	t.rates = append(t.rates, float64(len(requests))/elapsed.Seconds())
	t.latencies = append(t.latencies, latencies...)
	return nil
}

func call(client *http.Client, request *http.Request) error {
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("a good request was answered with status %d: %s", response.StatusCode, response.Header.Get("WWW-Authenticate"))
	}
	return nil
}

func report(w io.Writer, targets []*target, opts options) {
	fmt.Fprintln(w, "| server | requests in a second | of the bare handler's | p50 | p90 | p99 | longest |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|")
	for _, t := range targets {
		shares := make([]float64, len(t.rates))
		for i := range t.rates {
			shares[i] = 100 * t.rates[i] / targets[0].rates[i]
		}
		sorted := slices.Sorted(slices.Values(t.latencies))
		at := func(percent int) time.Duration { return sorted[min(len(sorted)-1, len(sorted)*percent/100)] }
		fmt.Fprintf(w, "| %s | %.0f | %.0f %% | %s | %s | %s | %s |\n", t.name, median(t.rates), median(shares),
			short(at(50)), short(at(90)), short(at(99)), short(at(100)))
	}
	fmt.Fprintf(w, "\n%d rounds of %d requests to each over %d connections; client and servers share %d cores, %s.\n",
		opts.rounds, opts.requests, opts.concurrency, runtime.GOMAXPROCS(0), runtime.Version())
}

func short(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/1e6) }

func median(values []float64) float64 { return slices.Sorted(slices.Values(values))[len(values)/2] }
