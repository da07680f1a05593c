package helseid_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/internal/testkit"
)

// logLines are the lines of a level or above that were logged, by their members.
func logLines(t testing.TB, logged *testkit.Log) (lines []map[string]any) {
	t.Helper()
	for line := range bytes.Lines([]byte(logged.String())) {
		var members map[string]any
		require.NoError(t, json.Unmarshal(line, &members))
		lines = append(lines, members)
	}
	return lines
}

func newLoggedWorld(t testing.TB, level slog.Level, change func(*helseid.Config)) (*world, *testkit.Log) {
	t.Helper()
	var logged testkit.Log
	return newWorld(t, worldOptions{config: func(c *helseid.Config) {
		c.Logger = slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: level}))
		c.TokenRetries = -1
		if change != nil {
			change(c)
		}
	}}), &logged
}

// A token that is not renewed in the background is an operator's only hint that the
// next outage is near: nobody gets an error.
func TestFailedRenewalIsLogged(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, logged := newLoggedWorld(t, slog.LevelInfo, nil)
		request := helseid.TokenRequest{Scopes: []string{testScope}}
		w.token(t)
		start := time.Now()
		at(start, 560*time.Second)
		w.server.Inject(helseidtest.Fault{Times: -1, Status: http.StatusServiceUnavailable, Body: `{"error":"x","error_description":"06828399789"}`})
		for range 35 { // the old one lives for 595 seconds
			_, err := w.client.Token(t.Context(), request)
			require.NoError(t, err)
			synctest.Wait()
			pause(time.Second)
		}
		lines := logLines(t, logged)
		var renewals []map[string]any
		for _, line := range lines {
			if strings.Contains(line["msg"].(string), "not renewed") {
				renewals = append(renewals, line)
			}
		}
		require.Len(t, renewals, 1, "one a minute at most: %v", lines)
		require.Equal(t, "WARN", renewals[0]["level"])
		require.Equal(t, w.config.ClientID, renewals[0]["client_id"])
		require.Equal(t, w.config.Key.ID(), renewals[0]["kid"])
		require.NotEmpty(t, renewals[0]["cause"])
		require.NotContains(t, logged.String(), "06828399789")
		require.Empty(t, secrets.find(logged.String()))

		// Whoever waits for a token gets the error himself.
		w.client.TokenSource(request).Forget(t.Context())
		_, err := w.client.Token(t.Context(), request)
		require.ErrorIs(t, err, helseid.ErrUnavailable)
		require.Equal(t, 1, strings.Count(logged.String(), "not renewed"))
	})
}

// An end of the client is no failure of a renewal.
func TestRenewalThatCloseEndsIsNotLogged(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, logged := newLoggedWorld(t, slog.LevelInfo, nil)
		w.token(t)
		pause(575 * time.Second)
		w.server.Inject(helseidtest.Fault{Delay: time.Minute})
		w.token(t)
		synctest.Wait()
		w.client.Close()
		require.Empty(t, logged.String())
	})
}

// What HelseID refuses is logged, as loudly as it matters, and not once for each
// call.
func TestRefusalsAreLogged(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status      int
		body, level string
		cause       string
	}{
		"client":       {400, `{"error":"invalid_client"}`, "ERROR", "invalid_client"},
		"grant type":   {400, `{"error":"unauthorized_client"}`, "ERROR", "unauthorized_client"},
		"scope":        {400, `{"error":"invalid_scope"}`, "WARN", "invalid_scope"},
		"organisation": {400, `{"error":"invalid_grant","error_description":"HID-1001: 994598759 is not known"}`, "WARN", "invalid_grant HID-1001"},
		"spent":        {400, `{"error":"invalid_grant"}`, "INFO", "invalid_grant"},
		"throttled":    {429, `{"error":"temporarily_unavailable"}`, "WARN", "temporarily_unavailable"},
		"no code":      {400, `{"error":"06828399789"}`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w, logged := newLoggedWorld(t, slog.LevelInfo, nil)
				w.server.Inject(helseidtest.Fault{Times: -1, Status: test.status, Body: test.body})
				ask := func() {
					_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
					require.Error(t, err)
				}
				ask()
				if test.level == "" {
					require.NotContains(t, logged.String(), "06828399789")
					return
				}
				lines := logLines(t, logged)
				require.Len(t, lines, 1)
				line := lines[0]
				require.Equal(t, test.level, line["level"])
				require.Contains(t, line["cause"], test.cause)
				require.Equal(t, "token_endpoint", line["endpoint"])
				require.Equal(t, w.config.ClientID, line["client_id"])
				require.Equal(t, w.config.Key.ID(), line["kid"])
				require.NotContains(t, line, "omitted")
				for range 10 {
					ask()
				}
				require.Len(t, logLines(t, logged), 1)
				pause(5*time.Minute + time.Second)
				ask()
				lines = logLines(t, logged)
				require.Len(t, lines, 2)
				require.NotContains(t, logged.String(), "994598759")
			})
		})
	}
}

// An API that refuses a token, or its proof because of a clock, is one too.
func TestRefusalsOfAPIsAreLogged(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, logged := newLoggedWorld(t, slog.LevelInfo, nil)
		w.api(apiHost, func(*http.Request) *http.Response { return tokenRefused() })
		for range 100 {
			_, err := get(t, w.client.HTTPClient(apiRequest), apiURL+"/06828399789?x=06828399789")
			require.NoError(t, err)
			pause(time.Second)
		}
		lines := logLines(t, logged)
		require.Len(t, lines, 2)
		require.Equal(t, "WARN", lines[0]["level"])
		require.Equal(t, apiHost, lines[0]["host"])
		require.Equal(t, "invalid_token", lines[0]["cause"])
		require.NotContains(t, lines[0], "omitted")
		require.EqualValues(t, 60, lines[1]["omitted"], "one call was made twice, with a new token")
		require.NotContains(t, logged.String(), "06828399789")
		require.Empty(t, secrets.find(logged.String()))
	})
}

// A key that does not sign is in the log, and a thousand calls do not fill it.
func TestKeyFailuresAreLogged(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		var logged testkit.Log
		w, client, _ := kmsWorld(t, func(c *helseid.Config) {
			c.Logger = slog.New(slog.NewJSONHandler(&logged, nil))
		})
		client.reset(never)
		for range 20 {
			_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
			require.ErrorIs(t, err, helseid.ErrKey)
		}
		levels := map[any]int{}
		for _, line := range logLines(t, &logged) {
			levels[line["level"]]++
			require.Equal(t, w.config.Key.ID(), line["kid"])
			require.Contains(t, line["cause"], "it did not sign with")
			require.NotContains(t, line["cause"], errThrottled.Error(), "the words are the KMS's")
		}
		require.Equal(t, map[any]int{"WARN": 1, "ERROR": 1}, levels)
	})
}
