package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
	"github.com/helseid-go/sdk/internal/benchmarks/lab"
	"github.com/helseid-go/sdk/middleware"
)

const (
	// clientKeyLifetime leaves a key two hours.
	clientKeyLifetime = 2 * time.Hour

	// tokenless is how many calls lie between two that hold no token.
	tokenless = 10
)

// serveRotation is a HelseID with Selvbetjening, in one of its two modes.
func serveRotation(ctx context.Context, folder string, options helseidtest.Selvbetjening, stdout io.Writer) error {
	options.KeyLifetime = clientKeyLifetime
	server, err := helseidtest.Start(options)
	if err != nil {
		return err
	}
	defer server.Close()
	file := server.ConfigFile(helseidtest.Scopes(lab.Scope, selvbetjening.Scope))
	if err := os.WriteFile(filepath.Join(folder, configFile), file, 0o600); err != nil {
		return err
	}
	fmt.Fprintln(stdout, announcement+server.Issuer()+" "+server.SelvbetjeningURL())
	<-ctx.Done()
	return nil
}

// rotating is a client under load whose key is replaced.
type rotating struct {
	opts      options
	self, api string
	file      string

	calls, without, lost, slowest atomic.Int64

	mu       sync.Mutex
	used     map[string]bool // kids of the keys that have worked
	unknown  int             // assertions by a key that HelseID did not know yet
	replaced int             // assertions by one that it did not take any more
	first    error
}

// rotate replaces a key again and again under load, from EC to RSA and back, with both
// behaviours that HelseID may have.
func rotate(ctx context.Context, opts options, stdout io.Writer) error {
	var errs []error
	for _, mode := range []string{"old keys live on", "old keys die at once"} {
		r, err := rotateIn(ctx, opts, mode)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%s: %d rotations, %d calls (%d of them without a token), %d lost, the slowest took %v; refused assertions: %d by keys that HelseID did not know, %d by keys that had been replaced\n",
			mode, opts.rotations, r.calls.Load(), r.without.Load(), r.lost.Load(), time.Duration(r.slowest.Load()).Round(time.Millisecond), r.unknown, r.replaced)
		if err := r.verdict(mode == "old keys die at once"); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", mode, err))
		}
	}
	return errors.Join(errs...)
}

func (r *rotating) verdict(dies bool) error {
	switch {
	case r.lost.Load() > 0:
		return fmt.Errorf("%d calls were lost, the first: %w", r.lost.Load(), r.first)
	case r.unknown > 0 || !dies && r.replaced > 0:
		return fmt.Errorf("HelseID refused %d assertions", r.unknown+r.replaced)
	case r.calls.Load() == 0 || r.without.Load() == 0:
		return errors.New("no call was made")
	}
	return nil
}

func rotateIn(ctx context.Context, opts options, mode string) (*rotating, error) {
	folder, err := os.MkdirTemp("", "rotate-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	server, err := self(mode, "-folder", folder)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	issuer, selfURL, _ := strings.Cut(server.address, " ")
	guard, err := middleware.New(middleware.Config{Issuer: issuer, Audience: lab.Audience})
	if err != nil {
		return nil, err
	}
	defer guard.Close()
	mux := http.NewServeMux()
	mux.Handle(route, guard.Require(func(w http.ResponseWriter, _ *http.Request) { write(w, "served") }, middleware.Scope(lab.Scope)))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	api := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = api.Serve(listener) }()
	defer func() { _ = api.Close() }()
	r := &rotating{
		opts: opts, self: selfURL, api: "http://" + listener.Addr().String() + route, file: filepath.Join(folder, configFile),
		used: make(map[string]bool),
	}
	for round := range opts.rotations {
		kind := clientassertion.RSA4096
		if round%2 == 1 {
			kind = clientassertion.P256
		}
		if err := r.round(ctx, kind); err != nil {
			return nil, fmt.Errorf("rotation %d: %w", round+1, err)
		}
	}
	return r, nil
}

// round is a process that starts, makes calls, and replaces its key.
func (r *rotating) round(ctx context.Context, kind clientassertion.KeyKind) error {
	config, err := helseid.LoadConfig(r.file)
	if err != nil {
		return err
	}
	config.HTTPClient = &http.Client{Transport: r}
	config.TokenRetries = -1
	r.works(config.Key.ID())
	rotation, err := selvbetjening.NewRotation(ctx, selvbetjening.RotationConfig{
		Client: config, Store: selvbetjening.FileStore{Path: r.file}, Kind: kind, Settle: r.opts.settle,
		Selvbetjening: selvbetjening.Config{BaseURL: r.self},
	})
	if err != nil {
		return err
	}
	defer rotation.Close()
	loaded, end := context.WithCancel(ctx)
	defer end()
	var load sync.WaitGroup
	load.Go(func() { r.drive(loaded, rotation.Client()) })
	wait(ctx, time.Second)
	err = rotation.Rotate(ctx)
	kid, _ := rotation.Client().KeyExpiry(ctx)
	r.works(kid)
	wait(ctx, 2*time.Second)
	end()
	load.Wait()
	return err
}

// drive makes calls at the given rate. None waits for another.
func (r *rotating) drive(ctx context.Context, client *helseid.Client) {
	request := helseid.TokenRequest{Scopes: []string{lab.Scope}, Resource: lab.Audience}
	api := client.HTTPClient(request)
	ticker := time.NewTicker(time.Second / time.Duration(r.opts.rate))
	defer ticker.Stop()
	var calls sync.WaitGroup
	defer calls.Wait()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		calls.Go(func() {
			if i%tokenless == 0 {
				r.without.Add(1)
				client.TokenSource(request).Forget(context.WithoutCancel(ctx))
			}
			start := time.Now()
			r.calls.Add(1)
			if err := r.call(context.WithoutCancel(ctx), api); err != nil {
				r.lost.Add(1)
				r.mu.Lock()
				r.first = errors.Join(r.first, err)
				r.mu.Unlock()
			}
			took := int64(time.Since(start))
			for slowest := r.slowest.Load(); took > slowest && !r.slowest.CompareAndSwap(slowest, took); slowest = r.slowest.Load() {
			}
		})
	}
}

func (r *rotating) call(ctx context.Context, api *http.Client) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.api, nil)
	if err != nil {
		return err
	}
	return call(api, request)
}

func (r *rotating) works(kid string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used[kid] = true
}

// RoundTrip counts the assertions that HelseID does not take.
func (r *rotating) RoundTrip(request *http.Request) (*http.Response, error) {
	var kid string
	if request.Body != nil {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return nil, err
		}
		_ = request.Body.Close()
		request = request.Clone(request.Context())
		request.Body = io.NopCloser(bytes.NewReader(body))
		kid = assertionKid(body)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil || kid == "" || response.StatusCode < http.StatusBadRequest {
		return response, err
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(body))
	if bytes.Contains(body, []byte("invalid_client")) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.used[kid] {
			r.replaced++
		} else {
			r.unknown++
		}
	}
	return response, err
}

// assertionKid is the kid of the client assertion in a form, or "".
func assertionKid(form []byte) string {
	values, err := url.ParseQuery(string(form))
	if err != nil {
		return ""
	}
	header, _, _ := strings.Cut(values.Get("client_assertion"), ".")
	decoded, err := base64.RawURLEncoding.DecodeString(header)
	var members struct {
		ID string `json:"kid"`
	}
	if err != nil || json.Unmarshal(decoded, &members) != nil {
		return ""
	}
	return members.ID
}
