package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/benchmarks/lab"
	"github.com/helseid-go/sdk/middleware"
)

const (
	soakWorkers = 16

	// badEvery is how many calls lie between two that must be refused.
	badEvery = 25
)

// sample is what the process takes, after garbage collection.
type sample struct {
	at         time.Duration
	heap       int
	goroutines int
}

// soaking is a run: the SDK's client, and its middleware in front of a handler,
// in this process; HelseID is in another.
type soaking struct {
	client  *helseid.Client
	api     *http.Client
	plain   *http.Client
	route   string
	guard   *middleware.Middleware
	lost    atomic.Int64
	delayed atomic.Int64 // answered 503 with Retry-After at first
	served  atomic.Int64
	refused atomic.Int64
	wrongly atomic.Int64 // let in

	tokens, retries atomic.Int64 // of the client
	keys            int          // changes of the issuer's, as the API saw them
	newest          string

	mu    sync.Mutex
	first error
}

func soak(ctx context.Context, opts options, stdout io.Writer) error {
	folder, err := os.MkdirTemp("", "soak-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	server, err := self("helseid", "-folder", folder)
	if err != nil {
		return err
	}
	defer server.stop()
	s, end, err := newSoaking(server.address, filepath.Join(folder, configFile))
	if err != nil {
		return err
	}
	defer end()

	calls := make(chan int)
	var workers sync.WaitGroup
	for range soakWorkers {
		workers.Go(func() {
			for i := range calls {
				s.call(ctx, i)
			}
		})
	}
	samples := s.drive(ctx, opts, calls, stdout)
	close(calls)
	workers.Wait()
	return s.verdict(stdout, samples)
}

func newSoaking(issuer, file string) (*soaking, func(), error) {
	guard, err := middleware.New(middleware.Config{Issuer: issuer, Audience: lab.Audience})
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(route, guard.Require(func(w http.ResponseWriter, r *http.Request) {
		write(w, middleware.Claims(r.Context()).Organization)
	}, middleware.Scope(lab.Scope), middleware.AnyParentOrganization()))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	api := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = api.Serve(listener) }()
	config, err := helseid.LoadConfig(file)
	if err != nil {
		return nil, nil, err
	}
	s := &soaking{
		guard: guard,
		plain: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2}, Timeout: 10 * time.Second},
		route: "http://" + listener.Addr().String() + route,
	}
	config.OnEvent = s.count
	client, err := helseid.New(config)
	if err != nil {
		return nil, nil, err
	}
	s.client, s.api = client, client.HTTPClient(helseid.TokenRequest{Scopes: []string{lab.Scope}, Resource: lab.Audience})
	return s, func() { client.Close(); _ = api.Close(); guard.Close() }, nil
}

func (s *soaking) count(_ context.Context, event helseid.Event) {
	switch {
	case event.Kind == helseid.EventTokenRequest && event.Err == nil:
		s.tokens.Add(1)
	case event.Kind == helseid.EventRetry:
		s.retries.Add(1)
	}
}

// watchKeys notes whether the API has other keys than before.
func (s *soaking) watchKeys() {
	snapshot, err := s.guard.Validator().Snapshot()
	if err != nil {
		return // none yet
	}
	var found struct {
		JWKS json.RawMessage `json:"jwks"`
	}
	if json.Unmarshal(snapshot, &found) == nil && string(found.JWKS) != s.newest {
		s.keys++
		s.newest = string(found.JWKS)
	}
}

// drive hands out calls at the given rate and takes samples, twenty in all or
// one in half a minute.
func (s *soaking) drive(ctx context.Context, opts options, calls chan<- int, stdout io.Writer) (samples []sample) {
	every := min(30*time.Second, opts.soak/20)
	start := time.Now()
	ticker := time.NewTicker(time.Second / time.Duration(opts.rate))
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return samples
		case <-ticker.C:
		}
		at := time.Since(start)
		if i%opts.rate == 0 {
			s.watchKeys()
		}
		if at >= time.Duration(len(samples)+1)*every {
			samples = append(samples, take(at))
			newest := samples[len(samples)-1]
			fmt.Fprintf(stdout, "%7s  heap %7d  goroutines %3d  %s\n", at.Round(time.Second), newest.heap, newest.goroutines, s)
		}
		if at >= opts.soak {
			return samples
		}
		select {
		case calls <- i:
		case <-ctx.Done():
			return samples
		}
	}
}

func take(at time.Duration) sample {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return sample{at: at, heap: int(stats.HeapAlloc), goroutines: runtime.NumGoroutine()}
}

// call makes one call. Now and then it is one that must be refused.
func (s *soaking) call(ctx context.Context, i int) {
	organization := tenant(i)
	ctx = helseid.ForOrganization(ctx, identity.OrganizationNumber(organization), "")
	if i%badEvery == badEvery-1 {
		s.bad(ctx, i/badEvery)
		return
	}
	if err := s.good(ctx, organization); err != nil {
		if ctx.Err() == nil {
			s.lost.Add(1)
			s.note(err)
		}
		return
	}
	s.served.Add(1)
}

var errLater = errors.New("try again later")

