//go:build unix

package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMain lets the test binary be a victim, as the program is.
func TestMain(m *testing.M) {
	if os.Getenv(envStep) != "" {
		os.Exit(victim(os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// A process that is killed at any step loses no call of another one, is not locked out
// when it starts again, and leaves no key that nobody holds or is told of.
func TestKilledProcesses(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"-n", "1"}, &stdout, &stderr), stderr.String())
	require.Equal(t, 2, strings.Count(stdout.String(), " 0 lost"), stdout.String())
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	good := func() *finding { return &finding{steps: 20, kills: 20, calls: 1} }
	require.NoError(t, good().verdict())
	for want, change := range map[string]func(*finding){
		"1 calls were lost":       func(f *finding) { f.lost, f.first = 1, errors.New("x") },
		"1 processes were locked": func(f *finding) { f.lockouts = 1 },
		"2 orphans":               func(f *finding) { f.orphans, f.most = 2, 2 },
		"1 were not reported":     func(f *finding) { f.orphans, f.most, f.unreported = 1, 1, 1 },
		"nothing":                 func(f *finding) { f.steps = 1 },
	} {
		found := good()
		change(found)
		require.ErrorContains(t, found.verdict(), want)
	}
	require.Equal(t, 2, run(t.Context(), []string{"-n", "0"}, io.Discard, io.Discard))
	require.Equal(t, 2, run(t.Context(), []string{"x"}, io.Discard, io.Discard))
}
