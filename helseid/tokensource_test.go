package helseid_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
)

// The margins are min(30 s, 10 %) and min(5 s, 5 %) of the lifetime.
func TestTokenStates(t *testing.T) {
	t.Parallel()
	tests := []struct{ lifetime, stale, dead time.Duration }{
		{time.Second, 900 * time.Millisecond, 950 * time.Millisecond},
		{10 * time.Second, 9 * time.Second, 9500 * time.Millisecond},
		{time.Minute, 54 * time.Second, 57 * time.Second},
		{100 * time.Second, 90 * time.Second, 95 * time.Second},
		{299 * time.Second, 299*time.Second - 29900*time.Millisecond, 294 * time.Second},
		{10 * time.Minute, 570 * time.Second, 595 * time.Second},
		{time.Hour, 3570 * time.Second, 3595 * time.Second},
		{24 * time.Hour, 24*time.Hour - 30*time.Second, 24*time.Hour - 5*time.Second},
		{48 * time.Hour, 24*time.Hour - 30*time.Second, 24*time.Hour - 5*time.Second}, // no token is believed for longer
	}
	for _, test := range tests {
		t.Run(test.lifetime.String(), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{
					server: []helseidtest.Option{helseidtest.Relaxed(rule.Nonce), helseidtest.TokenLifetime(test.lifetime)},
					config: noRetries,
				})
				start := time.Now()
				first := w.token(t)
				require.Equal(t, 1, w.events.of(helseid.EventCacheMiss))
				require.Equal(t, min(test.lifetime, 24*time.Hour), first.Expiry.Sub(start))

				at(start, test.stale-1)
				require.Same(t, first, w.token(t))
				require.Equal(t, 1, w.events.of(helseid.EventCacheHit))
				synctest.Wait()
				require.Equal(t, 1, w.tokenRequests(), "a fresh token is not renewed")

				// HelseID is down from here on.
				w.server.Inject(helseidtest.Fault{Status: http.StatusServiceUnavailable, Times: -1})
				at(start, test.stale)
				require.Same(t, first, w.token(t))
				require.Equal(t, 1, w.events.of(helseid.EventCacheStale))
				synctest.Wait()
				require.Equal(t, 2, w.tokenRequests(), "a stale token is renewed in the background")

				at(start, test.dead-1)
				require.Same(t, first, w.token(t), "a failed renewal keeps the old token")
				at(start, test.dead)
				_, err := w.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{testScope}})
				requireError(t, err, helseid.ErrUnavailable)
				require.Equal(t, 2, w.events.of(helseid.EventCacheMiss))

				w.server.ClearFaults()
				second := w.token(t)
				require.NotSame(t, first, second)
				require.NotEqual(t, first.Access.Reveal(), second.Access.Reveal())
			})
		})
	}
}

func TestStaleTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{})
		start := time.Now()
		first := w.token(t)
		at(start, 570*time.Second)
		w.server.Inject(helseidtest.Fault{Delay: 2 * time.Second})
		for range 100 {
			require.Same(t, first, w.token(t), "nobody waits for a renewal")
		}
		require.Equal(t, start.Add(570*time.Second), time.Now())
		at(start, 573*time.Second)
		synctest.Wait()
		second := w.token(t)
		require.NotSame(t, first, second)
		require.Equal(t, 2, w.events.of(helseid.EventTokenRequest))
		require.Equal(t, start.Add(570*time.Second+10*time.Minute), second.Expiry, "counted from the start of the request")
		require.NotContains(t, second.Expiry.String(), "m=", "counted by the wall clock, which goes on while a machine sleeps")
	})
}

