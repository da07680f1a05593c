package helseid_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// outbox are the refresh tokens that lie in the store and are to be revoked.
func (s *recordingStore) outbox(t testing.TB) []string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var tokens []string
	for key, row := range s.rows {
		if !strings.HasPrefix(key, "outbox-") {
			continue
		}
		var content struct {
			Entries []struct {
				RefreshToken string `json:"refresh_token"`
			} `json:"entries"`
		}
		require.NoError(t, json.Unmarshal(row.Data, &content))
		for _, entry := range content.Entries {
			tokens = append(tokens, entry.RefreshToken)
		}
	}
	return tokens
}

// A revocation that HelseID does not take is tried again until it does, whichever way
// the session has ended, and then no more.
func TestRevocationIsTriedAgain(t *testing.T) {
	t.Parallel()
	outages := map[string]helseidtest.Fault{
		"unavailable": {Endpoint: helseidtest.EndpointRevocation, Status: http.StatusServiceUnavailable, Times: -1},
		"no answer":   {Endpoint: helseidtest.EndpointRevocation, Delay: time.Hour, Times: -1},
	}
	ends := map[string]func(t *testing.T, w *world, session *helseid.Session){
		"logout": func(t *testing.T, w *world, session *helseid.Session) {
			_, err := session.Logout(t.Context(), helseid.LogoutRequest{})
			requireError(t, err, helseid.ErrUnavailable)
		},
		"by id": func(t *testing.T, w *world, session *helseid.Session) {
			require.NoError(t, w.client.Sessions().End(t.Context(), session.ID().Reveal()))
		},
		"back channel": func(t *testing.T, w *world, session *helseid.Session) {
			require.Equal(t, http.StatusOK, w.callLogout(t, "back, sid", w.client, session))
		},
		"front channel": func(t *testing.T, w *world, session *helseid.Session) {
			require.Equal(t, http.StatusOK, w.callLogout(t, "front", w.client, session))
		},
	}
	for outage, fault := range outages {
		for end, carryOut := range ends {
			t.Run(outage+", "+end, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T) {
					w, store := newHookedWorld(t)
					session := w.logIn(t)
					refreshToken := store.member(t, "refresh_token")
					w.server.Inject(fault)
					carryOut(t, w, session)
					pause(time.Minute)
					require.Equal(t, []string{refreshToken}, store.outbox(t))
					before := w.revocations()
					pause(time.Hour)
					tries := w.revocations() - before
					require.Greater(t, tries, 3)
					require.Less(t, tries, 80, "bounded")
					w.server.ClearFaults()
					pause(11 * time.Minute)
					require.Empty(t, store.outbox(t))
					require.Equal(t, refreshToken, w.revoked()[w.revocations()-1])
					before = w.revocations()
					pause(time.Hour)
					require.Equal(t, before, w.revocations())
				})
			})
		}
	}
}

// A process that is killed while HelseID does not answer leaves the revocation to the
// next that is in use.
func TestRevocationOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, store := newHookedWorld(t)
		session := w.logIn(t)
		refreshToken := store.member(t, "refresh_token")
		killed := newClient(t, w.config)
		own, err := killed.Sessions().Get(t.Context(), session.ID().Reveal())
		require.NoError(t, err)
		w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointRevocation, Delay: time.Hour})
		go func() { _, _ = own.Logout(t.Context(), helseid.LogoutRequest{}) }()
		pause(time.Second)
		require.Equal(t, []string{refreshToken}, store.outbox(t), "before HelseID has answered")
		killed.Close()
		w.server.ClearFaults()
		before := w.revocations()
		_, err = newClient(t, w.config).Sessions().Get(t.Context(), "any") // the next use of a client
		requireError(t, err, helseid.ErrLoginRequired)
		pause(10 * time.Minute)
		require.Empty(t, store.outbox(t))
		require.Greater(t, w.revocations(), before)
		require.Equal(t, refreshToken, w.revoked()[w.revocations()-1])
	})
}

