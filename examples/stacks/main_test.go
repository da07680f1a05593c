package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

// The program says where it listens, serves the stack, logs what guards decide, and ends
// when it is told to.
func TestProgram(t *testing.T) {
	for name := range stacks {
		t.Run(name, func(t *testing.T) {
			helseid := helseidtest.NewServer(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			reader, writer := io.Pipe()
			var stderr bytes.Buffer
			ended := make(chan int, 1)
			go func() {
				ended <- run(ctx, []string{
					"-stack", name, "-listen", "127.0.0.1:0", "-issuer", helseid.Issuer(), "-audience", mint.DefaultAudience, "-scope", scope,
				}, writer, &stderr)
				_ = writer.Close()
			}()
			line, err := bufio.NewReader(reader).ReadString('\n')
			require.NoError(t, err)
			url, found := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
			require.True(t, found, line)

			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			for path, status := range map[string]int{"/caller": http.StatusOK, "/clinician/caller": http.StatusForbidden} {
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+path, nil)
				require.NoError(t, err)
				helseid.Authorize(request, helseid.Token())
				response, err := client.Do(request)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				require.Equal(t, status, response.StatusCode)
			}
			cancel()
			require.Zero(t, <-ended)
			require.Contains(t, stderr.String(), `client "helseidtest-client" organization "994598759": let in`)
			require.Contains(t, stderr.String(), "refused with 403 user")
		})
	}
}

func TestMistakesInTheFlags(t *testing.T) {
	for name, args := range map[string][]string{
		"an unknown stack":    {"-stack", "cobol"},
		"an argument":         {"chi"},
		"an unknown flag":     {"-nonsense"},
		"quotation marks":     {"-scope", `"x"`},
		"an issuer of no use": {"-issuer", "http://helseid.example.no"},
		"no audience":         {"-audience", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			require.Equal(t, 2, run(t.Context(), append([]string{"-listen", "127.0.0.1:0"}, args...), io.Discard, &stderr))
			require.NotEmpty(t, stderr.String())
		})
	}
	require.Zero(t, run(t.Context(), []string{"-h"}, io.Discard, io.Discard))
	require.Equal(t, 1, run(t.Context(), []string{"-listen", "127.0.0.1:no"}, io.Discard, io.Discard))
}
