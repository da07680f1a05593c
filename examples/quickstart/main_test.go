package main

import (
	"bytes"
	"encoding/json"
	"net"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	jwsLike        = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}[.]`)
	identityNumber = regexp.MustCompile(`(^|[^0-9A-Fa-f-])[0-9]{11}($|[^0-9A-Fa-f])`)
)

func TestRun(t *testing.T) {
	before := runtime.NumGoroutine() // and one more, in which the condition is looked at
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &narrator{out: &out}))
	text := out.String()
	require.NotRegexp(t, jwsLike, text)
	require.NotRegexp(t, identityNumber, text)
	require.Contains(t, text, "[redacted]")
	require.Equal(t, 3, strings.Count(text, "Attack "), "three attacks are shown")
	require.GreaterOrEqual(t, strings.Count(text, "→ 401"), 4, "the attacks and the clinician at level 3 are refused")

	for _, address := range regexp.MustCompile(`127\.0\.0\.1:[0-9]+`).FindAllString(text, -1) {
		_, err := net.DialTimeout("tcp", address, time.Second)
		require.Error(t, err, "%s still listens", address)
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, 5*time.Second, 10*time.Millisecond, "goroutines stay behind")
}

func TestRunAsJSON(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &narrator{out: &out, asJSON: true}))
	require.NotRegexp(t, jwsLike, out.String())
	require.NotRegexp(t, identityNumber, out.String())
	attacks := 0
	for line := range strings.Lines(out.String()) {
		var event struct {
			Event, Text, Reason string
			Status              int
		}
		require.NoError(t, json.Unmarshal([]byte(line), &event), "not JSON: %s", line)
		require.NotEmpty(t, event.Event)
		require.NotEmpty(t, event.Text)
		if event.Event == "attack" {
			attacks++
			require.Equal(t, 401, event.Status)
			require.NotEmpty(t, event.Reason)
		}
	}
	require.Equal(t, 3, attacks)
}
