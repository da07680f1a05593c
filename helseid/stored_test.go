package helseid_test

import (
	"encoding/json"
	"flag"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// A file of testdata holds what a version has stored: sessions with their index, a login
// under way, tokens in a shared cache, and a revocation that is to be done. It is written
// once, before that version is released, and never again:
//
//	go test ./helseid -run TestStoredByEarlierVersions -store v0.2.0
//
// Every later version with the same major number reads it (docs/compatibility.md). If
// this test fails, bring back the reader of the old form.
var storeAs = flag.String("store", "", "write what this `version` stores to testdata")

// storedFile is such a file. Its keys are good for nothing else.
type storedFile struct {
	ClientID     string                   `json:"client_id"`
	Key          json.RawMessage          `json:"key"`
	DPoPKey      json.RawMessage          `json:"dpop_key"`
	Rows         map[string]storedFileRow `json:"rows"`
	Tokens       map[string]string        `json:"tokens"`
	Login        string                   `json:"login"`
	Session      string                   `json:"session"`
	Expectations storedExpectations       `json:"expectations"`
}

type storedFileRow struct {
	Version uint64    `json:"version"`
	Data    string    `json:"data"`
	Expiry  time.Time `json:"expiry"`
}

// storedExpectations is what must be found in the rest.
type storedExpectations struct {
	Name, Subject, Application string
	Scopes, Resources          []string
	Expiry                     time.Time
	RefreshToken               string // of the session
	Revoked                    string // refresh token that is to be revoked
	Verifier                   string // of the login
	AccessToken                string // in the shared cache
	SessionToken               string // likewise, the session's for its first API
}

const storedApplication = "journal"

func (f *storedFile) world(t *testing.T, store helseid.Store, cache helseid.TokenCache) *world {
	t.Helper()
	key, err := clientassertion.ParseKey(f.Key, clientassertion.KeyOptions{})
	require.NoError(t, err)
	proofs, err := dpop.ParseKey(f.DPoPKey, dpop.KeyOptions{})
	require.NoError(t, err)
	w := newLoginWorld(t, worldOptions{})
	config := w.server.NewClient(
		helseidtest.Client{ID: f.ClientID, PublicJWKs: [][]byte{key.PublicJWK()}},
		helseidtest.RedirectURI(redirectURI), helseidtest.Scopes(testScope, otherScope, journalScope),
	)
	config.Key, config.DPoPKey, config.HTTPClient = key, proofs, w.config.HTTPClient
	config.Store, config.TokenCache = store, cache
	w.config, w.client = config, newClient(t, config)
	return w
}

// storedStart is the time at which files are written and read: that of a bubble.
func storedStart(t *testing.T) {
	t.Helper()
	require.Equal(t, time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), time.Now().UTC())
}

func writeStored(t *testing.T, name string) {
	storedStart(t)
	key, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})
	require.NoError(t, err)
	proofs, err := dpop.GenerateKey(dpop.KeyOptions{})
	require.NoError(t, err)
	file := storedFile{ClientID: "11111111-2222-4333-8444-555555555555", Rows: make(map[string]storedFileRow), Tokens: make(map[string]string)}
	file.Key, err = key.MarshalPrivateJWK()
	require.NoError(t, err)
	file.DPoPKey, err = proofs.MarshalPrivateJWK()
	require.NoError(t, err)
	store, cache := &recordingStore{}, &sharedMap{}
	w := file.world(t, store, cache)

	token := w.token(t)
	request := loginRequest()
	request.Application, request.MaxSessionAge, request.IdleTimeout = storedApplication, 8*time.Hour, time.Hour
	session := w.logInWith(t, request)
	refreshToken := store.member(t, "refresh_token")
	own, err := userToken(t, session, testResource)
	require.NoError(t, err)
	login, err := w.client.StartLogin(t.Context(), request)
	require.NoError(t, err)
	encoded, err := login.State.Encode()
	require.NoError(t, err)
	file.Login = string(encoded)
	var state struct{ Verifier string }
	require.NoError(t, json.Unmarshal(encoded, &state))

	w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointRevocation, Status: http.StatusServiceUnavailable, Times: -1})
	_, err = w.logIn(t, helseidtest.AsUser(helseidtest.ClinicianAtLevel3)).Logout(t.Context(), helseid.LogoutRequest{})
	require.Error(t, err)
	pending := store.outbox(t)
	require.Len(t, pending, 1)

	store.mu.Lock()
	defer store.mu.Unlock()
	for key, row := range store.rows {
		file.Rows[key] = storedFileRow{row.Version + 1, string(row.Data), row.Expiry.UTC()} // what Save was given
	}
	for key, value := range cache.values {
		file.Tokens[key] = string(value)
	}
	file.Session = session.ID().Reveal()
	file.Expectations = storedExpectations{
		Name: session.User().Name, Subject: session.User().Subject, Application: session.Application(),
		Scopes: session.Scopes(), Resources: session.Resources(), Expiry: session.Expiry().UTC(),
		RefreshToken: refreshToken, Revoked: pending[0], Verifier: state.Verifier,
		AccessToken: token.Access.Reveal(), SessionToken: own.Access.Reveal(),
	}
	data, err := json.MarshalIndent(file, "", "\t")
	require.NoError(t, err)
	_, err = os.Stat(name)
	require.ErrorIs(t, err, os.ErrNotExist, "a file is written once")
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, append(data, '\n'), 0o644))
}

