package jose

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSHA256(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "a", strings.Repeat("a", 63), strings.Repeat("b", 64), strings.Repeat("c", 5000)} {
		require.Equal(t, sha256.Sum256([]byte(text)), SHA256(text))
	}
}

// Each algorithm's digest is that of its hash.
func TestDigest(t *testing.T) {
	t.Parallel()
	for i := range algorithmSpecs {
		spec := &algorithmSpecs[i]
		hash := spec.hash.New()
		hash.Write([]byte("input"))
		require.Equal(t, hash.Sum(nil), spec.digest([]byte("input")), spec.name)
	}
}
