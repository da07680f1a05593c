package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/middleware"
)

// unknownKid names a key that nobody has.
func unknownKid() mint.TokenOption { return mint.Header("kid", jose.NewID()) }

// Sixty tokens with random kids cause at most two requests for keys. Tokens whose key
// HelseID was not asked about get a 503, not a 401, and the next genuine request is
// accepted.
func TestRandomKeyIDs(t *testing.T) {
	t.Parallel()
	for _, cold := range []bool{false, true} {
		t.Run(fmt.Sprintf("cold=%v", cold), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{cold: cold})
				before, metadata := w.fetches()
				for n := range 60 {
					asked, _ := w.fetches()
					response := w.serve(w.genuine(unknownKid()))
					if n < 2 {
						require.Equal(t, http.StatusUnauthorized, response.StatusCode)
						require.Equal(t, "token_unknown_key", w.lastRecord().Reason)
						continue
					}
					requireLater(t, response)
					after, _ := w.fetches()
					require.Equal(t, asked, after)
				}
				keys, metadataAfter := w.fetches()
				require.Equal(t, 2, keys-before)
				require.LessOrEqual(t, metadataAfter-metadata, 2)
				w.requireGenuine()
				after, _ := w.fetches()
				require.Equal(t, keys, after)
				w.auth.Close()
			})
		})
	}
}

// requireLater requires the response for a token that cannot be checked now: no
// challenge, which would make a client discard its token, and the time after which the
// issuer will have been asked.
func requireLater(t testing.TB, response *http.Response) {
	t.Helper()
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.Equal(t, "5", response.Header.Get("Retry-After"))
	require.Empty(t, response.Header.Values("WWW-Authenticate"))
}

// HelseID replaces its key in an emergency while attackers send tokens with invented
// kids, over real connections. Tokens of the old key are accepted all the time. A token
// of the new key never gets a 401, and is accepted when HelseID has been asked again.
func TestEmergencyRotationInAFlood(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	auth, err := middleware.New(middleware.Config{Issuer: server.Issuer(), Audience: mint.DefaultAudience})
	require.NoError(t, err)
	defer auth.Close()
	api := httptest.NewServer(auth.Require(func(http.ResponseWriter, *http.Request) {}))
	defer api.Close()
	client := api.Client()
	request := func(token string) *http.Request {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api.URL+"/journal/1", nil)
		require.NoError(t, err)
		server.Authorize(request, token)
		return request
	}
	send := func(request *http.Request) *http.Response {
		response, err := client.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response
	}
	old := server.Token()
	require.Equal(t, http.StatusOK, send(request(old)).StatusCode)
	start := time.Now()
	madeUp := func() *http.Request { return request(server.Token(unknownKid())) }
	for range 2 {
		response := send(madeUp())
		require.Equal(t, http.StatusUnauthorized, response.StatusCode)
		require.Contains(t, response.Header.Get("WWW-Authenticate"), `error="invalid_token"`)
	}
	requireLater(t, send(madeUp()))

	require.NoError(t, server.RotateKey())
	fresh := server.Token()
	requireLater(t, send(request(fresh)))

	ctx, stop := context.WithCancel(t.Context())
	var strangers sync.WaitGroup
	defer strangers.Wait()
	defer stop()
	for range 8 {
		flood := madeUp().WithContext(ctx)
		strangers.Go(func() {
			for ctx.Err() == nil {
				if response, err := client.Do(flood.Clone(ctx)); err == nil {
					_ = response.Body.Close()
				}
			}
		})
	}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for served := false; !served; <-ticker.C {
		require.Equal(t, http.StatusOK, send(request(old)).StatusCode)
		response := send(request(fresh))
		if served = response.StatusCode == http.StatusOK; !served {
			requireLater(t, response)
			require.Less(t, time.Since(start), 20*time.Second)
		}
	}
	fetches := len(server.Requests(helseidtest.EndpointJWKS))
	require.LessOrEqual(t, fetches, 3+int(time.Since(start)/(5*time.Second)))
}