// A failed renewal is tried again after min(30 s, a third of the margin).
func TestFailedRenewal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ lifetime, stale, retry time.Duration }{
		{time.Minute, 54 * time.Second, 2 * time.Second},
		{10 * time.Minute, 570 * time.Second, 10 * time.Second},
	} {
		t.Run(test.lifetime.String(), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{
					server: []helseidtest.Option{helseidtest.Relaxed(rule.Nonce), helseidtest.TokenLifetime(test.lifetime)},
					config: noRetries,
				})
				start := time.Now()
				first := w.token(t)
				w.server.Inject(helseidtest.Fault{Status: http.StatusServiceUnavailable})
				for _, step := range []struct {
					at       time.Duration
					requests int
				}{
					{test.stale, 2},
					{test.stale + 1, 2},
					{test.stale + test.retry - 1, 2},
					{test.stale + test.retry, 3}, // HelseID is up again
				} {
					at(start, step.at)
					require.Same(t, first, w.token(t))
					synctest.Wait()
					require.Equal(t, step.requests, w.tokenRequests(), "at %v", step.at)
				}
				require.NotSame(t, first, w.token(t))
			})
		})
	}
}

func TestStaleAndDeadShareOneFlight(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{})
		start := time.Now()
		first := w.token(t)
		at(start, 594*time.Second)
		w.server.Inject(helseidtest.Fault{Delay: 3 * time.Second})
		require.Same(t, first, w.token(t))
		at(start, 595*time.Second)
		second := w.token(t) // waits for the renewal that is under way
		require.NotSame(t, first, second)
		require.Equal(t, start.Add(597*time.Second), time.Now())
		require.Equal(t, 2, w.events.of(helseid.EventTokenRequest))
	})
}

func TestColdTokenIsFetchedOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{server: []helseidtest.Option{}})
		w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Delay: time.Second})
		w.server.Inject(helseidtest.Fault{Delay: time.Second})
		tokens := make([]*helseid.Token, 1000)
		var group sync.WaitGroup
		for i := range tokens {
			group.Go(func() {
				token, err := w.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{testScope}})
				if err == nil {
					tokens[i] = token
				}
			})
		}
		group.Wait()
		for _, token := range tokens {
			require.NotNil(t, token)
			require.Same(t, tokens[0], token)
		}
		require.Equal(t, 1, w.events.of(helseid.EventTokenRequest))
		require.Equal(t, 2, w.events.of(helseid.EventRoundTrip), "without nonce and with")
		require.Len(t, w.server.Requests(helseidtest.EndpointMetadata), 1)
	})
}

func TestCancelledCallers(t *testing.T) {
	t.Parallel()
	t.Run("the first one does not fail the others", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			w.server.Inject(helseidtest.Fault{Delay: 5 * time.Second})
			impatient, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			var group sync.WaitGroup
			group.Go(func() {
				_, err := w.client.Token(impatient, helseid.TokenRequest{Scopes: []string{testScope}})
				assertError(t, err, context.DeadlineExceeded)
				assert.Equal(t, time.Second, time.Since(start), "who gives up need not wait")
			})
			synctest.Wait() // the first caller has started the request
			for range 10 {
				group.Go(func() {
					token, err := w.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{testScope}})
					assert.NoError(t, err)
					assert.NotNil(t, token)
				})
			}
			group.Wait()
			require.Equal(t, 5*time.Second, time.Since(start))
			require.Equal(t, 1, w.events.of(helseid.EventTokenRequest))
		})
	})
	t.Run("all of them leave a token behind", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			w.server.Inject(helseidtest.Fault{Delay: 5 * time.Second})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := w.client.Token(ctx, helseid.TokenRequest{Scopes: []string{testScope}})
			requireError(t, err, context.DeadlineExceeded)
			pause(10 * time.Second)
			w.token(t)
			require.Equal(t, 1, w.events.of(helseid.EventTokenRequest))
		})
	})
	t.Run("one who came cancelled asks for nothing", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := w.client.Token(ctx, helseid.TokenRequest{})
		requireError(t, err, context.Canceled)
		require.Empty(t, w.server.Requests())
	})
	t.Run("one who came cancelled gets what is in memory", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		first := w.token(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		token, err := w.client.Token(ctx, helseid.TokenRequest{Scopes: []string{testScope}})
		require.NoError(t, err)
		require.Same(t, first, token)
	})
}

