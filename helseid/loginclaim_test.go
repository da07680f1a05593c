package helseid_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
)

// A login that HelseID has given nothing for leaves nothing in the store, and can be
// finished when it does.
func TestClaimIsTakenBack(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]helseidtest.Fault{
		"down":    {Endpoint: helseidtest.EndpointToken, Status: http.StatusServiceUnavailable},
		"refused": {Endpoint: helseidtest.EndpointToken, Status: http.StatusBadRequest, Body: `{"error":"invalid_grant"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &recordingStore{}
			w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store, c.TokenRetries = store, -1 }})
			state, answer := w.callback(t, loginRequest())
			w.server.Inject(fault)
			_, err := w.client.FinishLogin(t.Context(), state, answer)
			requireError(t, err, helseid.ErrLogin)
			require.NotErrorIs(t, err, helseid.ErrLoginFinished)
			store.mu.Lock()
			require.Empty(t, store.rows)
			store.mu.Unlock()
			_, err = w.client.FinishLogin(t.Context(), state, answer)
			require.NoError(t, err)
			_, err = w.client.FinishLogin(t.Context(), state, answer)
			requireError(t, err, helseid.ErrLoginFinished)
		})
	}
}

// If it is not known what became of the code, it is not sent again.
func TestClaimStaysAfterAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.TokenRetries = -1 }})
	state, answer := w.callback(t, loginRequest())
	w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointToken, AfterProcessing: true, Cut: true})
	_, err := w.client.FinishLogin(t.Context(), state, answer)
	requireError(t, err, helseid.ErrLogin)
	before := w.tokenRequests()
	_, err = w.client.FinishLogin(t.Context(), state, answer)
	requireError(t, err, helseid.ErrLoginFinished)
	require.Equal(t, before, w.tokenRequests())
}

// A lifetime of the refresh token that is none tells nothing: a session that ended
// at once would be followed by a login, for ever.
func TestRefreshLifetimeThatIsNone(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{"zero": 0, "negative": -1, "very negative": -1e15, "half a second": 0.5, "minus a half": -0.5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newLoginWorld(t, worldOptions{server: []helseidtest.Option{helseidtest.Relaxed(rule.Nonce)}})
				w.server.AlterTokenResponse(func(response map[string]any) { response["rt_expires_in"] = value })
				session := w.logIn(t)
				require.WithinDuration(t, time.Now().Add(12*time.Hour), session.Expiry(), time.Second)
				_, err := userToken(t, session, journalResource)
				require.NoError(t, err)
				pause(time.Hour)
				again, err := w.client.Sessions().Get(t.Context(), session.ID().Reveal())
				require.NoError(t, err)
				_, err = userToken(t, again, journalResource)
				require.NoError(t, err)
			})
		})
	}
}

// An access token that has ended when it comes is none.
func TestAccessLifetimeThatIsNone(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{"zero": 0, "negative": -1, "half a second": 0.5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newLoginWorld(t, worldOptions{})
			w.server.AlterTokenResponse(func(response map[string]any) { response["expires_in"] = value })
			state, answer := w.callback(t, loginRequest())
			_, err := w.client.FinishLogin(t.Context(), state, answer)
			requireError(t, err, helseid.ErrLogin)
			require.ErrorIs(t, err, helseid.ErrInvalidResponse)
		})
	}
}
