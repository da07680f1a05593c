package key

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A file that comes between the check and the writing keeps its key, and nothing of the
// other one is left.
func TestWriteSecretReplacesNothingUnasked(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "key.json")
	require.NoError(t, writeSecret(path, []byte("first"), false))
	require.ErrorIs(t, writeSecret(path, []byte("second"), false), fs.ErrExist)
	requireContent := func(want string) {
		t.Helper()
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, want, string(content))
		left, err := os.ReadDir(folder)
		require.NoError(t, err)
		require.Len(t, left, 1)
	}
	requireContent("first")
	require.NoError(t, writeSecret(path, []byte("second"), true))
	requireContent("second")
}
