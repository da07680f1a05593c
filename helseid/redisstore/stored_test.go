package redisstore

import (
	"encoding/json"
	flags "flag" // the package has a flag
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
)

// A file of testdata is what a version has left in Redis: a token, a row, a client's keys, a
// used proof. It is written once, before that version is released, and never again:
//
//	go test -run TestStoredByEarlierVersions -store v0.2.0
//
// Every later version with the same major number reads it (docs/compatibility.md of the
// repository). If this test fails, bring back the reader of the old form.
var storeAs = flags.String("store", "", "write what this `version` stores to testdata")

// storedKeys are the keys in Redis, each a string or the fields of a hash.
type storedKeys map[string]struct {
	Text   []byte            `json:"text,omitempty"`
	Fields map[string][]byte `json:"fields,omitempty"`
}

const (
	storedToken = `{"version":1,"access":"a token"}`
	storedRow   = `{"version":1,"refresh_token":"a refresh token"}`
)

var storedSince = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// storedUse is the use of a proof that has been recorded, and lives for hours.
func storedUse() dpop.Use {
	use := dpop.Use{Expiry: time.Now().Add(time.Hour), NotBefore: time.Now().Add(time.Hour)}
	copy(use.Proof[:], "the hash of a proof of the tests")
	return use
}

func writeStored(t *testing.T, name string) {
	t.Helper()
	server := startServer(t)
	store := newStore(t, server.url())
	later := time.Now().Add(time.Hour)
	require.NoError(t, store.TokenCache().Save(t.Context(), "key of a token", []byte(storedToken), later))
	for version := range uint64(2) {
		saved, err := store.Rows().Save(t.Context(), "key of a row", helseid.StoredRow{Version: version, Data: []byte(storedRow), Expiry: later})
		require.NoError(t, err)
		require.True(t, saved)
	}
	_, err := keyStore(t, newStore(t, server.url(), keepsKeys)).Save(t.Context(), selvbetjening.StoredKeys{
		Current: newClientKey(t), CurrentSince: storedSince, Pending: newClientKey(t), PendingSince: storedSince.Add(time.Hour), Replaced: []string{"replaced"},
	})
	require.NoError(t, err)
	require.True(t, record(t, store.Replays(), storedUse()))
	client := server.admin()
	defer func() { _ = client.Close() }()
	keys := make(storedKeys)
	for _, key := range server.keys(t) {
		held := keys[key]
		if kind, err := client.Type(t.Context(), key).Result(); err == nil && kind == "hash" {
			fields, err := client.HGetAll(t.Context(), key).Result()
			require.NoError(t, err)
			held.Fields = make(map[string][]byte)
			for field, value := range fields {
				held.Fields[field] = []byte(value)
			}
		} else {
			held.Text, err = client.Get(t.Context(), key).Bytes()
			require.NoError(t, err)
		}
		keys[key] = held
	}
	data, err := json.MarshalIndent(keys, "", "\t")
	require.NoError(t, err)
	_, err = os.Stat(name)
	require.ErrorIs(t, err, os.ErrNotExist, "a file is written once")
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, append(data, '\n'), 0o644))
}

func TestStoredByEarlierVersions(t *testing.T) {
	if *storeAs != "" {
		writeStored(t, filepath.Join("testdata", "redis-"+*storeAs+".json"))
	}
	files, err := filepath.Glob(filepath.Join("testdata", "redis-v*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			require.NoError(t, err)
			var keys storedKeys
			require.NoError(t, json.Unmarshal(data, &keys))
			server := startServer(t)
			for key, held := range keys {
				for field, value := range held.Fields {
					server.do(t, "HSET", key, field, value)
				}
				if held.Fields == nil && !strings.HasSuffix(key, "origin") { // the origin is this server's own
					server.do(t, "SET", key, held.Text)
				}
				server.do(t, "PEXPIRE", key, time.Hour.Milliseconds())
			}
			store := newStore(t, server.url())
			clientKeys, err := keyStore(t, newStore(t, server.url(), keepsKeys)).Load(t.Context())
			require.NoError(t, err)
			require.NotNil(t, clientKeys.Pending)
			require.NotEqual(t, clientKeys.Current.ID(), clientKeys.Pending.ID())
			require.True(t, clientKeys.CurrentSince.Equal(storedSince))
			require.True(t, clientKeys.PendingSince.Equal(storedSince.Add(time.Hour)))
			require.Equal(t, []string{"replaced"}, clientKeys.Replaced)
			token, err := store.TokenCache().Load(t.Context(), "key of a token")
			require.NoError(t, err)
			require.Equal(t, storedToken, string(token))
			row, err := store.Rows().Load(t.Context(), "key of a row")
			require.NoError(t, err)
			require.Equal(t, storedRow, string(row.Data))
			require.EqualValues(t, 2, row.Version)
			require.True(t, row.Unconfirmed, "another Redis has written it")
			saved, err := store.Rows().Save(t.Context(), "key of a row", row)
			require.NoError(t, err)
			require.True(t, saved)
			require.False(t, record(t, store.Replays(), storedUse()), "the proof has been used")
		})
	}
}
