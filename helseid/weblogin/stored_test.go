package weblogin_test

import (
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// A file of testdata is what a version has left in browsers and in the store: sessions,
// logins under way, and the keys that seal their cookies. It is written once, before that
// version is released, and never again:
//
//	go test ./helseid/weblogin -run TestStoredByEarlierVersions -store v0.2.0
//
// Every later version with the same major number reads it (docs/compatibility.md). If
// this test fails, bring back the reader of the old form.
var storeAs = flag.String("store", "", "write what this `version` stores to testdata")

// storedFile is such a file. Its keys are good for nothing else.
type storedFile struct {
	ClientID string                      `json:"client_id"`
	Key      json.RawMessage             `json:"key"`
	DPoPKey  json.RawMessage             `json:"dpop_key"`
	Rows     map[string]helseidStoredRow `json:"rows"`

	Session  map[string]string `json:"session"`  // cookies of a user who has logged in
	Login    map[string]string `json:"login"`    // of one who is at HelseID
	Callback string            `json:"callback"` // where HelseID sends that one
}

type helseidStoredRow struct {
	Version uint64    `json:"version"`
	Data    string    `json:"data"`
	Expiry  time.Time `json:"expiry"`
}

// openStore is a store whose rows a test can see and set.
type openStore struct {
	mu   sync.Mutex
	rows map[string]helseid.StoredRow
}

func (s *openStore) Load(_ context.Context, key string) (helseid.StoredRow, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows[key], nil
}

func (s *openStore) Save(_ context.Context, key string, row helseid.StoredRow) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows[key].Version != row.Version {
		return false, nil
	}
	row.Version++
	s.rows[key] = row
	return true, nil
}

func (s *openStore) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rows, key)
	return nil
}

// world is an application of the file's client, with its store.
func (f *storedFile) world(t *testing.T) (*world, *openStore) {
	t.Helper()
	require.Equal(t, time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), time.Now().UTC(), "files are of this time")
	key, err := clientassertion.ParseKey(f.Key, clientassertion.KeyOptions{})
	require.NoError(t, err)
	proofs, err := dpop.ParseKey(f.DPoPKey, dpop.KeyOptions{})
	require.NoError(t, err)
	store := &openStore{rows: make(map[string]helseid.StoredRow)}
	for key, row := range f.Rows {
		store.rows[key] = helseid.StoredRow{Version: row.Version, Data: []byte(row.Data), Expiry: row.Expiry}
	}
	w := newWorld(t, nil)
	logger := w.client.Logger
	w.client = w.server.NewClient(helseidtest.Client{ID: f.ClientID, PublicJWKs: [][]byte{key.PublicJWK()}},
		helseidtest.RedirectURI(redirectURI), helseidtest.Scopes("nhn:test-api/read"))
	w.client.Key, w.client.DPoPKey, w.client.Store, w.client.Logger = key, proofs, store, logger
	w.start()
	return w, store
}

// cookies are all of the application's.
func (b *browser) cookies() map[string]string {
	found := make(map[string]string)
	for _, cookie := range b.jar.Cookies(&url.URL{Scheme: "https", Host: host, Path: "/"}) {
		found[cookie.Name] = cookie.Value
	}
	return found
}

func (w *world) browserWith(cookies map[string]string) *browser {
	b := w.newBrowser()
	for name, value := range cookies {
		b.setCookie(name, value)
	}
	return b
}

func writeStored(t *testing.T, name string) {
	t.Helper()
	key, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})
	require.NoError(t, err)
	proofs, err := dpop.GenerateKey(dpop.KeyOptions{})
	require.NoError(t, err)
	file := storedFile{ClientID: "11111111-2222-4333-8444-555555555555", Rows: make(map[string]helseidStoredRow)}
	file.Key, err = key.MarshalPrivateJWK()
	require.NoError(t, err)
	file.DPoPKey, err = proofs.MarshalPrivateJWK()
	require.NoError(t, err)
	w, store := file.world(t)
	loggedIn, underWay := w.newBrowser(), w.newBrowser()
	loggedIn.logIn("/login?return_to=/me")
	require.Equal(t, grevling, loggedIn.who())
	file.Callback = underWay.authenticate(underWay.begin("/login?return_to=/secret/7"))
	file.Session, file.Login = loggedIn.cookies(), underWay.cookies()
	for key, row := range store.rows {
		file.Rows[key] = helseidStoredRow{row.Version, string(row.Data), row.Expiry.UTC()}
	}
	data, err := json.MarshalIndent(file, "", "\t")
	require.NoError(t, err)
	_, err = os.Stat(name)
	require.ErrorIs(t, err, os.ErrNotExist, "a file is written once")
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, append(data, '\n'), 0o644))
}

func TestStoredByEarlierVersions(t *testing.T) {
	if *storeAs != "" {
		synctest.Test(t, func(t *testing.T) { writeStored(t, filepath.Join("testdata", "web-"+*storeAs+".json")) })
	}
	files, err := filepath.Glob(filepath.Join("testdata", "web-v*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		var file storedFile
		require.NoError(t, json.Unmarshal(data, &file))
		t.Run(filepath.Base(name)+", a session", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, _ := file.world(t)
				require.Equal(t, grevling, w.browserWith(file.Session).who())
				require.Equal(t, "nobody", w.browserWith(file.Login).who())
			})
		})
		t.Run(filepath.Base(name)+", a login", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, _ := file.world(t)
				answer := w.browserWith(file.Login).get(file.Callback)
				require.NotEqual(t, http.StatusSeeOther, answer.StatusCode, "this HelseID does not know the code")
				requests := w.server.Requests(helseidtest.EndpointToken)
				require.Len(t, requests, 1, "the cookie was opened, and the answer is its login's")
				require.Contains(t, file.Callback, "code="+requests[0].Form.Get("code"))
				require.NotEmpty(t, requests[0].Form.Get("code_verifier"))
			})
		})
		t.Run(filepath.Base(name)+", a login of another browser", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, _ := file.world(t)
				w.newBrowser().get(file.Callback)
				require.Empty(t, w.server.Requests(helseidtest.EndpointToken))
			})
		})
		t.Run(filepath.Base(name)+", its rows", func(t *testing.T) {
			kinds := make(map[string]bool)
			for key, row := range file.Rows {
				kinds[key[:strings.LastIndex(key, "-")]] = true
				require.Contains(t, row.Data, `"version":1`, key)
			}
			for _, kind := range []string{"session", "sid", "sub", "login", "weblogin-keys"} {
				require.Contains(t, kinds, kind)
			}
		})
	}
}
