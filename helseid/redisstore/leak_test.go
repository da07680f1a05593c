//go:build !race

// Package fmt walks through whatever is in an unexported field, also what goroutines
// are at work on: that is what is tested here, and what the race detector reports.

package redisstore

import (
	"encoding/base64"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/leaktest"
)

// Whatever an application prints, logs or marshals shows no key and no password.
func TestNothingPrintsASecret(t *testing.T) {
	t.Parallel()
	config := func(s *leaktest.Secrets) Config {
		s.Add(base64.StdEncoding.EncodeToString([]byte(s.Text())))
		return Config{
			URL:            identity.NewSecret("rediss://user:" + s.Add(password) + "@redis.example.no:6379/0"),
			EncryptionKeys: inBase64([]byte(leaktest.Text)),
		}
	}
	store := func(s *leaktest.Secrets) *Store {
		store, err := New(config(s))
		require.NoError(t, err)
		t.Cleanup(func() { _ = store.Close() })
		return store
	}
	leaktest.Check(t, ".",
		leaktest.Made[Config](func(s *leaktest.Secrets) any { return config(s) }),
		leaktest.Made[Replays](func(s *leaktest.Secrets) any { return store(s).Replays() }),
		leaktest.Made[Store](func(s *leaktest.Secrets) any { return store(s) }),

		leaktest.Extra("Store.TokenCache", func(s *leaktest.Secrets) any { return store(s).TokenCache() }),
		leaktest.Extra("Store.Rows", func(s *leaktest.Secrets) any { return store(s).Rows() }),
		leaktest.Extra("Config with a client of the caller's", func(s *leaktest.Secrets) any {
			client := newClient(t, redis.Options{ContextTimeoutEnabled: true, Password: s.Text()})
			return Config{Client: client, EncryptionKeys: inBase64([]byte(s.Text()))}
		}),
		leaktest.Extra("helseid.Config", func(s *leaktest.Secrets) any {
			store := store(s)
			return helseid.Config{TokenCache: store.TokenCache(), Store: store.Rows()}
		}),
	)
}
