package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/helseid-go/sdk/helseid"
)

// outcome is the result of one call.
type outcome struct {
	status int
	body   []byte
	err    error
	took   time.Duration
}

func (o outcome) ok() bool { return o.err == nil && o.status >= 200 && o.status < 300 }

// report prints what happens, in words or as JSON, and counts it.
type report struct {
	stdout, stderr io.Writer
	asJSON         bool

	mu              sync.Mutex
	scopes          []string
	requests, good  int
	answered        bool
	failures        map[string]int
	tokenRequests   int
	roundTrips      int
	nonceChallenges int
}

func newReport(stdout, stderr io.Writer, asJSON bool) *report {
	return &report{stdout: stdout, stderr: stderr, asJSON: asJSON, failures: make(map[string]int)}
}

func (r *report) print(format string, args ...any) {
	if !r.asJSON {
		fmt.Fprintf(r.stdout, format+"\n", args...)
	}
}

func (r *report) printJSON(event any) {
	if r.asJSON {
		_ = json.NewEncoder(r.stdout).Encode(event)
	}
}

func (r *report) warn(what string) { fmt.Fprintln(r.stderr, "machine: warning:", what) }

func (r *report) problem(err error) { fmt.Fprintln(r.stderr, "machine:", withoutQuery(err)) }

// withoutQuery removes the query from the URL in errors of net/http, since queries may
// contain personal data.
func withoutQuery(err error) error {
	var failed *url.Error
	if !errors.As(err, &failed) {
		return err
	}
	target, parseErr := url.Parse(failed.URL)
	if parseErr != nil {
		return failed.Err
	}
	return fmt.Errorf("%s %s://%s%s: %w", failed.Op, target.Scheme, target.Host, target.EscapedPath(), failed.Err)
}

// count is the client's OnEvent.
func (r *report) count(_ context.Context, event helseid.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch event.Kind {
	case helseid.EventTokenRequest:
		r.tokenRequests++
	case helseid.EventRoundTrip:
		r.roundTrips++
	case helseid.EventNonceChallenge:
		r.nonceChallenges++
	}
}

func (r *report) token(token *helseid.Token) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scopes = token.Scopes
	r.print("token: %s, scopes %v, until %s", token.Type, token.Scopes, token.Expiry.Local().Format(time.TimeOnly))
}

func (r *report) call(result outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	event := map[string]any{"event": "call", "status": result.status, "ms": result.took.Milliseconds()}
	if result.status != 0 && !r.answered {
		r.answered = true
		r.print("first answer: %d %s", result.status, result.body)
	}
	if result.ok() {
		r.good++
		r.print("call %d: %d, %d ms", r.requests, result.status, result.took.Milliseconds())
	} else {
		kind := failureKind(result)
		event["failure"] = kind
		r.print("call %d: %s, %d ms", r.requests, kind, result.took.Milliseconds())
		var refusal *helseid.TokenError
		if errors.As(result.err, &refusal) && refusal.HID != "" {
			event["hid"] = refusal.HID
		}
		if r.failures[kind]++; r.failures[kind] == 1 {
			r.explain(kind, result)
		}
	}
	r.printJSON(event)
}

// explain prints the first failure of each kind.
func (r *report) explain(kind string, result outcome) {
	if result.err != nil {
		r.problem(result.err)
		return
	}
	var problem struct{ Reason, Detail string } // of an API behind the SDK's middleware
	if json.Unmarshal(result.body, &problem) == nil && problem.Reason != "" {
		fmt.Fprintf(r.stderr, "machine: the API answered %s: %.300q (reason %.100q)\n", kind, problem.Detail, problem.Reason)
		return
	}
	fmt.Fprintf(r.stderr, "machine: the API answered %s\n", kind)
}

// failureKind sorts failures into a few named kinds.
func failureKind(result outcome) string {
	var refusal *helseid.TokenError
	switch err := result.err; {
	case err == nil:
		return fmt.Sprintf("status_%d", result.status)
	case errors.As(err, &refusal):
		return "token_" + refusal.Code
	case errors.Is(err, helseid.ErrUnavailable):
		return "helseid_unavailable"
	case errors.Is(err, helseid.ErrInvalidResponse):
		return "helseid_invalid_response"
	case errors.Is(err, helseid.ErrIssuerMismatch):
		return "helseid_issuer_mismatch"
	case errors.Is(err, helseid.ErrScopeNotGranted):
		return "scope_not_granted"
	case errors.Is(err, helseid.ErrOriginRefused):
		return "redirect_refused"
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, context.DeadlineExceeded):
		return "api_timeout"
	}
	return "api_unreachable"
}

// summary prints the totals and reports whether all planned calls were made and
// succeeded.
func (r *report) summary(wanted int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.printJSON(map[string]any{
		"event":            "summary",
		"requests":         r.requests,
		"ok":               r.good,
		"failures":         r.failures,
		"scopes":           r.scopes,
		"token_requests":   r.tokenRequests,
		"round_trips":      r.roundTrips,
		"nonce_challenges": r.nonceChallenges,
	})
	r.print("%d requests, %d good answers, %d token requests (%d round trips), %d nonce challenges",
		r.requests, r.good, r.tokenRequests, r.roundTrips, r.nonceChallenges)
	for _, kind := range slices.Sorted(maps.Keys(r.failures)) {
		r.print("  failed: %d × %s", r.failures[kind], kind)
	}
	if r.requests < wanted {
		fmt.Fprintf(r.stderr, "machine: interrupted: %d calls were not made\n", wanted-r.requests)
	}
	return r.good == wanted
}
