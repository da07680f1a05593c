package jwks

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func snapshotOf(t testing.TB, i *issuer) []byte {
	t.Helper()
	set := i.keySet(t)
	requireKnown(t, set, "a")
	snapshot, err := set.Snapshot(issuerURL)
	require.NoError(t, err)
	set.Close()
	return snapshot
}

// A snapshot stands in for HelseID while it is down, until it is a day old.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer("a")
		snapshot := snapshotOf(t, i)
		i.status[keysURL], i.status[metadataURL] = http.StatusInternalServerError, http.StatusInternalServerError
		wait(23 * time.Hour)
		set := i.keySet(t)
		require.NoError(t, set.Restore(snapshot, issuerURL))
		requireKnown(t, set, "a")
		requireError(t, set, "b", ErrUnavailable)
		wait(time.Hour)
		requireError(t, set, "a", ErrUnavailable)
		set.Close()

		// An older one has no effect, and is no error.
		late := i.keySet(t)
		require.NoError(t, late.Restore(snapshot, issuerURL))
		requireError(t, late, "a", ErrUnavailable)
		late.Close()
		i.change(func() { i.status = map[string]int{} })
		fresh := i.keySet(t)
		require.NoError(t, fresh.Restore(snapshot, issuerURL))
		requireKnown(t, fresh, "a")
		fresh.Close()
	})
}

// A snapshot does not lead to keys at an origin where the issuer has none.
func TestSnapshotFromElsewhere(t *testing.T) {
	t.Parallel()
	i := newIssuer("a")
	snapshot := strings.Replace(string(snapshotOf(t, i)), keysURL, "https://attacker.example/keys", 1)
	set := i.keySet(t)
	defer set.Close()
	require.ErrorContains(t, set.Restore([]byte(snapshot), issuerURL), "EndpointOrigins")
	requireKnown(t, set, "a")
}

// A fresh snapshot saves the first request; an older one is renewed on use.
func TestSnapshotFreshness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer("a")
		snapshot := snapshotOf(t, i)
		requests := i.total()
		set := i.keySet(t)
		require.NoError(t, set.Restore(snapshot, issuerURL))
		requireKnown(t, set, "a")
		synctest.Wait()
		require.Equal(t, requests, i.total())
		again, err := set.Snapshot(issuerURL)
		require.NoError(t, err)
		require.JSONEq(t, string(snapshot), string(again))
		wait(freshness)
		requireKnown(t, set, "a")
		synctest.Wait()
		require.Greater(t, i.total(), requests)
		set.Close()
	})
}

// A clock that was set back by up to five minutes does not keep an API from starting. The
// set is then as fresh as one fetched now.
func TestSnapshotAfterAClockStep(t *testing.T) {
	t.Parallel()
	for step, restored := range map[time.Duration]bool{
		0: true, time.Second: true, maxClockStep: true, maxClockStep + time.Second: false,
	} {
		t.Run(step.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				i := newIssuer("a")
				snapshot := make(map[string]any)
				require.NoError(t, json.Unmarshal(snapshotOf(t, i), &snapshot))
				snapshot["fetched_at"] = time.Now().Add(step).Unix()
				changed, err := json.Marshal(snapshot)
				require.NoError(t, err)
				set := i.keySet(t)
				err = set.Restore(changed, issuerURL)
				if !restored {
					require.ErrorContains(t, err, "future")
					require.Zero(t, set.LastGeneration())
					return
				}
				require.NoError(t, err)
				wait(maxStale - time.Second)
				require.NotZero(t, set.LastGeneration())
				wait(time.Second)
				require.Zero(t, set.LastGeneration())
			})
		})
	}
}

func TestNoSnapshot(t *testing.T) {
	t.Parallel()
	_, err := newIssuer("a").keySet(t).Snapshot(issuerURL)
	require.ErrorIs(t, err, ErrNoSnapshot)
}

// A snapshot that is not one of this issuer's is an error, and changes nothing.
func TestBadSnapshots(t *testing.T) {
	t.Parallel()
	i := newIssuer("a")
	good := snapshotOf(t, i)
	change := func(name string, value any) string {
		var members map[string]any
		require.NoError(t, json.Unmarshal(good, &members))
		members[name] = value
		if value == nil {
			delete(members, name)
		}
		data, err := json.Marshal(members)
		require.NoError(t, err)
		return string(data)
	}
	for name, snapshot := range map[string]string{
		"empty": "", "not JSON": "x", "null": "null", "an array": "[]", "an empty object": "{}",
		"cut":              string(good[:len(good)/2]),
		"with text after":  string(good) + "x",
		"duplicate member": strings.Replace(string(good), "{", `{"issuer":"https://issuer.test",`, 1),
		"another version":  change("version", 2), "no version": change("version", nil), "version as text": change("version", "1"),
		"another issuer": change("issuer", "https://other.test"), "no issuer": change("issuer", nil), "issuer of a wrong type": change("issuer", 1),
		"a trailing slash": change("issuer", issuerURL+"/"),
		"no time":          change("fetched_at", nil), "time as text": change("fetched_at", "1"),
		"from the future": change("fetched_at", time.Now().Unix()+3600), "from the far future": change("fetched_at", 1<<52),
		"no URI": change("jwks_uri", nil), "plain http": change("jwks_uri", "http://issuer.test/keys"), "not a URL": change("jwks_uri", "::"),
		"a file": change("jwks_uri", "file:///etc/passwd"), "relative": change("jwks_uri", "/keys"),
		"no keys": change("jwks", nil), "an empty set": change("jwks", map[string]any{"keys": []any{}}), "a text as set": change("jwks", "x"),
		"bad keys only": change("jwks", map[string]any{"keys": []any{map[string]any{"kty": "oct", "kid": "a", "k": "AAAA"}}}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := newIssuer().keySet(t)
			require.Error(t, set.Restore([]byte(snapshot), issuerURL))
			require.Zero(t, set.Generation())
			_, err := set.Snapshot(issuerURL)
			require.ErrorIs(t, err, ErrNoSnapshot)
		})
	}
}
