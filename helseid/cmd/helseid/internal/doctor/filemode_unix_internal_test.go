//go:build unix

package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFileMode(t *testing.T) {
	t.Parallel()
	root := os.Geteuid() == 0
	for mode, wrong := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o440: !root, 0o640: true, 0o604: true, 0o644: true, 0o444: true} {
		s := newState(options{}, nil, nil)
		s.options.client.File = filepath.Join(t.TempDir(), "client.json")
		require.NoError(t, os.WriteFile(s.options.client.File, []byte(`{"authority":"https://issuer.test"}`), mode))
		require.NoError(t, os.Chmod(s.options.client.File, mode))
		found := checkFile(t.Context(), s)
		require.Equal(t, wrong, len(found.findings) > 0, mode)
		require.Equal(t, mode == 0o440 && root, strings.Contains(found.note, "this process's group"), mode)
		require.NotNil(t, s.data, mode)
	}
}

// Kubernetes mounts a secret as root's, and readable by the group of fsGroup.
func TestMountedSecret(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		mode     os.FileMode
		uid, gid uint32
		want     bool
	}{
		"of the process's group": {0o440, 0, 1000, true},
		"of another group":       {0o440, 0, 1001, false},
		"of a user":              {0o440, 1000, 1000, false},
		"writable":               {0o640, 0, 1000, false},
		"writable by the group":  {0o460, 0, 1000, false},
		"for all":                {0o444, 0, 1000, false},
	} {
		require.Equal(t, test.want, isMountedSecret(test.mode, test.uid, test.gid, []int{20, 1000}), name)
	}
}
