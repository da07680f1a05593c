package helseid_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// drawing is a tracer that writes down what it is told. Work is named by its context.
type drawing struct {
	mu    sync.Mutex
	lines []string
	begun int
	open  int
	errs  []error
}

type workKey struct{}

// nameOf is what a context is part of: the work or the call with that name.
func nameOf(ctx context.Context) string {
	if name, ok := ctx.Value(workKey{}).(string); ok {
		return name
	}
	return "nothing"
}

func called(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, workKey{}, name)
}

func (d *drawing) write(format string, values ...any) {
	d.lines = append(d.lines, fmt.Sprintf(format, values...))
}

func (d *drawing) Begin(ctx, caller context.Context, event helseid.Event) (context.Context, func(helseid.Event)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.begun++
	d.open++
	name := fmt.Sprintf("%s %d", event.Kind, d.begun)
	d.write("%s begins in %s for %s, shared %v, renewal %v", name, nameOf(ctx), nameOf(caller), event.Shared, event.Renewal)
	return called(ctx, name), func(event helseid.Event) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.open--
		d.errs = append(d.errs, event.Err)
		d.write("%s ends with status %d after %v, failed %v", name, event.Status, event.Duration, event.Err != nil)
	}
}

func (d *drawing) Waited(ctx, work context.Context, event helseid.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.errs = append(d.errs, event.Err)
	d.write("%s has waited for %s: %s after %v, failed %v", nameOf(ctx), nameOf(work), event.Kind, event.Duration, event.Err != nil)
}

// take returns what was written since the last time. All work has ended.
func (d *drawing) take(t testing.TB) []string {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	require.Zero(t, d.open, "work that has not ended")
	lines := d.lines
	d.lines = nil
	return lines
}

// A fetch is part of the call that caused it, without the values of its context, and
// each further call that waits for it is told of. A renewal is told as one.
func TestTracerOfTokens(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		drawn := &drawing{}
		w := newWorld(t, worldOptions{config: func(config *helseid.Config) {
			noRetries(config)
			config.Tracer = drawn
		}})
		source := w.client.TokenSource(apiRequest)
		ask := func(name string, after, patience time.Duration) {
			go func() {
				pause(after)
				ctx, cancel := context.WithTimeout(called(t.Context(), name), patience)
				defer cancel()
				_, _ = source.Token(ctx)
			}()
		}
		w.server.Inject(helseidtest.Fault{Delay: 3 * time.Second})
		ask("Ada", 0, time.Minute)
		ask("Bo", time.Second, time.Minute)
		ask("Cy", time.Second, time.Second)
		pause(5 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{
			"token_request 1 begins in nothing for Ada, shared true, renewal false",
			"round_trip 2 begins in token_request 1 for token_request 1, shared true, renewal false",
			"Cy has waited for token_request 1: cache_miss after 1s, failed true",
			"round_trip 2 ends with status 200 after 3s, failed false",
			"token_request 1 ends with status 0 after 3s, failed false",
			"Bo has waited for token_request 1: cache_miss after 2s, failed false",
		}, drawn.take(t))

		w.server.Inject(helseidtest.Fault{Status: http.StatusServiceUnavailable})
		pause(570 * time.Second)
		ask("Di", 0, time.Minute)
		synctest.Wait()
		require.Equal(t, []string{
			"token_request 3 begins in nothing for Di, shared true, renewal true",
			"round_trip 4 begins in token_request 3 for token_request 3, shared true, renewal false",
			"round_trip 4 ends with status 503 after 0s, failed false",
			"token_request 3 ends with status 0 after 0s, failed true",
		}, drawn.take(t))
	})
}

// What HelseID says in words may name an organisation: no tracer is told.
func TestTracerIsToldNoWords(t *testing.T) {
	t.Parallel()
	drawn := &drawing{}
	w := newWorld(t, worldOptions{config: func(config *helseid.Config) { config.Tracer = drawn }})
	w.server.Inject(helseidtest.Fault{Status: http.StatusBadRequest, Body: `{"error":"invalid_request","error_description":"HID-1001: 999977774 has not delegated"}`})
	_, err := w.client.Token(t.Context(), apiRequest)
	require.ErrorContains(t, err, "999977774")
	var refusals int
	for _, err := range drawn.errs {
		if refusal, ok := errors.AsType[*helseid.TokenError](err); ok {
			refusals++
			require.Equal(t, "HID-1001", refusal.HID)
			require.NotContains(t, err.Error(), "999977774")
		}
	}
	require.Positive(t, refusals)
}

// A login's round trips are parts of the calls that make them.
func TestTracerOfALogin(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	drawn := &drawing{}
	w.config.Tracer = drawn
	w.client = newClient(t, w.config)
	ctx := called(t.Context(), "Ada")
	login, err := w.client.StartLogin(ctx, loginRequest())
	require.NoError(t, err)
	require.Len(t, starting(drawn.take(t), "round_trip 1 begins in Ada for Ada, shared false"), 1)
	answer, err := w.server.LogIn(login.URL)
	require.NoError(t, err)
	session, err := w.client.FinishLogin(ctx, login.State, answer.Query())
	require.NoError(t, err)
	lines := drawn.take(t)
	require.Len(t, starting(lines, "token_request 2 begins in Ada for Ada, shared false"), 1)
	require.Len(t, starting(lines, "round_trip 3 begins in token_request 2 for token_request 2, shared false"), 1)
	_, err = session.Logout(ctx, helseid.LogoutRequest{})
	require.NoError(t, err)
	require.NotEmpty(t, starting(drawn.take(t), "round_trip"))
}

func starting(lines []string, with string) (found []string) {
	for _, line := range lines {
		if strings.HasPrefix(line, with) {
			found = append(found, line)
		}
	}
	return found
}

// A round trip has its endpoint's address.
func TestRoundTripHasURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.token(t)
	trips := 0
	for _, event := range w.events.all() {
		if event.Kind != helseid.EventRoundTrip {
			require.Empty(t, event.URL)
			continue
		}
		trips++
		require.Equal(t, w.server.Issuer()+"/connect/token", event.URL)
	}
	require.Positive(t, trips)
}
