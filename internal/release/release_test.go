package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func write(t *testing.T, root, name, content string) {
	t.Helper()
	path := filepath.Join(root, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
}

func TestModulesAreInOrder(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, "a/go.mod", "module "+rootModule+"/a\n\nrequire (\n\t"+rootModule+" v0.0.0\n\t"+rootModule+"/b v0.0.0\n)\n")
	write(t, root, "b/go.mod", "module "+rootModule+"/b\n\nrequire "+rootModule+" v0.0.0\n")
	write(t, root, "go.mod", "module "+rootModule+"\n")
	write(t, root, "examples/e/go.mod", "module example\n")
	write(t, root, "internal/i/go.mod", "module internal\n")
	all, err := modules(root)
	require.NoError(t, err)
	var tags []string
	for _, m := range all {
		tags = append(tags, m.tag("v0.1.0"))
	}
	require.Equal(t, []string{"v0.1.0", "b/v0.1.0", "a/v0.1.0"}, tags)

	write(t, root, "b/go.mod", "module "+rootModule+"/b\n\nrequire "+rootModule+"/a v0.0.0\n")
	_, err = modules(root)
	require.ErrorContains(t, err, "circle")
	write(t, root, "b/go.mod", "module "+rootModule+"/elsewhere\n")
	_, err = modules(root)
	require.ErrorContains(t, err, "must be "+rootModule+"/b")
}

func TestPin(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, "go.mod", "module "+rootModule+"/a\n\nreplace "+rootModule+" => ..\n\nrequire (\n\t"+rootModule+" v0.0.0\n\texample.no/other v1.2.3\n)\n")
	path := filepath.Join(root, "go.mod")
	require.NoError(t, pin(path, "v0.1.0"))
	file, err := readModFile(path)
	require.NoError(t, err)
	require.Empty(t, file.Replace)
	versions := map[string]string{}
	for _, required := range file.Require {
		versions[required.Mod.Path] = required.Mod.Version
	}
	require.Equal(t, map[string]string{rootModule: "v0.1.0", "example.no/other": "v1.2.3"}, versions)

	write(t, root, "go.mod", "module "+rootModule+"/a\n\nreplace example.no/other => ../fork\n")
	require.ErrorContains(t, pin(path, "v0.1.0"), "replaces example.no/other")
}

func TestTagRefuses(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	git := func(arguments ...string) {
		_, err := output(t.Context(), root, "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@localhost"}, arguments...)...)
		require.NoError(t, err)
	}
	git("init", "--quiet")
	write(t, root, "CHANGELOG.md", "## Unreleased\n\n## 0.1.0\n")
	require.ErrorContains(t, tagForGood(t.Context(), root, "0.1.0"), "no version")
	require.ErrorContains(t, tagForGood(t.Context(), root, "v0.1"), "no version")
	require.ErrorContains(t, tagForGood(t.Context(), root, "v0.1.0"), "not committed")
	git("add", ".")
	git("commit", "--quiet", "-m", "a")
	require.ErrorContains(t, tagForGood(t.Context(), root, "v0.1.0"), "with its date")
	version, err := nextVersion(root)
	require.NoError(t, err)
	require.Equal(t, "v0.1.0", version)
}