func TestNoContextValueReachesHelseID(t *testing.T) {
	t.Parallel()
	type key struct{}
	bubble(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{server: []helseidtest.Option{}})
		requests := 0
		w.net.inspect = func(request *http.Request) {
			requests++
			assert.Nil(t, request.Context().Value(key{}))
		}
		ctx := context.WithValue(t.Context(), key{}, "a trace span, a person")
		_, err := w.client.Token(ctx, helseid.TokenRequest{Scopes: []string{testScope}})
		require.NoError(t, err)
		require.Equal(t, 3, requests)
		pause(580 * time.Second)
		_, err = w.client.Token(ctx, helseid.TokenRequest{Scopes: []string{testScope}}) // renews in the background
		require.NoError(t, err)
		synctest.Wait()
		require.Greater(t, requests, 3)
	})
}

func TestCacheTellsRequestsApart(t *testing.T) {
	t.Parallel()
	detail := func(text string) clientassertion.Detail {
		detail, err := clientassertion.ParseDetail([]byte(text))
		require.NoError(t, err)
		return detail
	}
	base := helseid.TokenRequest{Scopes: []string{testScope, otherScope}}
	tests := map[string]struct {
		request helseid.TokenRequest
		same    bool
	}{
		"equal":                 {helseid.TokenRequest{Scopes: []string{testScope, otherScope}}, true},
		"scopes in other order": {helseid.TokenRequest{Scopes: []string{otherScope, testScope}}, true},
		"scope repeated":        {helseid.TokenRequest{Scopes: []string{testScope, otherScope, testScope}}, true},
		"accepts less":          {helseid.TokenRequest{Scopes: base.Scopes, AcceptMissingScopes: true}, true},
		"may go elsewhere":      {helseid.TokenRequest{Scopes: base.Scopes, AllowedOrigins: []string{"https://api.example.no"}}, true},
		"fewer scopes":          {helseid.TokenRequest{Scopes: []string{testScope}}, false},
		"no scopes":             {helseid.TokenRequest{}, false},
		"with resource":         {helseid.TokenRequest{Scopes: base.Scopes, Resource: "nhn:test-api"}, false},
		"with detail":           {helseid.TokenRequest{Scopes: base.Scopes, Details: []clientassertion.Detail{detail(`{"type":"a"}`)}}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			w.server.Inject(helseidtest.Fault{Body: w.tokenAnswer(t, map[string]any{"scope": testScope + " " + otherScope}), Times: -1})
			first, err := w.client.Token(t.Context(), base)
			require.NoError(t, err)
			second, err := w.client.Token(t.Context(), test.request)
			require.NoError(t, err)
			require.Equal(t, test.same, first == second)
		})
	}
	t.Run("details in other order or of other value", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.server.Inject(helseidtest.Fault{Body: w.tokenAnswer(t, nil), Times: -1})
		seen := make(map[*helseid.Token]bool)
		for _, details := range [][]clientassertion.Detail{
			{detail(`{"type":"a","n":1}`)}, {detail(`{"type":"a","n":2}`)},
			{detail(`{"type":"a"}`), detail(`{"type":"b"}`)}, {detail(`{"type":"b"}`), detail(`{"type":"a"}`)},
		} {
			token, err := w.client.Token(t.Context(), helseid.TokenRequest{Details: details})
			require.NoError(t, err)
			require.False(t, seen[token], "two requests share a token")
			seen[token] = true
		}
	})
	t.Run("two clients share nothing", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		first := w.token(t)
		second, err := newClient(t, w.config).Token(t.Context(), helseid.TokenRequest{Scopes: []string{testScope}})
		require.NoError(t, err)
		require.NotSame(t, first, second)
	})
	t.Run("the caller's slice may change afterwards", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		scopes := []string{testScope}
		source := w.client.TokenSource(helseid.TokenRequest{Scopes: scopes})
		scopes[0] = otherScope
		token, err := source.Token(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{testScope}, token.Scopes)
	})
}

