//go:build unix

package repository_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A contributor's machine is the contributor's: .ci/run says what is missing and how to
// get it. Only where CI=true does it install anything.
func TestCIInstallsNothingUnasked(t *testing.T) {
	t.Parallel()
	_, err := os.ReadFile(".ci/run") // or a cached result would outlive a change of it
	require.NoError(t, err)
	run := func(ci string) (output string, installed bool, err error) {
		bin := t.TempDir()
		for _, tool := range []string{"bash", "dirname", "mktemp", "rm", "find", "sort", "id"} {
			found, err := exec.LookPath(tool)
			require.NoError(t, err)
			require.NoError(t, os.Symlink(found, filepath.Join(bin, tool)))
		}
		installs := "#!" + filepath.Join(bin, "bash") + "\necho \"$@\" >>" + filepath.Join(bin, "installed") + "\n"
		for _, tool := range []string{"apt-get", "sudo"} {
			require.NoError(t, os.WriteFile(filepath.Join(bin, tool), []byte(installs), 0o700))
		}
		command := exec.Command(filepath.Join(bin, "bash"), ".ci/run", "nested")
		command.Env = []string{"PATH=" + bin, "TMPDIR=" + bin, "CI=" + ci}
		text, err := command.CombinedOutput() // no go on this path: it fails in any case
		_, missing := os.Stat(filepath.Join(bin, "installed"))
		return string(text), missing == nil, err
	}
	for _, ci := range []string{"", "false", "1"} {
		output, installed, err := run(ci)
		require.Error(t, err)
		require.False(t, installed, "CI=%s: %s", ci, output)
		require.Contains(t, output, "redis-server is missing")
		require.Contains(t, output, "sudo apt-get install redis-server")
	}
	output, installed, _ := run("true")
	require.True(t, installed, output)
}
