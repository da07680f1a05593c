//go:build !race

// Package fmt walks through whatever is in an unexported field, also what goroutines
// are at work on: that is what is tested here, and what the race detector reports.

// Package modules_test is the leak test of the modules below the root that are
// released. It stands in a module of its own, since it needs them and leaktest: they
// themselves import no package of the root's internal, not in tests either.
package modules_test

import (
	"encoding/base64"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/redisstore"
	"github.com/helseid-go/sdk/internal/leaktest"
)

// Whatever an application prints, logs or marshals shows no key and no password.
func TestRedisstorePrintsNoSecret(t *testing.T) {
	t.Parallel()
	config := func(s *leaktest.Secrets) redisstore.Config {
		s.Add(base64.StdEncoding.EncodeToString([]byte(s.Text())))
		return redisstore.Config{
			URL:            identity.NewSecret("rediss://user:" + s.Add("very-secret-password") + "@redis.example.no:6379/0"),
			EncryptionKeys: inBase64(leaktest.Text),
		}
	}
	store := func(s *leaktest.Secrets) *redisstore.Store {
		store, err := redisstore.New(config(s))
		require.NoError(t, err)
		t.Cleanup(func() { _ = store.Close() })
		return store
	}
	leaktest.Check(t, "../../../helseid/redisstore",
		leaktest.Made[redisstore.Config](func(s *leaktest.Secrets) any { return config(s) }),
		leaktest.Made[redisstore.Replays](func(s *leaktest.Secrets) any { return store(s).Replays() }),
		leaktest.Made[redisstore.Store](func(s *leaktest.Secrets) any { return store(s) }),

		leaktest.Extra("Store.TokenCache", func(s *leaktest.Secrets) any { return store(s).TokenCache() }),
		leaktest.Extra("Store.ClientKeys", func(s *leaktest.Secrets) any {
			config := config(s)
			config.KeepClientKeys, config.TrustPersistence = true, true
			store, err := redisstore.New(config)
			require.NoError(t, err)
			t.Cleanup(func() { _ = store.Close() })
			keys, err := store.ClientKeys("some-client")
			require.NoError(t, err)
			return keys
		}),
		leaktest.Extra("Store.Rows", func(s *leaktest.Secrets) any { return store(s).Rows() }),
		leaktest.Extra("Config with a client of the caller's", func(s *leaktest.Secrets) any {
			client := redis.NewClient(&redis.Options{ContextTimeoutEnabled: true, Password: s.Text()})
			t.Cleanup(func() { _ = client.Close() })
			return redisstore.Config{Client: client, EncryptionKeys: inBase64(s.Text())}
		}),
		leaktest.Extra("helseid.Config", func(s *leaktest.Secrets) any {
			store := store(s)
			return helseid.Config{TokenCache: store.TokenCache(), Store: store.Rows()}
		}),
	)
}

func inBase64(key string) []identity.Secret {
	return []identity.Secret{identity.NewSecret(base64.StdEncoding.EncodeToString([]byte(key)))}
}
