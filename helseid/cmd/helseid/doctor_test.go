package main_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
)

func TestDoctorUsage(t *testing.T) {
	t.Parallel()
	for _, arguments := range [][]string{nil, {"-config"}, {"-nothing"}, {"argument"}, {"-config", "client.json", "-timeout", "0s"}, {"-config", "client.json", "-url", "api.example.no"}, {"-config", "client.json", "-method", "a b"}, {"-config", "client.json", "-method", "TRACE"}} {
		got := run(t, nil, nil, append([]string{"doctor"}, arguments...)...)
		require.Equal(t, 2, got.exit, arguments)
		require.Empty(t, got.stdout)
		require.NotEmpty(t, got.stderr)
	}
	got := run(t, nil, nil, "doctor", "-h")
	require.Equal(t, 0, got.exit)
	require.Contains(t, got.stdout, "helseid doctor -scope")
}

// On loopback nothing is needed but the configuration file.
func TestDoctorOnLoopback(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	file := configFile(t, server, helseidtest.Client{Scopes: []string{"nhn:demo-api/read"}})
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("DPoP") == "" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(api.Close)
	got := run(t, nil, nil, "doctor", "-config", file, "-scope", "nhn:demo-api/read", "-url", api.URL)
	require.Equal(t, 0, got.exit, got.stdout)
	require.Contains(t, got.stdout, "nothing is wrong")
	got = run(t, nil, nil, "doctor", "-json", "-config", file, "-scope", "nhn:demo-api/raed", "-url", api.URL)
	require.Equal(t, 1, got.exit, got.stdout)
	require.Contains(t, got.stdout, `"step":"scope","ok":false,"problem":"the client has not been granted nhn:demo-api/raed`)
	require.Contains(t, got.stdout, `{"event":"summary","ok":false,"problems":1}`)
}
