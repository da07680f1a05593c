package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
)

var (
	jwsLike    = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}[.]`)
	vaultToken = regexp.MustCompile(`hvs[.]`)
)

type output struct {
	code           int
	stdout, stderr string
}

func vault(t *testing.T, args ...string) output {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, &stdout, &stderr)
	for _, text := range []string{stdout.String(), stderr.String()} {
		require.NotRegexp(t, jwsLike, text)
		require.NotRegexp(t, vaultToken, text)
	}
	return output{code, stdout.String(), stderr.String()}
}

func newFakeVault(t *testing.T, kind string) *fakeVault {
	t.Helper()
	fake, err := startFakeVault(t.TempDir(), kind)
	require.NoError(t, err)
	t.Cleanup(fake.Close)
	return fake
}

// through puts a handler in front of an imitation.
func through(t *testing.T, fake *fakeVault, handler func(w http.ResponseWriter, r *http.Request, next http.Handler)) *fakeVault {
	t.Helper()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler(w, r, fake.Config.Handler) }))
	t.Cleanup(front.Close)
	return &fakeVault{Server: front, tokenFile: fake.tokenFile}
}

func open(t *testing.T, fake *fakeVault, name string) (*transitSigner, error) {
	t.Helper()
	return openTransit(t.Context(), transitConfig{Address: fake.URL, Mount: "transit", Key: name, TokenFile: fake.tokenFile})
}

func keyIn(t *testing.T, fake *fakeVault, name, algorithm string) (*transitSigner, *clientassertion.Key) {
	t.Helper()
	signer, err := open(t, fake, name)
	require.NoError(t, err)
	key, err := clientassertion.NewKey(signer, clientassertion.KeyOptions{Algorithm: algorithm})
	require.NoError(t, err)
	return signer, key
}

func TestRun(t *testing.T) {
	before, err := filepath.Glob(filepath.Join(os.TempDir(), "vault-*"))
	require.NoError(t, err)
	out := vault(t, "-json")
	require.Zero(t, out.code, out.stderr)
	require.Empty(t, out.stderr)
	seen := make(map[string]map[string]any)
	for line := range strings.Lines(out.stdout) {
		var event map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &event), "not JSON: %s", line)
		require.NotEmpty(t, event["text"])
		seen[event["event"].(string)] = event
	}
	require.Contains(t, seen, "vault")
	public := seen["key"]["public_jwk"].(map[string]any)
	require.EqualValues(t, 200, seen["call"]["status"])
	require.Equal(t, public["kid"], seen["call"]["kid"])
	require.Equal(t, "PS256", seen["call"]["alg"])

	out = vault(t)
	require.Zero(t, out.code, out.stderr)
	require.Contains(t, out.stdout, "an assertion by PS256, and the API answers 200 OK")
	after, err := filepath.Glob(filepath.Join(os.TempDir(), "vault-*"))
	require.NoError(t, err)
	require.Equal(t, before, after, "Vault's token stays behind")

	fake := newFakeVault(t, "rsa-3072")
	out = vault(t, "-vault", fake.URL, "-key", demoKey, "-token-file", fake.tokenFile, "-alg", "RS256")
	require.Zero(t, out.code, out.stderr)
	require.Contains(t, out.stdout, "an assertion by RS256, and the API answers 200 OK")
	out = vault(t, "-vault", fake.URL, "-key", "other", "-token-file", fake.tokenFile)
	require.Equal(t, exitUsage, out.code)
	require.Contains(t, out.stderr, "there is no such key")
}

// Each algorithm that HelseID takes is signed as its RFC says, and gets a token.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	fake := newFakeVault(t, "rsa-3072")
	for _, kind := range []string{"ecdsa-p256", "ecdsa-p384", "ecdsa-p521"} {
		require.NoError(t, fake.addVersion(kind, kind))
	}
	for algorithm, name := range map[string]string{
		"PS256": demoKey, "PS384": demoKey, "PS512": demoKey, "RS256": demoKey, "RS384": demoKey, "RS512": demoKey,
		"ES256": "ecdsa-p256", "ES384": "ecdsa-p384", "ES512": "ecdsa-p521",
	} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			signer, key := keyIn(t, fake, name, algorithm)
			require.Equal(t, algorithm, key.Algorithm())
			verifySignature(t, signer.Public(), algorithm, sign(t, key))
			var out bytes.Buffer
			require.NoError(t, call(t.Context(), key, options{}, &narrator{out: &out}))
			require.Contains(t, out.String(), "200 OK")
			_, err := key.MarshalPrivateJWK()
			require.ErrorIs(t, err, clientassertion.ErrKey, "it has left Vault")
		})
	}
}

func sign(t testing.TB, key *clientassertion.Key) string {
	t.Helper()
	assertion, err := assert(t.Context(), key)
	require.NoError(t, err)
	return assertion
}

// assert makes a client assertion.
func assert(ctx context.Context, key *clientassertion.Key) (string, error) {
	signer, err := clientassertion.New(clientassertion.Config{ClientID: "client", Audience: "https://helseid.example.no", Key: key})
	if err != nil {
		return "", err
	}
	return signer.Sign(ctx)
}

// verifySignature checks a signature with the standard library alone: the salt of PSS is
// as long as the hash (RFC 7518, section 3.5), and an ECDSA signature is r and s, each
// as long as the curve's order (section 3.4).
func verifySignature(t *testing.T, public crypto.PublicKey, algorithm, assertion string) {
	t.Helper()
	dot := strings.LastIndexByte(assertion, '.')
	signature, err := base64.RawURLEncoding.DecodeString(assertion[dot+1:])
	require.NoError(t, err)
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[algorithm[2:]]
	hasher := hash.New()
	_, _ = hasher.Write([]byte(assertion[:dot]))
	digest := hasher.Sum(nil)
	switch public := public.(type) {
	case *rsa.PublicKey:
		if algorithm[:2] == "PS" {
			require.NoError(t, rsa.VerifyPSS(public, hash, digest, signature, &rsa.PSSOptions{SaltLength: hash.Size()}))
			return
		}
		require.NoError(t, rsa.VerifyPKCS1v15(public, hash, digest, signature))
	case *ecdsa.PublicKey:
		size := (public.Params().BitSize + 7) / 8
		require.Len(t, signature, 2*size)
		r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
		require.True(t, ecdsa.Verify(public, digest, r, s))
	default:
		t.Fatalf("a key of type %T", public)
	}
}

// A key that Vault rotates is used in its old version, which HelseID knows, until the
// program opens it again.
func TestRotatedInVault(t *testing.T) {
	t.Parallel()
	fake := newFakeVault(t, "ecdsa-p256")
	signer, key := keyIn(t, fake, demoKey, "")
	require.NoError(t, fake.addVersion(demoKey, "ecdsa-p256"))
	verifySignature(t, signer.Public(), "ES256", sign(t, key))
	_, newest := keyIn(t, fake, demoKey, "")
	require.NotEqual(t, key.ID(), newest.ID())
}

// Vault's token may be replaced while the program runs, as Vault's agent does.
func TestTokenIsReplaced(t *testing.T) {
	t.Parallel()
	fake := newFakeVault(t, "ecdsa-p256")
	_, key := keyIn(t, fake, demoKey, "")
	fake.mu.Lock()
	fake.token = "hvs.another"
	fake.mu.Unlock()
	_, err := assert(t.Context(), key)
	require.ErrorIs(t, err, clientassertion.ErrKey)
	require.NoError(t, os.WriteFile(fake.tokenFile, []byte("hvs.another"), 0o600))
	sign(t, key)
}

// However Vault refuses or breaks, the error tells what to look at, and neither its token
// nor what was answered.
func TestErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		handler func(w http.ResponseWriter, r *http.Request, next http.Handler)
		want    string
	}{
		"sealed": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			refuse(w, http.StatusServiceUnavailable, "Vault is sealed")
		}, "sealed"},
		"a proxy that tells all": {func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			refuse(w, http.StatusBadGateway, r.Header.Get("X-Vault-Token"))
		}, "status 502"},
		"denied":    {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { refuse(w, http.StatusForbidden) }, "policy"},
		"throttled": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { refuse(w, http.StatusTooManyRequests) }, "quota"},
		"no JSON": {func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			fmt.Fprint(w, r.Header.Get("X-Vault-Token"))
		}, "answer"},
		"broken off": {func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }, "EOF"},
		"another version": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			answer(w, map[string]any{"signature": "vault:v2:AAAA"})
		}, "another version"},
		"no Base64": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			answer(w, map[string]any{"signature": "vault:v1:?"})
		}, "Base64"},
		"a signature that is none": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			answer(w, map[string]any{"signature": "vault:v1:AAAA"})
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := newFakeVault(t, "ecdsa-p256")
			front := through(t, fake, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Method == http.MethodGet {
					next.ServeHTTP(w, r)
					return
				}
				test.handler(w, r, next)
			})
			_, key := keyIn(t, front, demoKey, "")
			_, err := assert(t.Context(), key)
			require.ErrorIs(t, err, clientassertion.ErrKey)
			require.ErrorContains(t, err, test.want)
			require.NotRegexp(t, vaultToken, err.Error())
		})
	}
}

// Vault's token goes to Vault alone.
func TestTokenStays(t *testing.T) {
	t.Parallel()
	var received atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { received.Store(true) }))
	defer elsewhere.Close()
	fake := through(t, newFakeVault(t, "ecdsa-p256"), func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	_, err := open(t, fake, demoKey)
	require.ErrorContains(t, err, "status 307")
	require.False(t, received.Load())

	broken := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(broken, []byte("hvs.two\nhvs.lines"), 0o600))
	for name, config := range map[string]transitConfig{
		"plaintext":        {Address: "http://vault.example.no:8200", TokenFile: fake.tokenFile},
		"no URL":           {Address: "vault.example.no", TokenFile: fake.tokenFile},
		"no token":         {Address: fake.URL, TokenFile: filepath.Join(t.TempDir(), "x")},
		"a token of lines": {Address: fake.URL, TokenFile: broken},
	} {
		config.Mount, config.Key = "transit", demoKey
		_, err := openTransit(t.Context(), config)
		require.Error(t, err, name)
		require.NotRegexp(t, vaultToken, err.Error(), name)
	}
}

// A Vault that hangs is told when nobody waits any more, and stops no call that has a
// token.
func TestVaultHangs(t *testing.T) {
	t.Parallel()
	var hang atomic.Bool
	left := make(chan struct{}, 10)
	front := through(t, newFakeVault(t, "ecdsa-p256"), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !hang.Load() {
			next.ServeHTTP(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // or the server does not notice that the client leaves
		<-r.Context().Done()
		left <- struct{}{}
	})
	_, key := keyIn(t, front, demoKey, "")
	var opts options
	stop, err := startDemo(&opts, key)
	require.NoError(t, err)
	defer stop()
	failed := make(chan helseid.Event, 10)
	client, err := helseid.New(helseid.Config{
		Issuer: opts.issuer, ClientID: opts.clientID, Key: key, RequestTimeout: time.Second,
		OnEvent: func(_ context.Context, event helseid.Event) {
			if event.Kind == helseid.EventKeyFailed {
				failed <- event
			}
		},
	})
	require.NoError(t, err)
	defer client.Close()
	request := helseid.TokenRequest{Scopes: []string{opts.scope}}
	get := func() error {
		response, err := client.HTTPClient(request).Get(opts.url)
		if err == nil {
			err = response.Body.Close()
		}
		return err
	}
	require.NoError(t, get())
	hang.Store(true)
	require.NoError(t, get(), "the token is in memory")
	client.TokenSource(request).Forget(t.Context())
	err = get()
	require.ErrorIs(t, err, helseid.ErrKey)
	require.ErrorIs(t, err, helseid.ErrNoToken)
	require.NotErrorIs(t, err, helseid.ErrUnavailable)
	<-left
	event := <-failed
	require.Equal(t, key.ID(), event.KeyID)
	require.ErrorIs(t, event.Err, helseid.ErrKey)
	hang.Store(false)
	require.NoError(t, get())
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"unknown flag": {"-x"}, "argument": {"x"}, "URL of Vault alone": {"-vault", "https://vault.example.no"}, "key alone": {"-key", "x"},
		"issuer alone": {"-issuer", "https://helseid.example.no"}, "URL alone": {"-url", "https://api.example.no"},
		"a token in the open": {"-token", "hvs.x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := vault(t, args...)
			require.Equal(t, exitUsage, out.code)
			require.NotEmpty(t, out.stderr)
			require.Empty(t, out.stdout)
		})
	}
	out := vault(t, "-h")
	require.Zero(t, out.code)
	require.Contains(t, out.stderr, "-token-file")
}
