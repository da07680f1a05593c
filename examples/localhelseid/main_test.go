package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
)

// Without arguments of note it makes a client that gets a token.
func TestMadeClient(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "client.json")
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	ended := make(chan int, 1)
	var stderr bytes.Buffer
	go func() {
		ended <- run(ctx, []string{"-listen", "127.0.0.1:0", "-json", "-write", path}, writer, &stderr)
		_ = writer.Close()
	}()
	decoder := json.NewDecoder(reader)
	for _, event := range []string{"listening", "client"} {
		var line struct{ Event, Issuer, Config string }
		require.NoError(t, decoder.Decode(&line))
		require.Equal(t, event, line.Event)
	}
	config, err := helseid.LoadConfig(path)
	require.NoError(t, err)
	client, err := helseid.New(config)
	require.NoError(t, err)
	defer client.Close()
	token, err := client.Token(t.Context(), helseid.TokenRequest{})
	require.NoError(t, err)
	require.Equal(t, []string{"nhn:demo-api/read"}, token.Scopes)
	cancel()
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	require.Zero(t, <-ended, stderr.String())
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		code int
		args []string
	}{
		"help":             {0, []string{"-h"}},
		"an unknown flag":  {2, []string{"-x"}},
		"an argument":      {2, []string{"x"}},
		"both files":       {2, []string{"-clients", "x", "-write", "y"}},
		"no such file":     {2, []string{"-clients", "/nowhere/x", "-listen", "127.0.0.1:0"}},
		"all addresses":    {2, []string{"-listen", "0.0.0.0:0"}},
		"a name":           {2, []string{"-listen", ":0"}},
		"no such folder":   {2, []string{"-write", "/nowhere/x", "-listen", "127.0.0.1:0"}},
		"not even a place": {2, []string{"-listen", "x"}},
		"no port":          {2, []string{"-listen", "127.0.0.1"}},
		"no such port":     {2, []string{"-listen", "127.0.0.1:99999"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			require.Equal(t, test.code, run(t.Context(), test.args, &stdout, &stderr), stderr.String())
			require.NotEmpty(t, stderr.String())
			require.Empty(t, stdout.String())
		})
	}
}
