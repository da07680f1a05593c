package main_test

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/testkit"
)

// events are the objects of -json.
func events(t *testing.T, output string) (list []map[string]any) {
	t.Helper()
	for line := range strings.Lines(output) {
		var event map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &event), line)
		list = append(list, event)
	}
	return list
}

// readKey reads the private key in a file that only its owner can read.
func readKey(t *testing.T, path string) *clientassertion.Key {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	if runtime.GOOS != "windows" { // which has no such modes
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	key, err := clientassertion.ParseKey(data, clientassertion.KeyOptions{})
	require.NoError(t, err)
	return key
}

func TestKeyNew(t *testing.T) {
	t.Parallel()
	for kind, algorithm := range map[string]string{"P-256": "ES256", "EC-P384": "ES384", "p521": "ES512", "rsa-3072": "PS256"} {
		folder := t.TempDir()
		file := filepath.Join(folder, "client.jwk")
		got := run(t, nil, nil, "key", "new", "-kind", kind, "-out", file)
		require.Equal(t, 0, got.exit, got.stderr)
		requireNoSecretIn(t, got)
		key := readKey(t, file)
		require.Equal(t, algorithm, key.Algorithm())
		require.JSONEq(t, string(key.PublicJWK()), got.stdout)
		require.Contains(t, got.stderr, file)
		left, err := os.ReadDir(folder)
		require.NoError(t, err)
		require.Len(t, left, 1)
	}
	file := filepath.Join(t.TempDir(), "key.json")
	got := run(t, nil, nil, "key", "new", "-json", "-kind", "P-256", "-out", file)
	requireNoSecretIn(t, got)
	first := readKey(t, file)
	event := events(t, got.stdout)[0]
	require.Equal(t, []any{"key", first.ID(), file}, []any{event["event"], event["kid"], event["file"]})
	require.NotContains(t, event, "private_jwk")

	// A key that is there is not replaced by chance.
	got = run(t, []string{"HELSEID_REPLACE=true"}, nil, "key", "new", "-kind", "P-256", "-out", file)
	require.Equal(t, 2, got.exit)
	require.Contains(t, got.stderr, "-replace")
	require.Equal(t, first.ID(), readKey(t, file).ID())
	got = run(t, nil, nil, "key", "new", "-kind", "P-256", "-out", file, "-replace")
	require.Equal(t, 0, got.exit, got.stderr)
	require.NotEqual(t, first.ID(), readKey(t, file).ID())

	// Only who asks for it sees the private key.
	require.Equal(t, 2, run(t, []string{"HELSEID_SHOW_PRIVATE=true"}, nil, "key", "new", "-kind", "P-256", "-out", "-").exit)
	got = run(t, nil, nil, "key", "new", "-kind", "P-256", "-out", "-", "-show-private")
	require.Equal(t, 0, got.exit)
	piped, err := clientassertion.ParseKey([]byte(got.stdout), clientassertion.KeyOptions{})
	require.NoError(t, err)
	require.Contains(t, got.stderr, piped.ID())
	require.False(t, privateMember.MatchString(got.stderr))
	got = run(t, nil, nil, "key", "new", "-kind", "P-256", "-show-private", "-json")
	require.Contains(t, events(t, got.stdout)[0], "private_jwk")

	for says, arguments := range map[string][]string{
		"-kind is one of":     {"-kind", "RSA-1024"},
		"unexpected argument": {"-kind", "P-256", "x"},
		"-out is empty":       {"-out", ""},
	} {
		got := run(t, nil, nil, append([]string{"key", "new"}, arguments...)...)
		require.Equal(t, 2, got.exit, says)
		require.Contains(t, got.stderr, says)
	}
	got = run(t, nil, nil, "key", "new", "-kind", "P-256", "-out", filepath.Join(t.TempDir(), "missing", "key"))
	require.Equal(t, 1, got.exit)
}

// Of several that write the same file at once, one wins, and the file is whole.
func TestKeyNewAtOnce(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "key.json")
	var (
		running sync.WaitGroup
		results [6]result
	)
	for i := range results {
		running.Go(func() { results[i] = run(t, nil, nil, "key", "new", "-kind", "P-256", "-out", file) })
	}
	running.Wait()
	var winners []string
	for _, got := range results {
		if got.exit == 0 {
			winners = append(winners, got.stdout)
		}
	}
	require.Len(t, winners, 1)
	require.JSONEq(t, string(readKey(t, file).PublicJWK()), winners[0])
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, left, 1)
}

