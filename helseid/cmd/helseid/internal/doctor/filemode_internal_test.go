//go:build !windows

package doctor

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFileMode(t *testing.T) {
	t.Parallel()
	for mode, wrong := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true, 0o644: true} {
		s := newState(options{}, nil, nil)
		s.options.client.File = filepath.Join(t.TempDir(), "client.json")
		require.NoError(t, os.WriteFile(s.options.client.File, []byte(`{"authority":"https://issuer.test"}`), mode))
		require.NoError(t, os.Chmod(s.options.client.File, mode))
		found := checkFile(t.Context(), s)
		require.Equal(t, wrong, len(found.findings) > 0, mode)
		require.NotNil(t, s.data, mode)
	}
}
