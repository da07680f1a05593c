package redisstore

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/middleware"
)

// loadConnections call an API at the same time.
const loadConnections = 64

// phase is a stretch of the load, and what came of it.
type phase struct {
	name string

	mu        sync.Mutex
	firsts    map[int]int // status by number of answers, of proofs that are new
	replays   map[int]int // and of those that have been sent before
	latencies []time.Duration
}

func (p *phase) note(counts *map[int]int, status int, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if *counts == nil {
		*counts = make(map[int]int)
	}
	(*counts)[status]++
	p.latencies = append(p.latencies, took)
}

func (p *phase) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.Sort(p.latencies)
	at := func(percent int) time.Duration {
		return p.latencies[(len(p.latencies)-1)*percent/100].Round(time.Millisecond / 10)
	}
	return fmt.Sprintf("%-10s new proofs %v, replays %v, p50 %v, p99 %v", p.name, p.firsts, p.replays, at(50), at(99))
}

// loaded is two processes of an API, called over many connections with proofs that
// are new, each of which is then sent to the other process.
type loaded struct {
	t      *testing.T
	issuer *helseidtest.Server
	token  string
	apis   []*httptest.Server
	client *http.Client

	phase    atomic.Pointer[phase]
	accepted [2]atomic.Int64 // by process
	stop     chan struct{}
	workers  sync.WaitGroup
}

func startLoad(t *testing.T, config Config) *loaded {
	t.Helper()
	l := &loaded{t: t, issuer: helseidtest.NewServer(t), stop: make(chan struct{}), client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: loadConnections},
	}}
	l.token = l.issuer.Token(mint.Audience("nhn:some-api"))
	for range 2 {
		replays, err := NewReplays(config)
		require.NoError(t, err)
		t.Cleanup(func() { _ = replays.Close() })
		auth, err := middleware.New(middleware.Config{Issuer: l.issuer.Issuer(), Audience: "nhn:some-api", Proof: dpop.VerifierConfig{Replay: replays}})
		require.NoError(t, err)
		t.Cleanup(auth.Close)
		api := httptest.NewServer(auth.Require(func(http.ResponseWriter, *http.Request) {}))
		t.Cleanup(api.Close)
		l.apis = append(l.apis, api)
	}
	t.Cleanup(l.client.CloseIdleConnections)
	l.phase.Store(&phase{})
	for worker := range loadConnections {
		l.workers.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
					l.once(worker)
				}
			}
		})
	}
	return l
}

// once sends a new proof to both processes, which have the same public URL.
func (l *loaded) once(worker int) {
	first, other := l.apis[worker%2], l.apis[(worker+1)%2]
	request, err := http.NewRequestWithContext(background(), http.MethodGet, first.URL+"/x", nil)
	if err != nil {
		l.t.Error(err)
		return
	}
	l.issuer.Authorize(request, l.token)
	lets := 0
	for i, api := range []*httptest.Server{first, other, first} {
		again := request.Clone(background())
		again.URL.Host = strings.TrimPrefix(api.URL, "http://")
		again.Host = request.URL.Host
		before, start := l.phase.Load(), time.Now()
		response, err := l.client.Do(again)
		if err != nil {
			l.t.Error(err)
			return
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		switch status := response.StatusCode; {
		case status == http.StatusOK:
			lets++
			l.accepted[(worker+i)%2].Add(1)
		case status == http.StatusServiceUnavailable && response.Header.Get("Retry-After") != "":
		case status == http.StatusUnauthorized && i > 0:
		default:
			l.t.Errorf("request %d was answered with %d %v", i, status, response.Header)
		}
		if l.phase.Load() == before { // it belongs to one phase
			counts := &before.firsts
			if i > 0 {
				counts = &before.replays
			}
			before.note(counts, response.StatusCode, time.Since(start))
		}
	}
	if lets > 1 {
		l.t.Error("a proof was accepted twice")
	}
}

// during runs the load under a name until there are enough answers to new proofs.
func (l *loaded) during(name string, enough int) *phase {
	l.t.Helper()
	p := &phase{name: name}
	l.phase.Store(p)
	require.Eventually(l.t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		n := 0
		for _, count := range p.firsts {
			n += count
		}
		return n >= enough
	}, 60*time.Second, 5*time.Millisecond, name)
	l.phase.Store(&phase{})
	l.t.Log(p)
	return p
}

// untilAccepted waits until both processes let new proofs in again.
func (l *loaded) untilAccepted() {
	l.t.Helper()
	for i := range l.accepted {
		start := l.accepted[i].Load()
		require.Eventually(l.t, func() bool { return l.accepted[i].Load() > start+loadConnections }, 60*time.Second, 5*time.Millisecond)
	}
}

// A load of 64 connections while Redis is there, slow, silent, cut off and restarted:
// what cannot be known is answered with 503, all else as ever, and no proof is
// accepted twice.
func TestLoad(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		arguments []string
		trust     bool
	}{
		"forgets": {nil, false},
		"keeps":   {[]string{"--appendonly", "yes", "--appendfsync", "always"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startServer(t, test.arguments...)
			line := startProxy(t, server)
			l := startLoad(t, Config{URL: identity.NewSecret(line.url()), Timeout: 3 * time.Second, TrustPersistence: test.trust})
			defer func() { close(l.stop); l.workers.Wait() }()
			const enough = 5 * loadConnections
			onlyAccepted := func(p *phase) {
				t.Helper()
				require.Len(t, p.firsts, 1, "%v", p)
				require.NotZero(t, p.firsts[http.StatusOK], "%v", p)
				require.Zero(t, p.replays[http.StatusOK], "%v", p)
				require.Zero(t, p.replays[http.StatusServiceUnavailable], "%v", p)
			}
			onlyRefused := func(p *phase) {
				t.Helper()
				require.Len(t, p.firsts, 1, "%v", p)
				require.NotZero(t, p.firsts[http.StatusServiceUnavailable], "%v", p)
				require.Zero(t, p.replays[http.StatusOK], "%v", p)
			}
			l.untilAccepted()
			onlyAccepted(l.during("well", enough))
			line.setDelay(50 * time.Millisecond)
			onlyAccepted(l.during("slow", enough))
			line.setDelay(0)
			line.setCut(true)
			time.Sleep(100 * time.Millisecond) // what was under way is over
			onlyRefused(l.during("cut", enough))
			line.setCut(false)
			l.untilAccepted()
			onlyAccepted(l.during("back", enough))
			server.kill()
			time.Sleep(100 * time.Millisecond)
			onlyRefused(l.during("down", enough))
			server.start(t)
			if !test.trust {
				time.Sleep(2 * breakerPause) // Redis is asked again, and may have forgotten
				onlyRefused(l.during("restarted", enough))
				return
			}
			l.untilAccepted()
			onlyAccepted(l.during("restarted", enough))
		})
	}
}