// Each goroutine must get the token of its own request, however many ask.
func TestTokensAreNeverMixedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	var group sync.WaitGroup
	for i := range 400 {
		group.Go(func() {
			scope := testScope
			if i%2 == 0 {
				scope = otherScope
			}
			token, err := w.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{scope}})
			if err != nil || len(token.Scopes) != 1 || token.Scopes[0] != scope {
				t.Errorf("asked for %s, got %v, %v", scope, token, err)
			}
		})
	}
	group.Wait()
	require.Equal(t, 2, w.tokenRequests())
}

func TestExpiresIn(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		value    any
		lifetime time.Duration // 0: not kept; negative: refused
	}{
		"missing":          {nil, 0},
		"null":             {literal("null"), 0},
		"zero":             {0, -1},
		"negative":         {-600, -1},
		"a string":         {"600", -1},
		"a boolean":        {true, -1},
		"a fraction":       {600.9, 600 * time.Second},
		"next to nothing":  {0.5, -1},
		"with an exponent": {literal("6e2"), 600 * time.Second},
		"one":              {1, time.Second},
		"huge":             {literal("9007199254740991"), 24 * time.Hour},
		"beyond integers":  {literal("1e300"), -1},
		"beyond floats":    {literal("1e999"), -1},
		"overflowing":      {literal("9223372036854775807"), -1},
		"nanoseconds":      {literal("9223372037"), 24 * time.Hour}, // overflows a time.Duration
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{config: noRetries})
				w.server.Inject(helseidtest.Fault{Body: w.tokenAnswer(t, map[string]any{"expires_in": test.value}), Times: -1})
				start := time.Now()
				first, err := w.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{testScope}})
				if test.lifetime < 0 {
					requireError(t, err, helseid.ErrInvalidResponse)
					require.ErrorContains(t, err, "expires_in")
					return
				}
				require.NoError(t, err)
				second := w.token(t)
				if test.lifetime == 0 {
					require.True(t, first.Expiry.IsZero())
					require.NotSame(t, first, second, "a token of unknown life is not kept")
					require.Equal(t, 2, w.tokenRequests())
					return
				}
				require.Equal(t, start.Add(test.lifetime), first.Expiry)
				require.Same(t, first, second)
			})
		})
	}
}

func TestErrorsAreNotCached(t *testing.T) {
	t.Parallel()
	refusal := func(code string) helseidtest.Fault {
		return helseidtest.Fault{Status: http.StatusBadRequest, Body: `{"error":"` + code + `"}`}
	}
	for name, fault := range map[string]helseidtest.Fault{
		"T064 a refusal of the client": refusal("invalid_client"),
		"T064 a refusal of the scope":  refusal("invalid_scope"),
		"T064 an outage":               {Status: http.StatusInternalServerError},
		"T064 a cut connection":        {Cut: true},
		"T064 HTML":                    {Body: "<html>", Header: http.Header{"Content-Type": {"text/html"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{config: noRetries})
				w.server.Inject(fault)
				_, err := w.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{testScope}})
				require.Error(t, err)
				requireNoSecret(t, err)
				w.token(t)
				require.Equal(t, 2, w.tokenRequests())
			})
		})
	}
}

