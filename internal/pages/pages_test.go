package pages_test

import (
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert/yaml"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/pages"
)

var update = flag.Bool("update", false, "copy the sources of code blocks into the pages")

const root = "../.."

// all reads the repository's pages.
func all(t *testing.T) []pages.Page {
	t.Helper()
	var found []pages.Page
	require.NoError(t, fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "node_modules", "testdata"}, entry.Name()):
			return fs.SkipDir
		case !strings.HasSuffix(name, ".md"):
			return nil
		}
		text, err := fs.ReadFile(os.DirFS(root), name)
		if err != nil {
			return err
		}
		found = append(found, pages.Parse(name, string(text)))
		return nil
	}))
	require.Greater(t, len(found), 10)
	return found
}

func page(t *testing.T, path string) pages.Page {
	t.Helper()
	found := all(t)
	i := slices.IndexFunc(found, func(p pages.Page) bool { return p.Path == path })
	require.GreaterOrEqual(t, i, 0, "there is no page %s", path)
	return found[i]
}

func none(t *testing.T, problems []pages.Problem) {
	t.Helper()
	for _, problem := range problems {
		t.Error(problem)
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	names, err := pages.CollectNames(os.DirFS(root))
	require.NoError(t, err)
	everything := all(t)
	for _, page := range everything {
		none(t, pages.Links(os.DirFS(root), page, everything, names))
	}
}

// The changelog tells of names that are gone, and the page about the packages' size
// compares two trees.
func TestNamesInPagesExist(t *testing.T) {
	t.Parallel()
	names, err := pages.CollectNames(os.DirFS(root))
	require.NoError(t, err)
	for _, page := range all(t) {
		if page.Path != "CHANGELOG.md" && page.Path != "docs/surface.md" {
			none(t, pages.NamesExist(os.DirFS(root), page, names))
		}
	}
}

func TestCodeInPagesIsCompiled(t *testing.T) {
	parse := func(text string) error {
		var content any
		return yaml.Unmarshal([]byte(text), &content)
	}
	for _, page := range all(t) {
		if *update {
			text, err := pages.Update(os.DirFS(root), page)
			require.NoError(t, err, page.Path)
			require.NoError(t, os.WriteFile(filepath.Join(root, filepath.FromSlash(page.Path)), []byte(text), 0o600))
			page = pages.Parse(page.Path, text)
		}
		none(t, pages.Code(os.DirFS(root), page, parse))
	}
}

func TestCommandsInPagesExist(t *testing.T) {
	t.Parallel()
	helseid := build(t)
	for _, page := range all(t) {
		none(t, pages.Commands(os.DirFS(root), page, helseid))
	}
}

// build builds the command helseid, and remembers what it has printed.
func build(t *testing.T) pages.Helseid {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "helseid")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	output, err := exec.Command("go", "build", "-o", binary, "../../helseid/cmd/helseid").CombinedOutput()
	require.NoError(t, err, string(output))
	var mu sync.Mutex
	printed := make(map[string]string)
	return func(arguments ...string) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		key := strings.Join(arguments, " ")
		if _, known := printed[key]; !known {
			output, err := exec.Command(binary, arguments...).CombinedOutput()
			if err != nil {
				return "", err
			}
			printed[key] = string(output)
		}
		return printed[key], nil
	}
}

// Measured figures are in one place, beside the commands that measure them.
func TestFiguresAreThoseOfTheBenchmarks(t *testing.T) {
	t.Parallel()
	measured := strings.Join(page(t, "docs/benchmarks.md").Lines, "\n")
	for _, page := range all(t) {
		none(t, pages.Figures(page, measured))
	}
}

// Who opens the repository decides in ten minutes.
func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"README.md", "README.nb.md"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		require.LessOrEqual(t, len(text), 10<<10, name)
	}
}

func TestNorwegianReadmeFollowsTheEnglishOne(t *testing.T) {
	t.Parallel()
	none(t, pages.Translation(page(t, "README.md"), page(t, "README.nb.md")))
}
