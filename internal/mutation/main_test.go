package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The list follows the code: what a mutation replaces stands in its file, once.
func TestMutationsFitTheirFiles(t *testing.T) {
	t.Parallel()
	var mutations []mutation
	require.NoError(t, json.Unmarshal(list, &mutations))
	names := make(map[string]bool)
	for _, m := range mutations {
		require.False(t, names[m.Name], "two are named %q", m.Name)
		names[m.Name] = true
		source, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(m.File)))
		require.NoError(t, err, m.Name)
		require.Equal(t, 1, strings.Count(string(source), m.Old), "%s: how often %s has %q", m.Name, m.File, m.Old)
		require.NotEqual(t, m.Old, m.New, m.Name)
		require.NotEmpty(t, m.Test, m.Name)
	}
}

// Every operator is found, those of constants and of cases among them, and nothing else.
func TestSwapsIn(t *testing.T) {
	t.Parallel()
	const source = `package p

const limit = 3 * 4

func f(a, b int) bool {
	switch {
	case a >= b && a != 0:
		a++
	}
	return a < -b || "+" == string(rune(b%2))
}
`
	found, err := swapsIn("p.go", []byte(source))
	require.NoError(t, err)
	var all []string
	for _, swap := range found {
		require.True(t, strings.HasPrefix(source[swap.offset:], swap.from.String()))
		all = append(all, strings.TrimPrefix(swap.String(), "p.go:"))
	}
	require.Equal(t, []string{
		"3:17 * -> /",
		"7:9 >= -> <", "7:9 >= -> >", "7:14 && -> ||", "7:19 != -> ==",
		"8:4 ++ -> --",
		"10:11 < -> >=", "10:11 < -> <=", "10:13 - -> +", "10:16 || -> &&", "10:23 == -> !=", "10:39 % -> *",
	}, all)
	_, err = swapsIn("p.go", []byte("package"))
	require.Error(t, err)
}
