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

// balancer forwards requests to the API's processes in turn. An attacker has broken
// into it and copies the requests.
type balancer struct {
	server *httptest.Server

	mu      sync.Mutex
	next    int
	apis    []*httputil.ReverseProxy
	urls    []string
	status  []map[int]int // answers of each process, by status
	used    copied        // the last request that was accepted
	attacks tries
}

// copied is a copied request, and the process that handled it.
type copied struct {
	path   string
	header http.Header
	api    int
}

// tries counts the outcomes of replayed requests.
type tries struct {
	Used       int `json:"refused_as_used"`
	Unchecked  int `json:"refused_unchecked"` // because the replay store was unreachable
	Other      int `json:"refused_otherwise"`
	LetThrough int `json:"let_through"`
}

func startBalancer() *balancer {
	b := new(balancer)
	b.server = httptest.NewServer(b)
	return b
}

func (b *balancer) close() { b.server.Close() }

// add adds a process of the API.
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
		ErrorLog:       slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // the client reports failures
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

// lastUsed returns the last request that was accepted.
func (b *balancer) lastUsed() copied {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// answers returns the smallest number of responses with this status that any process
// has sent.
func (b *balancer) answers(status int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	least := b.status[0][status]
	for _, counts := range b.status {
		least = min(least, counts[status])
	}
	return least
}

// verdict is the response to a replayed request.
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
	_ = json.Unmarshal(body, &problem) // a handler's response is not a problem document
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

// attackAllTheTime replays the last used request at all processes, until the context
// ends.
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
