package redisstore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
)

func BenchmarkRecord(b *testing.B) {
	server := startServer(b)
	for name, trust := range map[string]bool{"default": false, "TrustPersistence": true} {
		b.Run(name, func(b *testing.B) {
			store := newStore(b, server.url(), func(c *Config) { c.TrustPersistence = trust }).Replays()
			for b.Loop() {
				require.True(b, record(b, store, newUse()))
			}
		})
	}
}

func BenchmarkTokenCacheLoad(b *testing.B) {
	cache := newStore(b, startServer(b).url()).TokenCache()
	require.NoError(b, cache.Save(b.Context(), "a", make([]byte, 2048), time.Now().Add(time.Hour)))
	for b.Loop() {
		_, err := cache.Load(b.Context(), "a")
		require.NoError(b, err)
	}
}

func BenchmarkSave(b *testing.B) {
	table := newStore(b, startServer(b).url()).Rows()
	session := helseid.StoredRow{Data: make([]byte, 4096), Expiry: time.Now().Add(time.Hour)}
	for b.Loop() {
		saved, err := table.Save(b.Context(), "a", session)
		require.NoError(b, err)
		require.True(b, saved)
		session.Version++
	}
}