// From the second refusal in a row on, HelseID is left alone for 1, 2, 4, … 30
// seconds, and the last refusal stands.
func TestRefusalsAreHeldOff(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		code  string
		whole bool // of all the client's requests
	}{
		{"invalid_client", true}, {"unauthorized_client", true},
		{"invalid_scope", false}, {"invalid_target", false}, {"invalid_request", false}, {"access_denied", false},
	} {
		t.Run(test.code, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{})
				w.server.Inject(helseidtest.Fault{Status: http.StatusBadRequest, Body: `{"error":"` + test.code + `"}`, Times: -1})
				refused := func(requests int, request helseid.TokenRequest) {
					t.Helper()
					_, err := w.client.Token(t.Context(), request)
					var refusal *helseid.TokenError
					require.ErrorAs(t, err, &refusal)
					require.Equal(t, test.code, refusal.Code)
					require.Equal(t, requests, w.tokenRequests())
				}
				request := helseid.TokenRequest{Scopes: []string{testScope}}
				refused(1, request)
				refused(2, request)
				sent := 2
				for _, wait := range []time.Duration{1, 2, 4, 8, 16, 30, 30, 30} {
					wait *= time.Second
					start := time.Now()
					refused(sent, request)
					at(start, wait-1)
					refused(sent, request)
					at(start, wait)
					sent++
					refused(sent, request)
				}
				other := helseid.TokenRequest{Scopes: []string{otherScope}}
				if test.whole {
					refused(sent, other) // it would be refused as well
				} else {
					sent++
					refused(sent, other)
				}
				// A success wipes the slate clean.
				w.server.ClearFaults()
				pause(30 * time.Second)
				w.token(t)
				w.server.Inject(helseidtest.Fault{Status: http.StatusBadRequest, Body: `{"error":"` + test.code + `"}`, Times: 2})
				third := helseid.TokenRequest{Scopes: []string{testScope}, Resource: "nhn:test-api"}
				refused(sent+2, third)
				refused(sent+3, third)
			})
		})
	}
	t.Run("an outage is no refusal", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{config: noRetries})
			w.server.Inject(helseidtest.Fault{Status: http.StatusServiceUnavailable, Body: `{"error":"temporarily_unavailable"}`, Times: -1})
			for range 5 {
				_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
				requireError(t, err, helseid.ErrUnavailable)
			}
			require.Equal(t, 5, w.tokenRequests())
		})
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	request := helseid.TokenRequest{Scopes: []string{testScope}}
	t.Run("ends a request under way", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) { // which fails if a goroutine stays behind
			w := newWorld(t, worldOptions{})
			w.server.Inject(helseidtest.Fault{Delay: time.Hour})
			start := time.Now()
			var group sync.WaitGroup
			for range 10 {
				group.Go(func() {
					_, err := w.client.Token(t.Context(), request)
					assertError(t, err, helseid.ErrClosed)
				})
			}
			synctest.Wait()
			w.client.Close()
			group.Wait()
			require.Equal(t, start, time.Now())
		})
	})
	t.Run("ends a wait between two attempts", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			w.server.Inject(helseidtest.Fault{Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"4"}}})
			start := time.Now()
			var group sync.WaitGroup
			group.Go(func() {
				_, err := w.client.Token(t.Context(), request)
				assertError(t, err, helseid.ErrClosed)
			})
			synctest.Wait()
			w.client.Close()
			group.Wait()
			require.Equal(t, start, time.Now())
		})
	})
	t.Run("ends the fetching of metadata", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Delay: time.Hour, Times: -1})
			start := time.Now()
			var group sync.WaitGroup
			group.Go(func() {
				_, err := w.client.Token(t.Context(), request)
				assertError(t, err, helseid.ErrClosed)
			})
			synctest.Wait()
			w.client.Close()
			group.Wait()
			require.Equal(t, start, time.Now())
		})
	})
	t.Run("ends a renewal in the background", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			w.token(t)
			pause(580 * time.Second)
			w.server.Inject(helseidtest.Fault{Delay: time.Hour})
			w.token(t)
			synctest.Wait()
			start := time.Now()
			w.client.Close()
			require.Equal(t, start, time.Now())
		})
	})
	t.Run("leaves what is in memory, and fetches nothing", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			first := w.token(t)
			w.client.Close()
			w.client.Close() // twice does no harm
			require.Same(t, first, w.token(t))
			_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
			requireError(t, err, helseid.ErrClosed)
			pause(580 * time.Second)
			require.Same(t, first, w.token(t)) // stale, and not renewed
			synctest.Wait()
			pause(time.Minute)
			_, err = w.client.Token(t.Context(), request)
			requireError(t, err, helseid.ErrClosed)
			_, err = get(t, w.client.HTTPClient(request), apiURL)
			require.ErrorIs(t, err, helseid.ErrClosed)
			require.Equal(t, 1, w.tokenRequests())
		})
	})
	t.Run("of a client that did nothing", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.client.Close()
		_, err := w.client.Token(t.Context(), request)
		requireError(t, err, helseid.ErrClosed)
		require.Empty(t, w.server.Requests())
	})
}

