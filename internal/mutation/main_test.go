package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The list follows the code: what a mutation replaces stands in its file, once.
func TestMutationsFitTheirFiles(t *testing.T) {
	t.Parallel()
	names := make(map[string]bool)
	for _, m := range mutations(t) {
		require.False(t, names[m.Name], "two are named %q", m.Name)
		names[m.Name] = true
		source, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(m.File)))
		require.NoError(t, err, m.Name)
		require.Equal(t, 1, strings.Count(string(source), m.Old), "%s: how often %s has %q", m.Name, m.File, m.Old)
		require.NotEqual(t, m.Old, m.New, m.Name)
		require.NotEmpty(t, m.Test, m.Name)
	}
}

func mutations(t *testing.T) []mutation {
	t.Helper()
	var mutations []mutation
	require.NoError(t, json.Unmarshal(list, &mutations))
	return mutations
}

// Each row of the compliance document that names tests has mutations, one at least in
// each file that it names, and nothing else has any.
func TestComplianceRowsAreBroken(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(complianceFile)))
	require.NoError(t, err)
	var mutationsOf map[string][]string
	require.NoError(t, json.Unmarshal(breaks, &mutationsOf))
	files := make(map[string]string)
	for _, m := range mutations(t) {
		files[m.Name] = m.File
	}
	rows := readRows(string(document))
	require.Greater(t, len(rows), 200)
	for _, r := range rows {
		named := mutationsOf[r.id]
		require.NotEmpty(t, named, "nothing breaks row %s, or two rows have that id", r.id)
		delete(mutationsOf, r.id)
		unbroken := slices.Clone(r.files)
		for _, name := range named {
			require.Contains(t, files, name, "row %s", r.id)
			require.Contains(t, r.files, files[name], "row %s names the file of %q", r.id, name)
			unbroken = slices.DeleteFunc(unbroken, func(file string) bool { return file == files[name] })
		}
		require.Empty(t, unbroken, "row %s: nothing breaks these files", r.id)
	}
	require.Empty(t, mutationsOf, "they break no row")
}

func TestReadRows(t *testing.T) {
	t.Parallel()
	rows := readRows("| id | requirement | code | test |\n|---|---|---|---|\n" +
		"| A-1 | x | `a/b.go: C.d`, `a/b.go: e`, `f.go: g` | `a: TestH`, `.: TestI` |\n" +
		"| A-2 | x | yours; `a/b.go: C` helps | |\n| topic | A-1 |\n")
	require.Equal(t, []row{{"A-1", []string{"a/b.go", "f.go"}, map[string][]string{"a": {"TestH"}, ".": {"TestI"}}}}, rows)
}

func TestFaultsOfARow(t *testing.T) {
	t.Parallel()
	r := row{"A-1", nil, map[string][]string{"a": {"TestB", "TestC"}}}
	require.Empty(t, r.faults([]string{"m", "n"}, map[string][]string{"m": {"a: TestB"}, "n": {"a: TestC"}}))
	require.Equal(t, []string{`no named test notices the mutation "n"`, "a: TestC notices none of its mutations"},
		r.faults([]string{"m", "n"}, map[string][]string{"m": {"a: TestB"}, "n": {"x: TestC"}}))
}

// Ten days in a row try all rows.
func TestTenthOfADay(t *testing.T) {
	t.Parallel()
	seen := make(map[int]bool)
	day := time.Date(2026, 2, 25, 23, 0, 0, 0, time.UTC)
	for range 10 {
		tenth := tenthOf(day)
		require.True(t, tenth >= 1 && tenth <= 10)
		seen[tenth] = true
		day = day.AddDate(0, 0, 1)
	}
	require.Len(t, seen, 10)
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		compliance bool
		day        string
		tenth      int
		want       int // 0: an error
	}{
		{true, "", 3, 3},
		{true, "1970-01-01", 0, 1},
		{true, "1970-01-10", 0, 10},
		{true, "1970-01-01", 3, 0},
		{true, "tomorrow", 0, 0},
		{true, "", 11, 0},
		{true, "", -1, 0},
		{false, "today", 0, 0},
		{false, "", 1, 0},
	} {
		tenth := test.tenth
		if err := check(test.compliance, test.day, &tenth); test.want == 0 {
			require.Error(t, err, "%+v", test)
		} else {
			require.NoError(t, err, "%+v", test)
			require.Equal(t, test.want, tenth)
		}
	}
}
