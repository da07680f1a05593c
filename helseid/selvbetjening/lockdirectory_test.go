//go:build unix && !solaris && !aix

package selvbetjening_test

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/selvbetjening"
)

// Of several that save over the same keys at once, one does, and its keys are there.
func TestFileStoreAtOnce(t *testing.T) {
	t.Parallel()
	store := selvbetjening.FileStore{Path: filepath.Join(t.TempDir(), "keys.json")}
	candidates := make([]selvbetjening.StoredKeys, 8)
	for i := range candidates {
		candidates[i].Current = newKey(t)
	}
	var version string
	for round := range 20 {
		var running sync.WaitGroup
		errs, versions := make([]error, len(candidates)), make([]string, len(candidates))
		for i, keys := range candidates {
			keys.Version = version
			keys.CurrentSince = time.Unix(int64(1e9+round), 0) // the version is that of the content
			running.Go(func() { versions[i], errs[i] = store.Save(t.Context(), keys) })
		}
		running.Wait()
		stored, err := store.Load(t.Context())
		require.NoError(t, err)
		version = stored.Version
		saved := 0
		for i, err := range errs {
			if err != nil {
				require.ErrorIs(t, err, selvbetjening.ErrKeysChanged)
				continue
			}
			saved++
			require.Equal(t, version, versions[i])
		}
		require.Equal(t, 1, saved)
	}
}
