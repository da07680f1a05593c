package pages_test

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/pages"
)

// Files, modules and commands that pages name although they are not there yet. What is
// there must be taken off these lists, so that it is checked.
var (
	pendingFiles = []string{
		"docs/threat-model.md", "SECURITY.md", "CONTRIBUTING.md",
	}
	pendingCommands = []string{}
)

func isPending(problem pages.Problem) bool {
	return slices.ContainsFunc(pendingFiles, func(file string) bool { return strings.Contains(problem.Text, path.Base(file)) }) ||
		slices.ContainsFunc(pendingCommands, func(command string) bool {
			return strings.HasSuffix(problem.Text, "there is no command "+command)
		})
}

func TestPendingIsNotThere(t *testing.T) {
	t.Parallel()
	for _, file := range pendingFiles {
		_, err := os.Stat(filepath.Join(root, filepath.FromSlash(file)))
		require.ErrorIs(t, err, os.ErrNotExist, "%s is there now: take it off the list", file)
	}
	for _, command := range pendingCommands {
		_, err := os.Stat(filepath.Join(root, "helseid", "cmd", "helseid", "internal", command))
		require.ErrorIs(t, err, os.ErrNotExist, "helseid %s is there now: take it off the list", command)
	}
}
