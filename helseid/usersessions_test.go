package helseid_test

import (
	"context"
	"fmt"

	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/identity"
)

// The sessions of a user are listed, and ended one by one or all at once, in whichever
// process they are.
func TestSessionsOfAUser(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, _ := newHookedWorld(t)
		start := time.Now()
		first := w.logInWith(t, boundedRequest(0, time.Hour))
		pause(time.Minute)
		second := w.logIn(t)
		stranger := w.logIn(t, helseidtest.AsUser(helseidtest.ClinicianAtLevel3))
		gone := w.logIn(t)
		_, err := gone.Logout(t.Context(), helseid.LogoutRequest{})
		require.NoError(t, err)

		config := w.config
		config.DPoPKey, err = dpop.GenerateKey(dpop.KeyOptions{}) // one that cannot use the sessions
		require.NoError(t, err)
		for _, client := range []*helseid.Client{w.client, newClient(t, w.config), newClient(t, config)} {
			listed, err := client.Sessions().Of(t.Context(), first.User().Subject)
			require.NoError(t, err)
			require.Len(t, listed, 2)
			require.True(t, listed[0].Is(second) && listed[1].Is(first), "the newest first")
			require.False(t, listed[0].Is(first) || listed[0].Is(nil))
			require.WithinDuration(t, start, listed[1].Created, time.Second)
			require.WithinDuration(t, start, listed[1].AuthenticatedAt, time.Second)
			require.WithinDuration(t, start, listed[1].LastUsed, time.Second)
			require.Zero(t, listed[0].LastUsed)
			require.WithinDuration(t, start.Add(time.Hour), listed[1].Expiry, time.Second)
			require.Empty(t, secrets.find(fmt.Sprintf("%v %+v %#v", listed, listed, listed)))
		}
		listed, err := newClient(t, config).Sessions().Of(t.Context(), second.User().Subject)
		require.NoError(t, err)
		before := w.revocations()
		require.NoError(t, listed[0].End(t.Context()))
		w.requireEnded(t, second)
		require.True(t, w.lives(t, first))
		pause(time.Second)
		require.Equal(t, before+1, w.revocations())

		third := w.logIn(t)
		require.NoError(t, newClient(t, config).Sessions().EndOf(t.Context(), first.User().Subject))
		w.requireEnded(t, first)
		w.requireEnded(t, third)
		require.True(t, w.lives(t, stranger))
		require.Equal(t, before+3, w.revocations())
		listed, err = w.client.Sessions().Of(t.Context(), first.User().Subject)
		require.NoError(t, err)
		require.Empty(t, listed)
		pause(time.Minute) // a logout counts for logins of the same moment, too
		fourth := w.logIn(t)
		require.NoError(t, newClient(t, w.config).Sessions().EndOf(t.Context(), first.User().Subject), "with the key of the session")
		w.requireEnded(t, fourth)
		listed, err = w.client.Sessions().Of(t.Context(), "")
		require.NoError(t, err)
		require.Empty(t, listed)
	})
}

// A login that is under way ends with the user's sessions, and one of later does not.
func TestEndSessionsOfDuringALogin(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, _ := newHookedWorld(t)
		first := w.logIn(t)
		state, callback := w.callback(t, loginRequest())
		_, err := w.client.FinishLogin(t.Context(), state, callback, func(ctx context.Context, user identity.User) error {
			return newClient(t, w.config).Sessions().EndOf(ctx, user.Subject)
		})
		requireError(t, err, helseid.ErrLoginRequired)
		w.requireEnded(t, first)
		pause(2 * time.Second)
		require.True(t, w.lives(t, w.logIn(t)))
	})
}

// Sessions that the store does not let end are ended later.
func TestEndSessionsOfInAnOutage(t *testing.T) {
	t.Parallel()
	for after := range 4 {
		bubble(t, func(t *testing.T) {
			w, store := newHookedWorld(t)
			session := w.logIn(t)
			store.failWith(failAt("", errStoreTimeout, after, -1))
			requireError(t, w.client.Sessions().EndOf(t.Context(), session.User().Subject), helseid.ErrStore)
			_, err := w.client.Sessions().Of(t.Context(), session.User().Subject)
			requireError(t, err, helseid.ErrStore)
			store.failWith(nil)
			pause(time.Minute)
			w.requireEnded(t, session)
		})
	}
}

// No subject is a mistake, and not a user whose sessions have ended.
func TestEndSessionsOfNobody(t *testing.T) {
	t.Parallel()
	w, store := newHookedWorld(t)
	before := store.saves.Load()
	requireError(t, w.client.Sessions().EndOf(t.Context(), ""), helseid.ErrConfig)
	require.Equal(t, before, store.saves.Load())
}
