package middleware_test

import (
	"fmt"
	"net/http"
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

// Sixty tokens with random kid cause at most two requests for keys, and the
// next good request gets in.
func TestRandomKeyIDs(t *testing.T) {
	t.Parallel()
	for _, cold := range []bool{false, true} {
		t.Run(fmt.Sprintf("cold=%v", cold), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{cold: cold})
			before, metadata := w.fetches()
			for range 60 {
				w.requireRefused(w.genuine(unknownKid()), "token_unknown_key")
			}
			keys, metadataAfter := w.fetches()
			require.LessOrEqual(t, keys-before, 2)
			require.LessOrEqual(t, metadataAfter-metadata, 2)
			w.requireGenuine()
			after, _ := w.fetches()
			require.Equal(t, keys, after)
		})
	}
}

// What is wrong with a token apart from its key is found out without asking for
// keys, also when there are none yet.
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

// An outage of the keys never refuses a good token with a known key, for a day.
// A token with an unknown key gets 503, since nobody can tell.
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
		// After a day nobody knows whether the keys are still good.
		wait(time.Hour)
		w.requireRefused(w.genuine(), "keys_unavailable")
		w.server.ClearFaults()
		wait(3 * time.Second)
		w.requireGenuine()
		w.auth.Close()
	})
}

// An API starts while HelseID is down, says so, and recovers by itself.
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
