package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// balancer stands in front of the API's processes and hands each request to the
// next of them. Somebody has broken into it, and copies what goes by.
type balancer struct {
	server *httptest.Server

	mu      sync.Mutex
	next    int
	apis    []*httputil.ReverseProxy
	urls    []string
	status  []map[int]int // answers of each process, by status
	used    copied        // the last request that was let in
	attacks tries
}

// copied is a request that went by, and the process that took it.
type copied struct {
	path   string
	header http.Header
	api    int
}

// tries counts what became of copied requests that were sent again.
type tries struct {
	Used       int `json:"refused_as_used"`
	Unchecked  int `json:"refused_unchecked"` // because it cannot be told
	Other      int `json:"refused_otherwise"`
	LetThrough int `json:"let_through"`
}

func startBalancer() *balancer {
	b := new(balancer)
	b.server = httptest.NewServer(b)
	return b
}

func (b *balancer) close() { b.server.Close() }

// add puts a process of the API behind the balancer.
func (b *balancer) add(apiURL string) error {
	target, err := url.Parse(apiURL)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	index := len(b.apis)
	b.apis = append(b.apis, &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorLog:       slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // the client says what failed
		ModifyResponse: func(response *http.Response) error { b.observe(index, response); return nil },
	})
	b.urls = append(b.urls, apiURL)
	b.status = append(b.status, make(map[int]int))
	return nil
}

// ServeHTTP implements http.Handler.
func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	api := b.apis[b.next%len(b.apis)]
	b.next++
	b.mu.Unlock()
	api.ServeHTTP(w, r)
}

func (b *balancer) observe(api int, response *http.Response) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status[api][response.StatusCode]++
	if response.StatusCode == http.StatusOK {
		b.used = copied{response.Request.URL.Path, response.Request.Header.Clone(), api}
	}
}

// lastUsed is the last request that was let in.
func (b *balancer) lastUsed() copied {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// answers is how many answers with a status each process has given, at the
// least.
func (b *balancer) answers(status int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	least := b.status[0][status]
	for _, counts := range b.status {
		least = min(least, counts[status])
	}
	return least
}

// verdict is the answer to a copied request.
type verdict struct {
	status int
	reason string
}

// replay sends a copied request to a process of the API.
func (b *balancer) replay(ctx context.Context, request copied, api int) (verdict, error) {
	again, err := http.NewRequestWithContext(ctx, http.MethodGet, b.urls[api]+request.path, nil)
	if err != nil {
		return verdict{}, err
	}
	for _, name := range []string{"Authorization", "DPoP"} {
		again.Header[http.CanonicalHeaderKey(name)] = request.header.Values(name)
	}
	response, err := http.DefaultTransport.RoundTrip(again)
	if err != nil {
		return verdict{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return verdict{}, err
	}
	var problem struct{ Reason string }
	_ = json.Unmarshal(body, &problem) // the answer of a handler is none
	found := verdict{response.StatusCode, problem.Reason}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case found.reason == "proof_replayed":
		b.attacks.Used++
	case found.reason == "replay_store_unavailable":
		b.attacks.Unchecked++
	case found.status < 400:
		b.attacks.LetThrough++
	default:
		b.attacks.Other++
	}
	return found, nil
}

func (b *balancer) tries() tries {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.attacks
}

// attackAllTheTime sends the last used request to all processes, until the
// context ends.
func (b *balancer) attackAllTheTime(ctx context.Context) error {
	tick := time.NewTicker(callEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for api := range b.urls {
			if _, err := b.replay(ctx, b.lastUsed(), api); err != nil && ctx.Err() == nil {
				return fmt.Errorf("the attacker: %w", err)
			}
		}
	}
}
