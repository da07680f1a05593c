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