// good does what a caller does who is told to come back later.
func (s *soaking) good(ctx context.Context, organization string) error {
	for attempt := 0; ; attempt++ {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.route+"?page=2", nil)
		if err != nil {
			return err
		}
		err = s.expect(s.api, request, http.StatusOK, organization)
		if !errors.Is(err, errLater) || attempt == 3 {
			return err
		}
		s.delayed.Add(1)
		timer := time.NewTimer(time.Second)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// String tells what has happened so far.
func (s *soaking) String() string {
	return fmt.Sprintf("served %d, refused %d, lost %d, told to wait %d, wrongly let in %d; %d tokens, %d retries, %d key sets",
		s.served.Load(), s.refused.Load(), s.lost.Load(), s.delayed.Load(), s.wrongly.Load(), s.tokens.Load(), s.retries.Load(), s.keys)
}

// bad sends what must be refused: a proof that was used before, a token that is
// not one, a token that was changed.
func (s *soaking) bad(ctx context.Context, i int) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.route, nil)
	if err != nil {
		s.note(err)
		return
	}
	if err := s.client.TokenSource(helseid.TokenRequest{Scopes: []string{lab.Scope}, Resource: lab.Audience}).Authorize(ctx, request); err != nil {
		if ctx.Err() == nil {
			s.lost.Add(1)
			s.note(fmt.Errorf("authorize: %w", err))
		}
		return
	}
	token := request.Header.Get("Authorization")
	switch i % 3 {
	case 0:
		if err := s.expect(s.plain, request.Clone(ctx), http.StatusOK, ""); err != nil {
			if ctx.Err() == nil && !errors.Is(err, errLater) {
				s.lost.Add(1)
				s.note(fmt.Errorf("before the replay: %w", err))
			}
			return
		}
	case 1:
		request.Header.Set("Authorization", "DPoP not.a.token")
	case 2:
		middle := len(token) - 100
		request.Header.Set("Authorization", token[:middle]+flipped(token[middle])+token[middle+1:])
	}
	if err := s.expect(s.plain, request, http.StatusUnauthorized, ""); err != nil {
		if ctx.Err() == nil && !errors.Is(err, errLater) {
			s.wrongly.Add(1)
			s.note(err)
		}
		return
	}
	s.refused.Add(1)
}

func flipped(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

// expect requires a status, and that the answer is about this organisation.
func (s *soaking) expect(client *http.Client, request *http.Request, status int, organization string) error {
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	switch {
	case err != nil:
		return err
	case response.StatusCode == http.StatusServiceUnavailable && response.Header.Get("Retry-After") != "":
		return errLater
	case response.StatusCode != status:
		return fmt.Errorf("status %d in place of %d: %s", response.StatusCode, status, body)
	case !strings.Contains(string(body), organization):
		return errors.New("the answer is about another organisation")
	}
	return nil
}

// note keeps the first error.
func (s *soaking) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil {
		s.first = err
	}
}

// verdict compares the last quarter of the samples with the second one: the
// first is for warming up.
func (s *soaking) verdict(stdout io.Writer, samples []sample) error {
	var errs []error
	if s.served.Load() == 0 {
		errs = append(errs, errors.New("no call was made"))
	}
	if lost := s.lost.Load(); lost > 0 {
		errs = append(errs, fmt.Errorf("%d calls were lost, the first: %w", lost, s.first))
	}
	if wrongly := s.wrongly.Load(); wrongly > 0 {
		errs = append(errs, fmt.Errorf("%d bad calls were not refused as they should be, the first: %w", wrongly, s.first))
	}
	if len(samples) > 0 && samples[len(samples)-1].at > 4*keyCycle {
		// The run was about something.
		if s.tokens.Load() < 4*tenants || s.retries.Load() == 0 || s.keys < 4 || s.delayed.Load() == 0 || s.refused.Load() == 0 {
			errs = append(errs, fmt.Errorf("the faults struck nobody: %s", s))
		}
	}
	if quarter := len(samples) / 4; quarter > 0 {
		early, late := samples[quarter:2*quarter], samples[len(samples)-quarter:]
		heapBefore, heapAfter := typical(early, func(s sample) int { return s.heap }), typical(late, func(s sample) int { return s.heap })
		before, after := typical(early, func(s sample) int { return s.goroutines }), typical(late, func(s sample) int { return s.goroutines })
		fmt.Fprintf(stdout, "heap %d to %d bytes, goroutines %d to %d; %s\n", heapBefore, heapAfter, before, after, s)
		errs = append(errs, grown(heapBefore, heapAfter, before, after))
	}
	return errors.Join(errs...)
}

// grown allows for connections: a slow moment makes every worker open one, and
// each has two goroutines on its side and one on the server's.
func grown(heapBefore, heapAfter, before, after int) error {
	if heapAfter > heapBefore+heapBefore/10+1<<20 || after > before+3*soakWorkers {
		return errors.New("memory or goroutines have grown")
	}
	return nil
}

func typical(samples []sample, of func(sample) int) int {
	values := make([]int, len(samples))
	for i := range samples {
		values[i] = of(samples[i])
	}
	slices.Sort(values)
	return values[len(values)/2]
}