// The same applies to a process whose clock was ahead when it reserved the revocation.
func TestOutboxOfAProcessThatIsAhead(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, store := newHookedWorld(t)
		session := w.logIn(t)
		w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointRevocation, Status: http.StatusServiceUnavailable, Times: -1})
		_, err := session.Logout(t.Context(), helseid.LogoutRequest{})
		requireError(t, err, helseid.ErrUnavailable)
		w.client.Close()
		require.Len(t, store.outbox(t), 1)
		for key := range store.rows {
			if strings.HasPrefix(key, "outbox-") {
				row, err := store.Load(t.Context(), key)
				require.NoError(t, err)
				due := regexp.MustCompile(`"next":[0-9]+`)
				row.Data = due.ReplaceAll(row.Data, fmt.Appendf(nil, `"next":%d`, time.Now().Add(6*time.Hour).UnixMilli()))
				saved, err := store.Save(t.Context(), key, row)
				require.NoError(t, err)
				require.True(t, saved)
			}
		}
		w.server.ClearFaults()
		before := w.revocations()
		_, err = newClient(t, w.config).Sessions().Get(t.Context(), "any")
		requireError(t, err, helseid.ErrLoginRequired)
		pause(15 * time.Minute)
		require.Empty(t, store.outbox(t))
		require.Equal(t, before+1, w.revocations())
	})
}

// What must have expired at HelseID is not tried any more, and the outbox is bounded.
func TestOutboxIsBounded(t *testing.T) {
	t.Parallel()
	t.Run("in time", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w, store := newHookedWorld(t)
			session := w.logIn(t)
			end := session.Expiry()
			w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointRevocation, Status: http.StatusServiceUnavailable, Times: -1})
			_, err := session.Logout(t.Context(), helseid.LogoutRequest{})
			requireError(t, err, helseid.ErrUnavailable)
			pause(time.Until(end) - time.Minute)
			require.NotEmpty(t, store.outbox(t))
			pause(2 * time.Minute) // an attempt that has begun in time is finished, with its retries
			before := w.revocations()
			pause(24 * time.Hour)
			require.Equal(t, before, w.revocations())
		})
	})
	t.Run("for what HelseID refuses", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w, store := newHookedWorld(t)
			session := w.logIn(t)
			w.server.Inject(helseidtest.Fault{
				Endpoint: helseidtest.EndpointRevocation, Status: http.StatusBadRequest, Body: `{"error":"unsupported_token_type"}`, Times: -1,
			})
			require.NoError(t, w.client.Sessions().End(t.Context(), session.ID().Reveal()))
			pause(10 * time.Minute)
			require.Empty(t, store.outbox(t))
		})
	})
}

// The logout that a process cannot carry out, since it cannot read the index, is
// carried out by one that can.
func TestUnreadableLogoutIsLeftToOthers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		shared := &helseid.MemoryStore{}
		w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = shared }})
		session := w.logIn(t)
		config, store := w.config, &unreadableRows{Store: shared}
		config.Store = store
		store.lack("s")
		lacking := newClient(t, config)
		require.Equal(t, http.StatusServiceUnavailable, w.callLogout(t, "back, sub", lacking, session))
		lacking.Close() // it cannot go on
		other := newClient(t, w.config)
		require.True(t, w.lives(t, session))
		_, err := other.Sessions().Get(context.Background(), "any")
		requireError(t, err, helseid.ErrLoginRequired)
		pause(10 * time.Minute)
		w.requireEnded(t, session)
	})
}

// The same applies to a process without Config.Store, and to a store that fails to store
// the revocation.
func TestRevocationIsTriedAgainWithoutAStore(t *testing.T) {
	t.Parallel()
	for _, own := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			store := &hookedStore{}
			w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) {
				if c.Store = store; own {
					c.Store = nil
				}
			}})
			session := w.logIn(t)
			w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointRevocation, Status: http.StatusServiceUnavailable, Times: -1})
			store.failWith(func(string) error { return errStoreTimeout })
			_, err := session.Logout(t.Context(), helseid.LogoutRequest{})
			requireError(t, err, helseid.ErrUnavailable)
			pause(time.Minute)
			w.server.ClearFaults()
			before := w.revocations()
			pause(11 * time.Minute)
			require.Equal(t, before+1, w.revocations())
		})
	}
}
