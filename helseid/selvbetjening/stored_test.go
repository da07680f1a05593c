package selvbetjening_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
)

// A file of testdata is what a version's [selvbetjening.FileStore] has saved, in the middle
// of a rotation. It is written once, before that version is released, and never again:
//
//	go test ./helseid/selvbetjening -run TestFilesOfEarlierVersions -store v0.2.0
//
// Every later version with the same major number reads it (docs/compatibility.md). If
// this test fails, bring back the reader of the old form.
var storeAs = flag.String("store", "", "write what this `version` stores to testdata")

var currentSince, pendingSince = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2026, 6, 7, 8, 9, 10, 0, time.UTC)

func TestFilesOfEarlierVersions(t *testing.T) {
	if *storeAs != "" {
		name := filepath.Join("testdata", "keys-"+*storeAs+".json")
		_, err := os.Stat(name)
		require.ErrorIs(t, err, os.ErrNotExist, "a file is written once")
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, helseidtest.NewServer(t, helseidtest.InMemory()).ConfigFile(), 0o600))
		store := selvbetjening.FileStore{Path: name}
		loaded, err := store.Load(t.Context())
		require.NoError(t, err)
		_, err = store.Save(t.Context(), selvbetjening.StoredKeys{
			Current: newKey(t), CurrentSince: currentSince, Pending: newKey(t), PendingSince: pendingSince,
			Replaced: []string{"replaced"}, Version: loaded.Version,
		})
		require.NoError(t, err)
	}
	files, err := filepath.Glob(filepath.Join("testdata", "keys-v*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		keys, err := selvbetjening.FileStore{Path: name}.Load(t.Context())
		require.NoError(t, err, name)
		require.True(t, keys.CurrentSince.Equal(currentSince), name)
		require.True(t, keys.PendingSince.Equal(pendingSince), name)
		require.Equal(t, []string{"replaced"}, keys.Replaced, name)
		config, err := helseid.LoadConfig(name)
		require.NoError(t, err, name)
		require.Equal(t, keys.Current.Thumbprint(), config.Key.Thumbprint(), name)
		require.NotNil(t, keys.Pending, name)
		require.NotEqual(t, keys.Current.Thumbprint(), keys.Pending.Thumbprint(), name)
	}
}

// A file that a later version has written in another form is refused: to overwrite it
// could lose a key that is registered already.
func TestFileOfALaterVersion(t *testing.T) {
	t.Parallel()
	store := selvbetjening.FileStore{Path: filepath.Join(t.TempDir(), "keys.json")}
	_, err := store.Save(t.Context(), selvbetjening.StoredKeys{Current: newKey(t), Pending: newKey(t)})
	require.NoError(t, err)
	content, err := os.ReadFile(store.Path)
	require.NoError(t, err)
	for replacement, readable := range map[string]bool{`"version":1,`: true, ``: true, `"version":2,`: false, `"version":"1",`: false} {
		changed := strings.Replace(string(content), `"version":1,`, replacement, 1)
		require.Equal(t, replacement == `"version":1,`, changed == string(content))
		require.NoError(t, os.WriteFile(store.Path, []byte(changed), 0o600))
		keys, err := store.Load(t.Context())
		if readable {
			require.NoError(t, err, replacement)
			require.NotNil(t, keys.Pending, replacement)
		} else {
			require.ErrorIs(t, err, selvbetjening.ErrKeyStore, replacement)
			require.Nil(t, keys.Current, replacement)
		}
	}
}