func TestKeyPublic(t *testing.T) {
	t.Parallel()
	key := testkit.Must(jose.NewKey(testkit.Signer("ES256"), jose.KeyOptions{ID: "the-kid"}))
	config := helseidtest.NewServer(t, helseidtest.InMemory()).ConfigFile(helseidtest.SigningKey(testkit.Signer("ES256"), clientassertion.KeyOptions{KeyID: "the-kid"}))
	public := testkit.Must(x509.MarshalPKIXPublicKey(key.Public().CryptoKey()))
	for name, test := range map[string]struct {
		text []byte
		kid  string
	}{
		"private JWK":   {testkit.Must(key.MarshalPrivateJWK()), "the-kid"},
		"public JWK":    {key.MarshalPublicJWK(), "the-kid"},
		"PEM":           {testkit.Must(key.MarshalPrivatePEM()), key.Public().Thumbprint()},
		"public PEM":    {pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), key.Public().Thumbprint()},
		"configuration": {config, "the-kid"},
	} {
		got := run(t, nil, test.text, "key", "public")
		require.Equal(t, 0, got.exit, "%s: %s", name, got.stderr)
		requireNoSecretIn(t, got)
		require.JSONEq(t, string(key.Public().MarshalJWK(test.kid)), got.stdout, name)
		file := tokenFile(t, string(test.text))
		require.Equal(t, got.stdout, run(t, nil, nil, "key", "public", file).stdout)
		event := events(t, run(t, nil, nil, "key", "public", "-json", file).stdout)[0]
		require.Equal(t, test.kid, event["kid"])
	}
	for _, text := range []string{"", "hello", `{"kty":"oct","k":"c2VjcmV0"}`, `{"clientId":"c"}`, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"} {
		got := run(t, nil, []byte(text), "key", "public")
		require.Equal(t, 2, got.exit, text)
		require.Empty(t, got.stdout)
		require.NotContains(t, got.stderr, "c2VjcmV0")
	}
	require.Equal(t, 2, run(t, nil, nil, "key", "public", string(testkit.Must(key.MarshalPrivateJWK()))).exit)
}

// keyWorld is a HelseID with Selvbetjening, and a client's file.
type keyWorld struct {
	*testing.T
	server *helseidtest.Server
	file   string
}

func newKeyWorld(t *testing.T, options helseidtest.Selvbetjening) *keyWorld {
	t.Helper()
	server := helseidtest.NewServer(t, options)
	path := filepath.Join(t.TempDir(), "client.json")
	require.NoError(t, os.WriteFile(path, server.ConfigFile(helseidtest.Scopes(selvbetjening.Scope)), 0o600))
	return &keyWorld{t, server, path}
}

func (w *keyWorld) arguments(command string, more ...string) []string {
	return append([]string{"key", command, "-config", w.file, "-selvbetjening", w.server.SelvbetjeningURL()}, more...)
}

// run runs a command, and holds what it prints against every secret in the file before and
// after.
func (w *keyWorld) run(command string, more ...string) result {
	w.Helper()
	secrets := w.secrets()
	got := run(w.T, nil, nil, w.arguments(command, more...)...)
	requireNoSecretIn(w.T, got)
	for _, secret := range append(secrets, w.secrets()...) {
		require.NotContains(w, got.stdout+got.stderr, secret)
	}
	return got
}