func TestScopes(t *testing.T) {
	t.Parallel()
	list := func(scopes ...string) []string { return scopes }
	tests := map[string]struct {
		answer   any // the member scope
		claim    any // the token's own
		rejected any
		asked    []string
		granted  []string
		wrong    bool
	}{
		"as asked":                     {"a b", list("a", "b"), nil, list("a", "b"), list("a", "b"), false},
		"in HelseID's order":           {"b a", nil, nil, list("a", "b"), list("b", "a"), false},
		"more than asked":              {"a b c", nil, nil, list("a"), list("a", "b", "c"), false},
		"nothing asked":                {"a b", nil, nil, nil, list("a", "b"), false},
		"the answer before the claim":  {"a", list("b"), nil, list("a"), list("a"), false},
		"claim as array":               {nil, list("a", "b"), nil, list("a"), list("a", "b"), false},
		"claim as text":                {nil, "a b", nil, list("a"), list("a", "b"), false},
		"claim of no use":              {nil, 7, nil, list("a"), list("a"), false},
		"neither":                      {nil, nil, nil, list("a"), list("a"), false},
		"not granted":                  {"a", nil, nil, list("a", "b"), nil, true},
		"not granted says the claim":   {nil, list("a"), nil, list("a", "b"), nil, true},
		"nothing granted":              {"", nil, nil, list("a"), nil, true},
		"rejected":                     {"a", nil, "b", list("a", "b"), nil, true},
		"other case is another scope":  {"A", nil, nil, list("a"), nil, true},
		"a part is not the whole":      {"ab", nil, nil, list("a"), nil, true},
		"rejected, but not asked for":  {"a", nil, "b", list("a"), list("a"), false},
		"rejected as array, not asked": {"a", nil, list("b"), nil, list("a"), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			answer := w.tokenAnswer(t, map[string]any{
				"scope": test.answer, "rejected_scope": test.rejected,
				"access_token": w.boundToken(mint.Claim("scope", test.claim)),
			})
			w.server.Inject(helseidtest.Fault{Body: answer, Times: -1})
			request := helseid.TokenRequest{Scopes: test.asked}
			for range 2 { // fetched, and from memory
				token, err := w.client.Token(t.Context(), request)
				if !test.wrong {
					require.NoError(t, err)
					require.Equal(t, test.granted, token.Scopes)
					continue
				}
				requireError(t, err, helseid.ErrScopeNotGranted)
				require.ErrorContains(t, err, test.asked[len(test.asked)-1])
				if test.rejected != nil {
					require.ErrorContains(t, err, "terms")
				}
			}
			request.AcceptMissingScopes = true
			_, err := w.client.Token(t.Context(), request)
			require.NoError(t, err)
			require.Equal(t, 1, w.tokenRequests(), "a token with fewer scopes is kept all the same")
		})
	}
}

func TestSilentLossOfScopeStopsTheCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	api := w.api(apiHost, good)
	w.server.Inject(helseidtest.Fault{Body: w.tokenAnswer(t, map[string]any{"scope": otherScope}), Times: -1})
	_, err := get(t, w.client.HTTPClient(helseid.TokenRequest{Scopes: []string{testScope}}), apiURL)
	require.ErrorIs(t, err, helseid.ErrScopeNotGranted)
	requireNoSecret(t, err)
	require.Empty(t, api.received())
}

type literal string // a piece of JSON

func (l literal) MarshalJSON() ([]byte, error) { return []byte(l), nil }

// A key in a KMS can fail, and its failure must be recognisable.
func TestSignerFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	broken := errors.New("the KMS is on fire")
	key, err := clientassertion.NewKey(&failingSigner{Signer: rsa2048(), err: broken}, clientassertion.KeyOptions{})
	require.NoError(t, err)
	w.config.Key = key
	_, err = newClient(t, w.config).Token(t.Context(), helseid.TokenRequest{})
	require.ErrorIs(t, err, broken)
	require.Zero(t, w.tokenRequests())
	require.Contains(t, fmt.Sprint(err), "client assertion")
}
