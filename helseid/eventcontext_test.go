package helseid_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// told is an event with what its context held.
type told struct {
	helseid.Event
	trace any
	alive bool
}

type traceKey struct{}

// listen makes a client whose events are kept with their contexts.
func listen(config *helseid.Config) func() []told {
	var mu sync.Mutex
	var events []told
	config.OnEvent = func(ctx context.Context, event helseid.Event) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, told{event, ctx.Value(traceKey{}), ctx.Err() == nil})
	}
	return func() []told {
		mu.Lock()
		defer mu.Unlock()
		taken := events
		events = nil
		return taken
	}
}

// An event comes with its caller's context, so that a trace can join, unless the
// work is that of several. It says at which endpoint it was and for which client.
func TestEventsOfACaller(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{server: demanding})
		take := listen(&w.config)
		w.client = newClient(t, w.config)
		w.api(apiHost+":443", inTurn(nonceDemand("one"), answer(http.StatusOK), nil, answer(http.StatusOK), tokenRefused()))
		ctx := context.WithValue(t.Context(), traceKey{}, "trace")
		call := func() []told {
			t.Helper()
			_, _ = send(t, w.client.HTTPClient(apiRequest), newRequest(t, http.MethodGet, "https://"+apiHost+":443/06828399789", nil).WithContext(ctx))
			synctest.Wait()
			return take()
		}
		check := func(events []told, kinds ...helseid.EventKind) {
			t.Helper()
			shared := map[helseid.EventKind]bool{helseid.EventTokenRequest: true, helseid.EventRoundTrip: true, helseid.EventKeyInUse: true}
			var got []helseid.EventKind
			for _, event := range events {
				got = append(got, event.Kind)
				require.Equal(t, w.config.ClientID, event.ClientID)
				require.True(t, event.alive)
				isShared := shared[event.Kind] || event.Kind == helseid.EventNonceChallenge && !event.API
				require.Equal(t, isShared, event.Shared, event.Kind)
				if isShared {
					require.Nil(t, event.trace, "a shared fetch holds nothing of its first caller")
				} else {
					require.Equal(t, "trace", event.trace, event.Kind)
				}
				switch event.Kind {
				case helseid.EventCacheHit, helseid.EventCacheMiss, helseid.EventCacheStale, helseid.EventKeyInUse:
					require.Empty(t, event.Endpoint)
				default:
					require.Equal(t, map[bool]string{true: apiHost, false: "token_endpoint"}[event.API], event.Endpoint, event.Kind)
				}
			}
			require.Equal(t, kinds, got)
		}
		check(call(), helseid.EventCacheMiss, helseid.EventKeyInUse, helseid.EventRoundTrip, helseid.EventNonceChallenge, helseid.EventRoundTrip, helseid.EventTokenRequest,
			helseid.EventProof, helseid.EventNonceChallenge, helseid.EventProof)
		check(call(), helseid.EventCacheHit, helseid.EventProof)
		pause(575 * time.Second)
		check(call(), helseid.EventCacheStale, helseid.EventProof, helseid.EventRoundTrip, helseid.EventNonceChallenge, helseid.EventRoundTrip, helseid.EventTokenRequest)
		pause(time.Minute)
		check(call(), helseid.EventCacheHit, helseid.EventProof, helseid.EventTokenDropped, helseid.EventCacheMiss, helseid.EventRoundTrip, helseid.EventTokenRequest, helseid.EventProof)
	})
}

// A login and a revocation are one caller's, and what is left of them is nobody's.
func TestEventsOfALogin(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	take := listen(&w.config)
	w.client = newClient(t, w.config)
	session := w.logIn(t)
	endpoints := map[string]bool{}
	for _, event := range take() {
		require.False(t, event.Shared, event.Kind)
		if event.Kind != helseid.EventKeyInUse {
			endpoints[event.Endpoint] = true
		}
	}
	require.Equal(t, map[string]bool{"pushed_authorization_request_endpoint": true, "token_endpoint": true}, endpoints)
	ctx := context.WithValue(t.Context(), traceKey{}, "trace")
	_, err := session.UserInfo(ctx)
	require.NoError(t, err)
	for _, event := range take() {
		require.Equal(t, event.Shared, event.trace == nil, event.Kind)
	}
	_, err = session.Logout(ctx, helseid.LogoutRequest{})
	require.NoError(t, err)
	for _, event := range take() {
		require.Equal(t, "revocation_endpoint", event.Endpoint)
		require.Equal(t, "trace", event.trace)
	}
}

// A retry says at what.
func TestEventsOfRetries(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, client, proofs := kmsWorld(t, nil)
		take := listen(&w.config)
		w.client = newClient(t, w.config)
		w.api(apiHost, good)
		first := func(call int) error {
			if call == 1 {
				return errThrottled
			}
			return nil
		}
		w.server.Inject(helseidtest.Fault{Status: http.StatusServiceUnavailable})
		client.reset(first)
		w.token(t)
		proofs.reset(first)
		_, err := get(t, w.client.HTTPClient(helseid.TokenRequest{Scopes: []string{testScope}}), apiURL)
		require.NoError(t, err)
		var retries []helseid.Event
		for _, event := range take() {
			if event.Kind == helseid.EventRetry {
				retries = append(retries, event.Event)
			}
		}
		id := w.config.ClientID
		require.Equal(t, []helseid.Event{
			{Kind: helseid.EventRetry, ClientID: id, Endpoint: "token_endpoint", Shared: true},
			{Kind: helseid.EventRetry, ClientID: id, Endpoint: "token_endpoint", Shared: true},
			{Kind: helseid.EventRetry, ClientID: id, Endpoint: apiHost, API: true},
		}, retries)
	})
}
