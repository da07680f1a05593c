package main_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
)

func TestTokenShowsClaims(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	file := configFile(t, server, helseidtest.Client{Scopes: []string{"nhn:demo-api/read"}})
	got := run(t, nil, nil, "token", "-json", "-config", file, "-scope", "nhn:demo-api/read")
	require.Equal(t, 0, got.exit, got.stderr)
	var event struct {
		Event   string
		Claims  map[string]any
		Expires int64
		Scopes  []string
	}
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &event))
	require.Equal(t, "token", event.Event)
	require.Equal(t, "nhn:demo-api", event.Claims["aud"])
	require.InDelta(t, time.Now().Add(10*time.Minute).Unix(), event.Expires, 30)
	require.Equal(t, []string{"nhn:demo-api/read"}, event.Scopes)

	got = run(t, nil, nil, "token", "-config", file)
	require.Equal(t, 0, got.exit, got.stderr)
	require.Contains(t, got.stdout, `"aud": "nhn:demo-api"`)

	got = run(t, []string{"HELSEID_CONFIG=" + file}, nil, "token", "-show-token")
	require.Equal(t, 0, got.exit, got.stderr)
	require.Contains(t, got.stdout, "\neyJ")
	inspected := run(t, nil, []byte(got.stdout), "inspect", "-audience", "nhn:demo-api")
	require.Equal(t, 0, inspected.exit, inspected.stdout)
	require.Contains(t, inspected.stdout, "an access token")
	got = run(t, []string{"HELSEID_CONFIG=" + file, "HELSEID_SHOW_TOKEN=true"}, nil, "token")
	require.Equal(t, 0, got.exit, got.stderr)
	require.NotContains(t, got.stdout, "eyJ", "the environment reveals nothing")

	got = run(t, nil, server.ConfigFile(helseidtest.Scopes("nhn:other/read")), "token", "-config", "-")
	require.Equal(t, 0, got.exit, got.stderr)
	require.Contains(t, got.stdout, "nhn:other/read")
}

// A refusal says what to do, in words and as JSON.
func TestTokenRefused(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	file := configFile(t, server, helseidtest.Client{Scopes: []string{"nhn:demo-api/read"}})
	got := run(t, nil, nil, "token", "-json", "-config", file, "-scope", "nhn:demo-api/write")
	require.Equal(t, 1, got.exit)
	var event struct{ Event, Problem, Remedy string }
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &event))
	require.Equal(t, "error", event.Event)
	require.Contains(t, event.Problem, "invalid_scope")
	require.Contains(t, event.Remedy, "check the spelling")
	require.Contains(t, got.stderr, "check the spelling")

	// A comma makes one scope of two.
	got = run(t, nil, nil, "token", "-json", "-config", file, "-scope", "nhn:demo-api/read,nhn:demo-api/write")
	require.Equal(t, 1, got.exit)
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &event))
	require.Contains(t, event.Problem, `"nhn:demo-api/read,nhn:demo-api/write" is one scope, since spaces separate them`)
	require.Contains(t, got.stderr, "is one scope")
	got = run(t, nil, nil, "call", "-config", file, "-scope", "nhn:demo-api/read, nhn:demo-api/write", "http://127.0.0.1:1")
	require.Equal(t, 1, got.exit)
	require.Contains(t, got.stderr, `"nhn:demo-api/read," is one scope`)
	got = run(t, nil, nil, "token", "-config", file, "-scope", "nhn:demo-api/read", "-scope", "nhn:demo-api/write")
	require.Equal(t, 2, got.exit)
	require.Contains(t, got.stderr, "-scope is given several times")
	granted := configFile(t, server, helseidtest.Client{Scopes: []string{"nhn:demo-api/a,b"}})
	require.Equal(t, 0, run(t, nil, nil, "token", "-config", granted, "-scope", "nhn:demo-api/a,b").exit, "RFC 6749 section 3.3 lets a scope contain a comma")

	for _, arguments := range [][]string{{"-parent", "1"}, {"-issuer", "http://helseid.example"}, {"-scope", `"`}} {
		got = run(t, nil, nil, append([]string{"token", "-config", file}, arguments...)...)
		require.Equal(t, 2, got.exit, got.stderr)
		require.Empty(t, got.stdout)
	}
}