// secrets are the values of private members in the file.
func (w *keyWorld) secrets() (secrets []string) {
	w.Helper()
	var file struct {
		PrivateJWK  string `json:"privateJwk"`
		KeyRotation struct {
			Pending json.RawMessage `json:"pendingJwk"`
		} `json:"keyRotation"`
	}
	data, err := os.ReadFile(w.file)
	require.NoError(w, err)
	require.NoError(w, json.Unmarshal(data, &file))
	for _, text := range []string{file.PrivateJWK, string(file.KeyRotation.Pending)} {
		var jwk struct{ D string }
		if text != "" {
			require.NoError(w, json.Unmarshal([]byte(text), &jwk))
			require.NotEmpty(w, jwk.D)
			secrets = append(secrets, jwk.D)
		}
	}
	require.NotEmpty(w, secrets)
	return secrets
}

func (w *keyWorld) kid() string {
	w.Helper()
	config, err := helseid.LoadConfig(w.file)
	require.NoError(w, err)
	return config.Key.ID()
}

// listed are the keys that HelseID knows, and the one that is in use.
func (w *keyWorld) listed() (kids []string, inUse string) {
	w.Helper()
	got := w.run("list", "-json")
	require.Equal(w, 0, got.exit, got.stderr)
	for _, event := range events(w.T, got.stdout) {
		if event["event"] != "key" {
			continue
		}
		kids = append(kids, event["kid"].(string))
		if event["in_use"] == true {
			inUse = event["kid"].(string)
		}
	}
	return kids, inUse
}

func TestKeyList(t *testing.T) {
	t.Parallel()
	w := newKeyWorld(t, helseidtest.Selvbetjening{KeyLifetime: 100 * 24 * time.Hour})
	kids, inUse := w.listed()
	require.Equal(t, []string{w.kid()}, kids)
	require.Equal(t, w.kid(), inUse)
	got := w.run("list")
	require.Contains(t, got.stdout, "* "+w.kid())
	require.Contains(t, got.stdout, "in 99 days")
	summary := events(t, w.run("list", "-json").stdout)[1]
	require.Equal(t, map[string]any{"event": "summary", "ok": true, "keys": 1.0}, summary)

	// The API of another environment is not asked, and a client without the scope is told.
	got = run(t, nil, nil, "key", "list", "-config", w.file, "-selvbetjening", helseid.Test.SelvbetjeningURL())
	require.Equal(t, 2, got.exit)
	got = run(t, nil, nil, "key", "list", "-config", w.file)
	require.Equal(t, 2, got.exit)
	require.Contains(t, got.stderr, "-selvbetjening is required")
	require.NotContains(t, got.stderr, "BaseURL")
	require.NoError(t, os.WriteFile(w.file, w.server.ConfigFile(helseidtest.Scopes("nhn:other/scope")), 0o600))
	got = w.run("list")
	require.Equal(t, 1, got.exit)
	require.Contains(t, got.stderr, "invalid_scope")
}

func TestKeyRotate(t *testing.T) {
	t.Parallel()
	w := newKeyWorld(t, helseidtest.Selvbetjening{KeyLifetime: 100 * 24 * time.Hour})
	flags := []string{"-settle", "0s", "-kind", "P-256"}
	before := w.kid()
	got := w.run("rotate", append(flags, "-within", "720h")...)
	require.Equal(t, 0, got.exit, got.stderr)
	require.Contains(t, got.stdout, "nothing to do")
	require.Equal(t, "nothing_to_do", events(t, w.run("rotate", append(flags, "-within", "720h", "-json")...).stdout)[0]["event"])
	require.Equal(t, before, w.kid())

	got = w.run("rotate", append(flags, "-within", "2500h", "-json")...)
	require.Equal(t, 0, got.exit, got.stderr)
	after := w.kid()
	require.NotEqual(t, before, after)
	event := events(t, got.stdout)[0]
	require.Equal(t, []any{"rotated", before, after}, []any{event["event"], event["old_kid"], event["kid"]})
	require.NotEmpty(t, event["expires"])
	kids, inUse := w.listed()
	require.ElementsMatch(t, []string{before, after}, kids)
	require.Equal(t, after, inUse)

	got = w.run("rotate", flags...)
	require.Equal(t, 0, got.exit, got.stderr)
	require.Contains(t, got.stdout, w.kid())
	require.NotEqual(t, after, w.kid())

	// What an interrupted run has left is finished, however far the expiry is.
	store := selvbetjening.FileStore{Path: w.file}
	stored, err := store.Load(t.Context())
	require.NoError(t, err)
	pending := testkit.Must(clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256}))
	stored.Pending, stored.PendingSince = pending, time.Now()
	_, err = store.Save(t.Context(), stored)
	require.NoError(t, err)
	got = w.run("rotate", append(flags, "-within", "1h")...)
	require.Equal(t, 0, got.exit, got.stderr)
	require.Equal(t, pending.ID(), w.kid())
}

