package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/internal/benchmarks/lab"
)

const (
	floodSessions  = 20
	floodStarts    = 300 // in a second
	floodCallbacks = 50  // with codes that are made up
	floodRefreshes = 10

	// longestRefresh is what a refresh may take while strangers do their worst.
	longestRefresh = 2 * time.Second

	// What the flood may cost: lines and slots are bounded, and with them the
	// goroutines. A login that was finished, also with an invented code,
	// leaves a row in the session store until it would have expired.
	maxFloodGoroutines = 1500
	rowSize            = 512

	floodRedirect = "http://127.0.0.1/callback"
)

// serveLogins is a HelseID for the flood.
func serveLogins(ctx context.Context, folder string, stdout io.Writer) error {
	server, err := helseidtest.Start()
	if err != nil {
		return err
	}
	defer server.Close()
	file := server.ConfigFile(helseidtest.Client{Scopes: []string{lab.Scope}, RedirectURIs: []string{floodRedirect}})
	if err := os.WriteFile(filepath.Join(folder, configFile), file, 0o600); err != nil {
		return err
	}
	fmt.Fprintln(stdout, announcement+server.Issuer())
	<-ctx.Done()
	return nil
}

// weather is what strangers get from HelseID: their login starts and their codes
// fare as the phase says, and all else passes.
type weather struct {
	base  http.RoundTripper
	phase atomic.Pointer[phase]
}

type phase struct {
	name       string
	par, codes func(*http.Request) *http.Response // nil passes the request on
}

// floodPhases take turns.
var floodPhases = []*phase{
	{name: "all is well"},
	{name: "PAR takes 300 ms", par: after(300 * time.Millisecond)},
	{name: "429", par: refuse(http.StatusTooManyRequests, ""), codes: refuse(http.StatusTooManyRequests, "")},
	{name: "503", par: refuse(http.StatusServiceUnavailable, ""), codes: refuse(http.StatusServiceUnavailable, "")},
	{name: "silence", par: silence, codes: silence},
	{name: "PAR takes 8 s", par: after(8 * time.Second), codes: refuse(http.StatusServiceUnavailable, "1")},
	{name: "429 with a pause", par: refuse(http.StatusTooManyRequests, "5"), codes: refuse(http.StatusTooManyRequests, "5")},
	{name: "all is well again"},
}

func after(d time.Duration) func(*http.Request) *http.Response {
	return func(r *http.Request) *http.Response {
		wait(r.Context(), d)
		return nil
	}
}

func silence(r *http.Request) *http.Response {
	<-r.Context().Done()
	return nil
}

func refuse(status int, retryAfter string) func(*http.Request) *http.Response {
	return func(r *http.Request) *http.Response {
		header := http.Header{}
		if retryAfter != "" {
			header.Set("Retry-After", retryAfter)
		}
		return &http.Response{StatusCode: status, Header: header, Body: http.NoBody, ProtoMajor: 1, ProtoMinor: 1, Request: r}
	}
}

// RoundTrip implements http.RoundTripper.
func (w *weather) RoundTrip(request *http.Request) (*http.Response, error) {
	current := w.phase.Load()
	var how func(*http.Request) *http.Response
	switch {
	case request.Body == nil || current == nil:
	case strings.HasSuffix(request.URL.Path, string(helseidtest.EndpointPAR)):
		how = current.par
	default:
		body, err := io.ReadAll(request.Body)
		_ = request.Body.Close()
		if err != nil {
			return nil, err
		}
		request = request.Clone(request.Context())
		request.Body = io.NopCloser(bytes.NewReader(body))
		if bytes.Contains(body, []byte("grant_type=authorization_code")) {
			how = current.codes
		}
	}
	if how != nil {
		if response := how(request); response != nil {
			_ = request.Body.Close()
			return response, nil
		}
		if err := request.Context().Err(); err != nil {
			_ = request.Body.Close()
			return nil, err
		}
	}
	return w.base.RoundTrip(request)
}

// flooding is a run: strangers who start logins and send codes that they have made
// up, and sessions that must not notice.
type flooding struct {
	client   *helseid.Client
	issuer   string
	weather  *weather
	sessions []*helseid.Session
	states   chan *helseid.LoginState

	started, busy, unavailable, finished, refreshed, lost, longest atomic.Int64

	mu    sync.Mutex
	first error
}

func flood(ctx context.Context, opts options, stdout io.Writer) error {
	folder, err := os.MkdirTemp("", "flood-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	server, err := self("logins", "-folder", folder)
	if err != nil {
		return err
	}
	defer server.stop()
	f, err := newFlooding(ctx, filepath.Join(folder, configFile))
	if err != nil {
		return err
	}
	defer f.client.Close()
	samples := f.drive(ctx, opts.flood, stdout)
	return errors.Join(ctx.Err(), f.verdict(stdout, samples))
}

func newFlooding(ctx context.Context, file string) (*flooding, error) {
	config, err := helseid.LoadConfig(file)
	if err != nil {
		return nil, err
	}
	f := &flooding{
		issuer:  config.Issuer,
		weather: &weather{base: &http.Transport{MaxIdleConnsPerHost: 64}},
		states:  make(chan *helseid.LoginState, 2000),
	}
	config.HTTPClient = &http.Client{Transport: f.weather}
	if f.client, err = helseid.New(config); err != nil {
		return nil, err
	}
	for range floodSessions {
		session, err := f.logIn(ctx)
		if err != nil {
			f.client.Close()
			return nil, err
		}
		f.sessions = append(f.sessions, session)
	}
	return f, nil
}

func (f *flooding) request() helseid.LoginRequest {
	return helseid.LoginRequest{
		Scopes:      []string{helseid.ScopeOfflineAccess, lab.Scope},
		Resources:   []string{lab.Audience},
		RedirectURI: floodRedirect,
	}
}

// logIn walks a login to its end, with HelseID's first test user.
func (f *flooding) logIn(ctx context.Context) (*helseid.Session, error) {
	login, err := f.client.StartLogin(ctx, f.request())
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, login.URL, nil)
	if err != nil {
		return nil, err
	}
	response, err := f.weather.base.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	callback, err := response.Location()
	if err != nil {
		return nil, fmt.Errorf("the login page answered %d: %w", response.StatusCode, err)
	}
	return f.client.FinishLogin(ctx, login.State, callback.Query())
}

