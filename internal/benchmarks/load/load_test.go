package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain lets the test binary be one of the servers, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-serve" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// Each server is measured, and none of their answers was a refusal.
func TestLoad(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, load(t.Context(), options{rounds: 2, requests: 50, concurrency: 4}, &out))
	for _, server := range []string{"bare handler", "this SDK", "auth0"} {
		cells := cellsOf(out.String(), server)
		require.Len(t, cells, 7, out.String())
		rate, err := strconv.ParseFloat(cells[1], 64)
		require.NoError(t, err)
		require.Positive(t, rate)
	}
	require.Contains(t, cellsOf(out.String(), "bare handler")[2], "100")
}

func cellsOf(text, server string) []string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "| "+server) {
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			return cells
		}
	}
	return nil
}

// A short soak: what is good is served, what is bad is refused. It runs beside
// no other test, whose memory it would count.
func TestSoak(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, soak(t.Context(), options{soak: 8 * time.Second, rate: 50}, &out))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 21, "twenty samples and a summary")
	summary := lines[20]
	require.Contains(t, summary, "lost 0")
	require.NotContains(t, summary, "refused 0,")
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	flat := []sample{{1, 9e6, 90}, {2, 5e6, 30}, {3, 5e6, 30}, {4, 5e6, 31}}
	served := func() *soaking {
		s := &soaking{}
		s.served.Add(1)
		return s
	}
	require.NoError(t, served().verdict(io.Discard, flat))
	require.ErrorContains(t, (&soaking{}).verdict(io.Discard, flat), "no call")
	lost := served()
	lost.lost.Add(1)
	require.ErrorContains(t, lost.verdict(io.Discard, flat), "lost")
	wrong := served()
	wrong.wrongly.Add(1)
	require.ErrorContains(t, wrong.verdict(io.Discard, flat), "not refused")
	require.ErrorContains(t, served().verdict(io.Discard, []sample{{1, 5e6, 30}, {2, 5e6, 30}, {3, 5e6, 30}, {4, 8e6, 30}}), "grown")
	require.ErrorContains(t, served().verdict(io.Discard, []sample{{1, 5e6, 30}, {2, 5e6, 30}, {3, 5e6, 30}, {4, 5e6, 79}}), "grown")
	long := []sample{{time.Minute, 5e6, 30}, {time.Hour, 5e6, 30}}
	require.ErrorContains(t, served().verdict(io.Discard, long), "struck nobody")
}

// A short flood: strangers are told to come back, and no session notices.
func TestFlood(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, flood(t.Context(), options{flood: 8 * time.Second}, &out), out.String())
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 21, "twenty samples and a summary")
	require.Contains(t, lines[20], " 0 lost")
}

func TestFloodVerdict(t *testing.T) {
	t.Parallel()
	flat := []sample{{1, 5e6, 90}, {2, 6e6, 300}, {3, 5e6, 30}}
	flooded := func() *flooding {
		f := &flooding{}
		for _, count := range []*atomic.Int64{&f.started, &f.busy, &f.unavailable, &f.finished, &f.refreshed} {
			count.Add(1)
		}
		return f
	}
	require.NoError(t, flooded().verdict(io.Discard, flat))
	require.ErrorContains(t, (&flooding{}).verdict(io.Discard, flat), "no flood")
	lost := flooded()
	lost.lose(errors.New("one"))
	require.ErrorContains(t, lost.verdict(io.Discard, flat), "1 refreshes were lost, the first: one")
	slow := flooded()
	slow.longest.Store(int64(3 * time.Second))
	require.ErrorContains(t, slow.verdict(io.Discard, flat), "3s")
	require.ErrorContains(t, flooded().verdict(io.Discard, []sample{{1, 5e6, 90}, {2, 9e6, 90}}), "grown")
	require.ErrorContains(t, flooded().verdict(io.Discard, []sample{{1, 5e6, 90}, {2, 5e6, 9000}, {3, 5e6, 90}}), "grown")
}

// A short run of each mode, to RSA-4096 and back to EC.
func TestRotate(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, rotate(t.Context(), options{rotations: 2, rate: 50, settle: 500 * time.Millisecond}, &out), out.String())
	require.Equal(t, 2, strings.Count(out.String(), " 0 lost"), out.String())
	require.Equal(t, 2, strings.Count(out.String(), ": 0 by keys that HelseID did not know"), out.String())
	require.Contains(t, out.String(), "old keys die at once: 2 rotations")
}

func TestRotateVerdict(t *testing.T) {
	t.Parallel()
	good := func() *rotating {
		r := &rotating{}
		r.calls.Add(1)
		r.without.Add(1)
		return r
	}
	require.NoError(t, good().verdict(false))
	require.ErrorContains(t, (&rotating{}).verdict(false), "no call")
	lost := good()
	lost.lost.Add(1)
	lost.first = errors.New("x")
	require.ErrorContains(t, lost.verdict(true), "1 calls were lost, the first: x")
	refused := good()
	refused.unknown++
	require.ErrorContains(t, refused.verdict(true), "refused 1")
	dead := good()
	dead.replaced++
	require.ErrorContains(t, dead.verdict(false), "refused 1")
	require.NoError(t, dead.verdict(true))
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-x"}, {"x"}, {"-c", "0"}, {"-c", "1000"}, {"-requests", "1000000"}, {"-rounds", "0"}, {"-rate", "0"}, {"-soak", "-1s"}, {"-flood", "-1s"}, {"-flood", "2h"}, {"-rotate", "-1"}} {
		require.Equal(t, 2, run(t.Context(), args, io.Discard, io.Discard), args)
	}
	require.Equal(t, 0, run(t.Context(), []string{"-h"}, io.Discard, io.Discard))
	require.Equal(t, 1, run(t.Context(), []string{"-serve", "nothing"}, io.Discard, io.Discard))
}