func TestKeyRotateFails(t *testing.T) {
	t.Parallel()
	w := newKeyWorld(t, helseidtest.Selvbetjening{})
	before := w.kid()
	w.server.Close()
	got := w.run("rotate", "-settle", "0s", "-kind", "P-256")
	require.Equal(t, 1, got.exit)
	require.Contains(t, got.stderr, "the key was not replaced: "+before+" stays in use")
	require.Equal(t, before, w.kid())
	config, err := os.ReadFile(w.file)
	require.NoError(t, err)
	for _, command := range []string{"rotate", "watch"} {
		got := run(t, nil, nil, "key", command, "-config", "-")
		require.Equal(t, 2, got.exit)
		require.Contains(t, got.stderr, "-config must be a file")
		require.NotContains(t, run(t, nil, nil, "key", command, "-h").stdout, "standard input")
	}
	for _, flags := range [][]string{{"-within", "-1h"}, {"-settle", "-1s"}, {"-kind", "DSA"}, {"-parent", "1"}, {"x"}} {
		got := run(t, nil, nil, w.arguments("rotate", flags...)...)
		require.Equal(t, 2, got.exit, flags)
	}
	// A section of .NET's is read, but not written.
	var file map[string]any
	require.NoError(t, json.Unmarshal(config, &file))
	section := testkit.Must(json.Marshal(map[string]any{"HelseID": map[string]any{"Authority": file["authority"], "ClientId": file["clientId"], "PrivateJwk": file["privateJwk"]}}))
	path := tokenFile(t, string(section))
	got = run(t, nil, nil, "key", "rotate", "-config", path, "-selvbetjening", w.server.SelvbetjeningURL())
	require.Equal(t, 2, got.exit, got.stderr)
	requireNoSecretIn(t, got)
}

// It replaces a key that is about to expire, and ends well when it is interrupted.
func TestKeyWatch(t *testing.T) {
	t.Parallel()
	w := newKeyWorld(t, helseidtest.Selvbetjening{KeyLifetime: 10 * 24 * time.Hour})
	before := w.kid()
	command := exec.CommandContext(t.Context(), program, w.arguments("watch", "-json", "-settle", "0s", "-kind", "P-256")...)
	var stderr testkit.Log // it is read while the program writes
	command.Stderr = &stderr
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	reader := bufio.NewReader(output)
	var seen strings.Builder
	for _, want := range []string{"watching", "rotated"} {
		line, err := reader.ReadString('\n')
		require.NoError(t, err, stderr.String())
		seen.WriteString(line)
		require.Equal(t, want, events(t, line)[0]["event"])
	}
	if runtime.GOOS == "windows" { // which sends no signals to other processes
		require.NoError(t, command.Process.Kill())
	} else {
		require.NoError(t, command.Process.Signal(os.Interrupt))
	}
	rest, err := io.ReadAll(reader)
	require.NoError(t, err)
	if err := command.Wait(); runtime.GOOS != "windows" {
		require.NoError(t, err, stderr.String())
	}
	requireNoSecretIn(t, result{stdout: seen.String() + string(rest), stderr: stderr.String()})
	require.NotEqual(t, before, w.kid())
	kids, _ := w.listed()
	require.True(t, slices.Contains(kids, before))
}

// Each command says by an example how it is used.
func TestKeyHelp(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"new", "public", "list", "rotate", "watch"} {
		got := run(t, nil, nil, "key", command, "-h")
		require.Equal(t, 0, got.exit)
		require.Contains(t, got.stdout, "\n  helseid key "+command)
	}
	require.Equal(t, 2, run(t, nil, nil, "key").exit)
	require.Contains(t, run(t, nil, nil, "key", "-h").stdout, "rotate")
}