// drive lets the phases pass and takes samples, twenty in all and one when all is
// over.
func (f *flooding) drive(ctx context.Context, d time.Duration, stdout io.Writer) (samples []sample) {
	begin := time.Now()
	flooded, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var group sync.WaitGroup
	every := func(rate int, what func(context.Context, int)) {
		group.Go(func() {
			ticker := time.NewTicker(time.Second / time.Duration(rate))
			defer ticker.Stop()
			for i := 0; ; {
				select {
				case <-ticker.C: // which leaves ticks out when the machine is busy
				case <-flooded.Done():
					return
				}
				for due := int(time.Since(begin).Seconds() * float64(rate)); i < due; i++ {
					group.Go(func() { what(ctx, i) })
				}
			}
		})
	}
	every(floodStarts, f.start)
	every(floodCallbacks, f.callBack)
	every(floodRefreshes, f.refresh)
	const count = 20
	for i := range count {
		current := floodPhases[i*len(floodPhases)/count]
		f.weather.phase.Store(current)
		if !wait(flooded, time.Until(begin.Add(d*time.Duration(i+1)/count-10*time.Millisecond))) {
			break
		}
		at := time.Since(begin)
		samples = append(samples, take(at))
		newest := samples[len(samples)-1]
		fmt.Fprintf(stdout, "%7s  %-17s  heap %8d  goroutines %4d  %s\n", at.Round(time.Second), current.name, newest.heap, newest.goroutines, f)
	}
	group.Wait()
	return append(samples, take(time.Since(begin)))
}

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// start opens the login page.
func (f *flooding) start(ctx context.Context, _ int) {
	login, err := f.client.StartLogin(ctx, f.request())
	switch {
	case err == nil:
		f.started.Add(1)
		select {
		case f.states <- login.State:
		default:
		}
	case errors.Is(err, helseid.ErrBusy):
		f.busy.Add(1)
	default:
		f.unavailable.Add(1)
	}
}

// callBack sends a code that is made up, to a login that was started.
func (f *flooding) callBack(ctx context.Context, _ int) {
	select {
	case state := <-f.states:
		answer := url.Values{"state": {state.ID()}, "iss": {f.issuer}, "code": {"made-up"}}
		if _, err := f.client.FinishLogin(ctx, state, answer); err == nil {
			f.lose(errors.New("a code that was made up gave a session"))
		}
		f.finished.Add(1)
	default:
	}
}

// refresh makes a session get a new token.
func (f *flooding) refresh(ctx context.Context, i int) {
	session, request := f.sessions[i%len(f.sessions)], helseid.TokenRequest{Resource: lab.Audience, Scopes: []string{lab.Scope}}
	begin := time.Now()
	session.TokenSource(request).Forget(ctx)
	if _, err := session.Token(ctx, request); err != nil {
		if ctx.Err() == nil {
			f.lose(fmt.Errorf("a refresh: %w", err))
		}
		return
	}
	f.refreshed.Add(1)
	took := int64(time.Since(begin))
	for old := f.longest.Load(); took > old && !f.longest.CompareAndSwap(old, took); old = f.longest.Load() {
	}
}

func (f *flooding) lose(err error) {
	f.lost.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first == nil {
		f.first = err
	}
}

// String tells what has happened so far.
func (f *flooding) String() string {
	return fmt.Sprintf("%d logins started, %d not for want of room, %d not for want of an answer; %d codes made up; %d refreshes, %d lost, the longest took %v",
		f.started.Load(), f.busy.Load(), f.unavailable.Load(), f.finished.Load(), f.refreshed.Load(), f.lost.Load(),
		time.Duration(f.longest.Load()).Round(time.Millisecond))
}

func (f *flooding) verdict(stdout io.Writer, samples []sample) error {
	var errs []error
	if lost := f.lost.Load(); lost > 0 {
		errs = append(errs, fmt.Errorf("%d refreshes were lost, the first: %w", lost, f.first))
	}
	if longest := time.Duration(f.longest.Load()); longest > longestRefresh {
		errs = append(errs, fmt.Errorf("a refresh took %v", longest))
	}
	if f.refreshed.Load() == 0 || f.started.Load() == 0 || f.busy.Load() == 0 || f.unavailable.Load() == 0 || f.finished.Load() == 0 {
		errs = append(errs, errors.New("there was no flood"))
	}
	peak := sample{}
	for _, s := range samples {
		peak.heap, peak.goroutines = max(peak.heap, s.heap), max(peak.goroutines, s.goroutines)
	}
	before, last := samples[0], samples[len(samples)-1]
	fmt.Fprintf(stdout, "heap %d to %d bytes, %d at most; goroutines %d at most; %s\n", before.heap, last.heap, peak.heap, peak.goroutines, f)
	if last.heap > before.heap+before.heap/10+1<<20+rowSize*int(f.finished.Load()) || peak.goroutines > maxFloodGoroutines {
		errs = append(errs, errors.New("memory or goroutines have grown"))
	}
	return errors.Join(errs...)
}
