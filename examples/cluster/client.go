package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/redisstore"
)

// The commands to a client process.
const (
	doCall   = "call"   // the API, once
	doForget = "forget" // the token
	doStart  = "start"  // calling the API all the time
	doStop   = "stop"   // that
)

// command is a line that is sent to a client process.
type command struct{ Do string }

// tally counts what a client process has done since it started.
type tally struct {
	Calls         int64  // that succeeded
	Repeated      int64  // attempts that were answered with 503 and made again
	Failed        int64  // calls that failed for good
	Failure       string // the first of them
	TokenRequests int64
}

const (
	workers      = 2
	callEvery    = 10 * time.Millisecond
	forgetEvery  = 20 // calls
	retryAfter   = 100 * time.Millisecond
	retryTimeout = patience
)

// caller is a process of the client. It shares its tokens with the other.
type caller struct {
	client *helseid.Client
	api    *http.Client
	url    string

	calls, repeated, tokenRequests atomic.Int64

	mu       sync.Mutex
	failures int64
	failure  string
}

var request = helseid.TokenRequest{Scopes: []string{scope}}

func serveClient(ctx context.Context, settings settings, lines *json.Decoder, out *json.Encoder) error {
	store, err := redisstore.New(settings.store())
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	config, err := helseid.ParseConfig(settings.ConfigFile)
	if err != nil {
		return err
	}
	if config.DPoPKey, err = dpop.ParseKey(settings.DPoPKey, dpop.KeyOptions{}); err != nil {
		return err
	}
	config.TokenCache = store.TokenCache()
	c := &caller{url: settings.CallURL}
	config.OnEvent = func(_ context.Context, event helseid.Event) {
		if event.Kind == helseid.EventTokenRequest {
			c.tokenRequests.Add(1)
		}
	}
	if c.client, err = helseid.New(config); err != nil {
		return err
	}
	defer c.client.Close()
	c.api = c.client.HTTPClient(request)
	if err := out.Encode(c.tally()); err != nil {
		return err
	}
	return c.obey(ctx, lines, out)
}

// obey carries out commands, one line after another.
func (c *caller) obey(ctx context.Context, lines *json.Decoder, out *json.Encoder) error {
	var load sync.WaitGroup
	stop := func() {}
	defer load.Wait()
	defer func() { stop() }()
	for {
		var command command
		if err := lines.Decode(&command); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		switch command.Do {
		case doCall:
			c.call(ctx)
		case doForget:
			c.client.TokenSource(request).Forget(ctx)
		case doStart:
			ended := make(chan struct{})
			stop = sync.OnceFunc(func() { close(ended) })
			for range workers {
				load.Go(func() { c.callAllTheTime(ctx, ended) })
			}
		case doStop:
			stop()
			load.Wait()
		default:
			return fmt.Errorf("unknown command %q", command.Do)
		}
		if err := out.Encode(c.tally()); err != nil {
			return err
		}
	}
}

func (c *caller) callAllTheTime(ctx context.Context, stop <-chan struct{}) {
	tick := time.NewTicker(callEvery)
	defer tick.Stop()
	for i := 1; ; i++ {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		c.call(ctx)
		if i%forgetEvery == 0 {
			c.client.TokenSource(request).Forget(ctx) // so that tokens are requested all the time, too
		}
	}
}

// call makes one call, and repeats it while the API is temporarily unavailable. Each
// attempt has its own proof.
func (c *caller) call(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, retryTimeout)
	defer cancel()
	for {
		status, err := c.attempt(ctx)
		switch {
		case err != nil:
			c.fail(err.Error())
			return
		case status == http.StatusOK:
			c.calls.Add(1)
			return
		case status != http.StatusServiceUnavailable:
			c.fail(fmt.Sprint("the API answered ", status))
			return
		}
		c.repeated.Add(1)
		select {
		case <-time.After(retryAfter): // sooner than its Retry-After says, because this is a demonstration
		case <-ctx.Done():
			c.fail("the API could not take the call for " + retryTimeout.String())
			return
		}
	}
}

func (c *caller) attempt(ctx context.Context) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return 0, err
	}
	response, err := c.api.Do(req)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20))
	return response.StatusCode, err
}

func (c *caller) fail(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures++; c.failures == 1 {
		c.failure = why
	}
}

func (c *caller) tally() tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	return tally{
		Calls: c.calls.Load(), Repeated: c.repeated.Load(), Failed: c.failures, Failure: c.failure,
		TokenRequests: c.tokenRequests.Load(),
	}
}
