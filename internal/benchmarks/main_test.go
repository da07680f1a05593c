package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tiny is enough to see that everything runs.
var tiny = options{rounds: 1, batch: time.Millisecond, tenants: 50, tokens: 20}

// The table has each row, with the figures of each peer that can do it.
func TestTable(t *testing.T) {
	t.Parallel()
	opts := tiny
	opts.svg = filepath.Join(t.TempDir(), "plot.svg")
	var out bytes.Buffer
	_, err := benchmark(opts, &out)
	require.NoError(t, err)
	table := rowsOf(out.String())
	for name, peers := range map[string]string{
		rowProof:          "golang-jwt go-jose jwx",
		rowAssertion:      "golang-jwt go-jose jwx",
		rowAssertionRSA:   "",
		rowVerify:         "golang-jwt go-jose jwx auth0",
		rowToken2048:      "golang-jwt go-jose jwx go-oidc auth0",
		rowToken3072:      "golang-jwt go-jose jwx go-oidc auth0",
		rowRemembered:     "",
		rowRequestSeen:    "auth0",
		rowRequestNew:     "auth0",
		rowTelemetry:      "",
		rowSharedOne:      "",
		rowShared:         "",
		rowCached:         "x/oauth2",
		rowCachedParallel: "x/oauth2",
		rowComposed:       "",
		rowTenants:        "",
		rowTenantMemory:   "",
		rowNewToken:       "",
		rowFirstToken:     "",
	} {
		cells := table(name)
		require.NotNil(t, cells, "row %s in\n%s", name, out.String())
		require.NotEqual(t, "–", cells[1], name)
		for i, column := range columns {
			require.Equal(t, strings.Contains(peers, column), cells[6+i] != "–", "%s by %s", name, column)
		}
	}
	for _, budgeted := range []string{rowProof, rowVerify, rowToken2048, rowToken3072, rowRequestSeen, rowTelemetry, rowShared, rowCached, rowCachedParallel, rowComposed, rowTenants, rowTenantMemory, rowNewToken, rowFirstToken} {
		require.NotEqual(t, "–", table(budgeted)[4], budgeted)
	}
	requirePlot(t, opts.svg)
}

// rowsOf finds rows by the beginning of their names; the longest wins.
func rowsOf(text string) func(name string) []string {
	return func(name string) (found []string) {
		for line := range strings.Lines(text) {
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
			if cells[0] = strings.TrimSpace(cells[0]); !strings.HasPrefix(cells[0], name) {
				continue
			}
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			if found == nil || len(cells[0]) < len(found[0]) {
				found = cells
			}
		}
		return found
	}
}

// The plot is well-formed, on white, and says what it is about in texts.
func requirePlot(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	decoder := xml.NewDecoder(bytes.NewReader(data))
	var texts, paths []string
	inText := false
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		switch token := token.(type) {
		case xml.StartElement:
			inText = token.Name.Local == "text"
			for _, attribute := range token.Attr {
				if token.Name.Local == "path" && attribute.Name.Local == "style" {
					paths = append(paths, strings.ToUpper(attribute.Value))
				}
			}
		case xml.CharData:
			if inText {
				texts = append(texts, string(token))
			}
		case xml.EndElement:
			inText = false
		}
	}
	all := strings.Join(texts, "\n")
	for _, text := range []string{"higher is better", "times per second", "this SDK", "golang-jwt", "go-jose", "jwx", "go-oidc", "auth0", "make a proof", "verify a proof", "validate a token", "whole request"} {
		require.Contains(t, all, text)
	}
	require.Contains(t, paths[0], "FILL:#FFFFFF")
	require.Contains(t, strings.Join(paths, "\n"), "#0072B2", "the SDK's bars")
}

// fixed is a task that has been measured.
func fixed(mallocs float64, nanos ...float64) *task { return &task{nanos: nanos, mallocs: mallocs} }

func TestBudgets(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		row    row
		breach string // "" if it keeps its budgets
	}{
		"no budget":               {row{ours: fixed(5, 100)}, ""},
		"ratio kept":              {row{ours: fixed(0, 100), bare: fixed(0, 100), maxRatio: 1}, ""},
		"ratio within the noise":  {row{ours: fixed(0, 129), bare: fixed(0, 100), maxRatio: 1}, ""},
		"ratio on a busy machine": {row{ours: fixed(0, 500, 100, 300), bare: fixed(0, 100, 200, 100), maxRatio: 1}, ""},
		"ratio broken":            {row{ours: fixed(0, 131), bare: fixed(0, 100), maxRatio: 1}, "1.31 × bare"},
		"an outlier":              {row{ours: fixed(0, 100, 900, 101), bare: fixed(0, 100, 100, 100), maxRatio: 1}, ""},
		"time kept":               {row{ours: fixed(0, 129), maxNanos: 100}, ""},
		"time broken":             {row{ours: fixed(0, 131), maxNanos: 100}, "131 ns"},
		"time on a busy machine":  {row{ours: fixed(0, 500, 99, 700), maxNanos: 100}, ""},
		"allocations kept":        {row{ours: fixed(70.2, 1), maxMallocs: 70}, ""},
		"allocations broken":      {row{ours: fixed(71, 1), maxMallocs: 70}, "71 allocations"},
		"none allowed":            {row{ours: fixed(1, 1), maxMallocs: -1}, "1 allocations"},
		"none made":               {row{ours: fixed(0.001, 1), maxMallocs: -1}, ""},
		"count kept":              {row{value: 2, maxValue: 2, unit: "trips"}, ""},
		"count broken":            {row{value: 3, maxValue: 2, unit: "trips"}, "3 trips"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			breaches := test.row.breaches()
			if test.breach == "" {
				require.Empty(t, breaches)
				return
			}
			require.Len(t, breaches, 1)
			require.Contains(t, breaches[0], test.breach)
		})
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	require.Equal(t, 0.0, median(nil))
	require.Equal(t, 2.0, median([]float64{9, 1, 2}))
	require.Equal(t, 2.5, median([]float64{3, 1, 2, 9}))
	require.InDelta(t, 2.0, ratio(fixed(0, 20, 400, 60), fixed(0, 10, 200, 20)), 0.001)
}

// A task that fails ends the run: no figure is of something that did not work.
func TestFailingTask(t *testing.T) {
	t.Parallel()
	failure := errors.New("refused")
	calls := 0
	late := plain(func() error {
		if calls++; calls > 100 {
			return failure
		}
		return nil
	})
	require.ErrorIs(t, measure([]*task{late}, 3, time.Millisecond), failure)
	unprepared := prepared(func() (int, error) { return 0, failure }, func(int) error { return nil })
	require.ErrorIs(t, measure([]*task{unprepared}, 3, time.Millisecond), failure)
	require.ErrorIs(t, measure([]*task{inParallel(func() error { return failure })}, 3, time.Millisecond), failure)
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-unknown"}, {"argument"}} {
		require.Equal(t, 2, run(args, io.Discard, io.Discard))
	}
	require.Equal(t, 0, run([]string{"-h"}, io.Discard, io.Discard))
	opts, err := parseFlags([]string{"-quick"}, io.Discard)
	require.NoError(t, err)
	require.Less(t, opts.rounds, 75)
}