// read makes a world of the next day after an upgrade: the same client, its store and
// its cache, and a HelseID that knows nothing.
func (f *storedFile) read(t *testing.T) *world {
	t.Helper()
	storedStart(t)
	store := &restorableStore{rows: make(map[string]originRow)}
	for key, row := range f.Rows {
		store.rows[key] = originRow{StoredRow: helseid.StoredRow{Version: row.Version, Data: []byte(row.Data), Expiry: row.Expiry}}
	}
	cache := &sharedMap{values: make(map[string][]byte)}
	for key, value := range f.Tokens {
		cache.values[key] = []byte(value)
	}
	return f.world(t, store, cache)
}

func TestStoredByEarlierVersions(t *testing.T) {
	if *storeAs != "" {
		bubble(t, func(t *testing.T) { writeStored(t, filepath.Join("testdata", "stored-"+*storeAs+".json")) })
	}
	files, err := filepath.Glob(filepath.Join("testdata", "stored-v*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		var file storedFile
		require.NoError(t, json.Unmarshal(data, &file))
		want := file.Expectations
		kinds := make(map[string]bool)
		for key := range file.Rows {
			kind, _, _ := strings.Cut(key, "-")
			kinds[kind] = true
		}
		require.Subset(t, slices.Collect(maps.Keys(kinds)), []string{"session", "sid", "sub", "login", "outbox"}, name)
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Run("a session", func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					w := file.read(t)
					session, err := w.client.Sessions().Get(t.Context(), file.Session)
					require.NoError(t, err)
					require.Equal(t, want.Name, session.User().Name)
					require.Equal(t, want.Application, session.Application())
					require.Equal(t, want.Scopes, session.Scopes())
					require.Equal(t, want.Resources, session.Resources())
					require.Equal(t, want.Expiry, session.Expiry().UTC())

					// Its first token is in the shared cache; another needs the refresh token.
					token, err := userToken(t, session, testResource)
					require.NoError(t, err)
					require.Equal(t, want.SessionToken, token.Access.Reveal())
					require.Zero(t, w.tokenRequests())
					_, err = userToken(t, session, journalResource)
					require.ErrorIs(t, err, helseid.ErrLoginRequired, "this HelseID does not know it")
					require.Equal(t, want.RefreshToken, w.lastForm().Get("refresh_token"))
				})
			})
			t.Run("it ends when it is idle", func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					w := file.read(t)
					pause(time.Hour + time.Minute)
					_, err := w.client.Sessions().Get(t.Context(), file.Session)
					require.ErrorIs(t, err, helseid.ErrSessionExpired)
				})
			})
			t.Run("the index", func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					w := file.read(t)
					sessions, err := w.client.Sessions().Of(t.Context(), want.Subject)
					require.NoError(t, err)
					require.Len(t, sessions, 1)
					require.NoError(t, w.client.Sessions().EndOf(t.Context(), want.Subject))
					_, err = w.client.Sessions().Get(t.Context(), file.Session)
					require.ErrorIs(t, err, helseid.ErrLoginRequired)
				})
			})
			t.Run("a login under way", func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					w := file.read(t)
					state, err := helseid.DecodeLoginState([]byte(file.Login))
					require.NoError(t, err)
					_, err = w.client.FinishLogin(t.Context(), state, url.Values{
						"code": {"code"}, "state": {state.ID()}, "iss": {w.client.Issuer()},
					})
					require.ErrorIs(t, err, helseid.ErrLogin, "this HelseID does not know the code")
					require.Equal(t, want.Verifier, w.lastForm().Get("code_verifier"))
				})
			})
			t.Run("a system's token", func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					w := file.read(t)
					require.Equal(t, want.AccessToken, w.token(t).Access.Reveal())
					require.Zero(t, w.tokenRequests())
				})
			})
			t.Run("a revocation", func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					w := file.read(t)
					_, err := w.client.Sessions().Get(t.Context(), file.Session)
					require.NoError(t, err)
					pause(time.Hour / 2)
					require.Contains(t, w.revoked(), want.Revoked)
				})
			})
			t.Run("another form", func(t *testing.T) {
				// A session in a form that nobody reads has ended: that is no crash.
				bubble(t, func(t *testing.T) {
					changed := file
					changed.Rows = make(map[string]storedFileRow)
					for key, row := range file.Rows {
						row.Data = strings.Replace(row.Data, `"version":1`, `"version":99`, 1)
						changed.Rows[key] = row
					}
					_, err := changed.read(t).client.Sessions().Get(t.Context(), file.Session)
					require.ErrorIs(t, err, helseid.ErrLoginRequired)
				})
			})
		})
	}
}

// lastForm is that of the newest token request.
func (w *world) lastForm() url.Values {
	requests := w.server.Requests(helseidtest.EndpointToken)
	return requests[len(requests)-1].Form
}