// A rotation right after a failed fetch of the keys delays a token by a second, however
// many failures there were.
func TestRotationAfterFaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{})
		for range 5 {
			w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointJWKS, Status: http.StatusBadGateway})
			require.NoError(t, w.server.RotateKey())
			requireLater(t, w.serve(w.genuine()))
			start := time.Now()
			w.requireGenuine()
			require.LessOrEqual(t, time.Since(start), time.Second)
			wait(10 * time.Second)
		}
		w.auth.Close()
	})
}

// A token whose key HelseID has withdrawn is refused at once, so that its client gets a
// new one, even while a flood of unknown kids has used up the requests to HelseID.
func TestWithdrawnKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{})
		old := w.server.Token()
		require.NoError(t, w.server.RotateKey())
		w.server.RetireKeys()
		w.requireGenuine()
		for range 3 {
			w.serve(w.genuine(unknownKid()))
		}
		requireLater(t, w.serve(w.genuine(unknownKid())))
		w.requireRefused(w.genuineWith(old), "token_unknown_key")
		w.requireGenuine()
		w.auth.Close()
	})
}

// Errors in a token that do not concern its key are found without fetching keys, also
// if there are none yet.
func TestColdRefusalsAskForNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true})
	for _, table := range [][]attack{tokenClaimAttacks(), tokenFormatAttacks(), headerAttacks()} {
		for _, a := range table {
			if a.fetches == 0 && a.reason != "proof_malformed" {
				serveOn(t, w.handler, a.send(w))
			}
		}
	}
	keys, metadata := w.fetches()
	require.Zero(t, keys+metadata)
}

// During an outage of HelseID, a token with a known key is accepted for a day. A token
// with an unknown key gets 503, since it cannot be checked.
func TestKeysOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{server: []helseidtest.Option{helseidtest.TokenLifetime(time.Hour)}})
		w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointJWKS, Times: -1, Status: http.StatusInternalServerError})
		for range 47 {
			wait(30*time.Minute + time.Second)
			w.requireGenuine()
			synctest.Wait()
			response, _ := w.requireRefused(w.genuine(unknownKid()), "keys_unavailable")
			require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
		}
		// After a day the keys may have been withdrawn.
		wait(time.Hour)
		w.requireRefused(w.genuine(), "keys_unavailable")
		w.server.ClearFaults()
		wait(3 * time.Second)
		w.requireGenuine()
		w.auth.Close()
	})
}

// An API starts while HelseID is down, reports it, and recovers without a restart.
func TestStartWhileDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{cold: true})
		w.net.setDown(true)
		for range 3 {
			response, _ := w.requireRefused(w.genuine(), "keys_unavailable")
			require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
			require.Equal(t, "5", response.Header.Get("Retry-After"))
			wait(3 * time.Second)
		}
		require.Zero(t, w.reached())
		w.net.setDown(false)
		w.requireGenuine()
		w.auth.Close()
	})
}

// After a rotation the first token with the new key fetches it.
func TestRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	old := w.genuine()
	require.NoError(t, w.server.RotateKey())
	keys, _ := w.fetches()
	w.requireGenuine()
	w.requireGenuine()
	after, _ := w.fetches()
	require.Equal(t, 1, after-keys)
	w.requireOK(old)
}

// A snapshot lets an API start while HelseID is down.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	snapshot, err := w.auth.Validator().Snapshot()
	require.NoError(t, err)
	w.net.setDown(true)
	config := middleware.Config{Issuer: w.server.Issuer(), Audience: mint.DefaultAudience}
	config.Token.HTTPClient = &http.Client{Transport: w.net}
	config.Token.Snapshot = snapshot
	restarted, err := middleware.New(config)
	require.NoError(t, err)
	defer restarted.Close()
	require.Equal(t, http.StatusOK, serveOn(t, restarted.Require(w.reach), w.genuine()).StatusCode)
}
