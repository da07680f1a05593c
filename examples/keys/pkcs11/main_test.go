package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/ThalesGroup/crypto11"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
)

// The tests share the environment variable of SoftHSM's configuration, and so take
// turns.

var jwsLike = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}[.]`)

type output struct {
	code           int
	stdout, stderr string
}

func pkcs11(t *testing.T, stdin string, args ...string) output {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(stdin), &stdout, &stderr)
	for _, text := range []string{stdout.String(), stderr.String()} {
		require.NotRegexp(t, jwsLike, text)
	}
	return output{code, stdout.String(), stderr.String()}
}

// shared is the token of all tests but those of the program without flags. It takes a
// second to make.
var shared = sync.OnceValues(func() (*softHSM, error) { return startSoftHSM(context.Background()) })

func TestMain(m *testing.M) {
	code := m.Run()
	if token, err := shared(); err == nil {
		token.remove()
	}
	os.Exit(code)
}

// sharedToken fails without SoftHSM: the program is about nothing else.
func sharedToken(t *testing.T) *softHSM {
	t.Helper()
	token, err := shared()
	require.NoError(t, err)
	return token
}

func openedToken(t *testing.T) (*softHSM, *crypto11.Context) {
	t.Helper()
	token := sharedToken(t)
	hsm, err := openToken(token.module, token.label, token.pin)
	require.NoError(t, err)
	t.Cleanup(func() { _ = hsm.Close() })
	return token, hsm
}

// event is a line of the output.
type event struct {
	Event, Text, Alg, Kid string
	Status                int
	PublicJWK             map[string]string `json:"public_jwk"`
}

func TestRun(t *testing.T) {
	before, err := filepath.Glob(filepath.Join(os.TempDir(), "softhsm-*"))
	require.NoError(t, err)
	out := pkcs11(t, "", "-json")
	require.Zero(t, out.code, out.stderr)
	require.Empty(t, out.stderr)
	var algorithms []string
	keys := make(map[string]map[string]string)
	for line := range strings.Lines(out.stdout) {
		var event event
		require.NoError(t, json.Unmarshal([]byte(line), &event), "not JSON: %s", line)
		require.NotEmpty(t, event.Text)
		switch event.Event {
		case "key":
			keys[event.PublicJWK["kid"]] = event.PublicJWK
			require.NotContains(t, event.PublicJWK, "d")
		case "call":
			require.Equal(t, 200, event.Status)
			require.Equal(t, keys[event.Kid]["alg"], event.Alg)
			algorithms = append(algorithms, event.Alg)
		}
	}
	require.Equal(t, []string{"PS256", "ES256"}, algorithms)

	out = pkcs11(t, "")
	require.Zero(t, out.code, out.stderr)
	require.Equal(t, 2, strings.Count(out.stdout, "the API answers 200 OK"))
	after, err := filepath.Glob(filepath.Join(os.TempDir(), "softhsm-*"))
	require.NoError(t, err)
	require.Equal(t, before, after, "the token stays behind")
}

// A token that is there already is used, with its PIN from a file or standard input.
func TestRunWithToken(t *testing.T) {
	token := sharedToken(t)
	pinFile := filepath.Join(t.TempDir(), "pin")
	require.NoError(t, os.WriteFile(pinFile, []byte(token.pin+"\n"), 0o600))
	args := func(label, pinFile string, more ...string) []string {
		return append([]string{"-module", token.module, "-token", token.label, "-key", label, "-pin-file", pinFile}, more...)
	}
	out := pkcs11(t, "", args("client-rsa", pinFile, "-alg", "RS256")...)
	require.Zero(t, out.code, out.stderr)
	require.Contains(t, out.stdout, "an assertion by RS256, and the API answers 200 OK")
	out = pkcs11(t, token.pin, args("client-ec", "-")...)
	require.Zero(t, out.code, out.stderr)
	require.Contains(t, out.stdout, "an assertion by ES256, and the API answers 200 OK")

	for name, test := range map[string]struct {
		stdin string
		args  []string
		want  string
	}{
		"no such key":       {token.pin, args("other", "-"), `0 key pairs "other"`},
		"wrong PIN":         {"not-" + token.pin, args("client-ec", "-"), "CKR_PIN_INCORRECT"},
		"no PIN":            {"", args("client-ec", "-"), "-pin-file: it is empty"},
		"no PIN file":       {"", args("client-ec", pinFile+"x"), "-pin-file"},
		"another algorithm": {token.pin, args("client-ec", "-", "-alg", "PS256"), "PS256"},
		"no such token":     {token.pin, []string{"-module", token.module, "-token", "x", "-key", "x", "-pin-file", "-"}, "could not find PKCS#11 token"},
		"no such library":   {token.pin, []string{"-module", "/no/such.so", "-token", "x", "-key", "x", "-pin-file", "-"}, "failed to open module"},
	} {
		t.Run(name, func(t *testing.T) {
			out := pkcs11(t, test.stdin, test.args...)
			require.Equal(t, exitUsage, out.code)
			require.Contains(t, out.stderr, test.want)
			require.Empty(t, out.stdout)
			require.NotContains(t, out.stderr, token.pin)
		})
	}
}

// Two keys with one label are one too many: either might sign.
func TestLabelTwice(t *testing.T) {
	_, hsm := openedToken(t)
	for i := range 2 {
		_, err := hsm.GenerateECDSAKeyPairWithLabel([]byte{'t', byte(i)}, []byte("twice"), elliptic.P256())
		require.NoError(t, err)
	}
	_, err := findKey(hsm, "twice", "")
	require.ErrorContains(t, err, `2 key pairs "twice"`)
}

// Each algorithm that HelseID takes is signed as its RFC says, and gets a token.
func TestAlgorithms(t *testing.T) {
	token, hsm := openedToken(t)
	for label, curve := range map[string]elliptic.Curve{"p384": elliptic.P384(), "p521": elliptic.P521()} {
		_, err := hsm.GenerateECDSAKeyPairWithLabel([]byte(label), []byte(label), curve)
		require.NoError(t, err)
	}
	for algorithm, label := range map[string]string{
		"PS256": token.keys[0], "PS384": token.keys[0], "PS512": token.keys[0],
		"RS256": token.keys[0], "RS384": token.keys[0], "RS512": token.keys[0],
		"ES256": token.keys[1], "ES384": "p384", "ES512": "p521",
	} {
		t.Run(algorithm, func(t *testing.T) {
			key, err := findKey(hsm, label, algorithm)
			require.NoError(t, err)
			require.Equal(t, algorithm, key.Algorithm())
			signer, err := hsm.FindKeyPair(nil, []byte(label))
			require.NoError(t, err)
			verifySignature(t, signer.Public(), algorithm, sign(t, key))

			var out bytes.Buffer
			require.NoError(t, call(t.Context(), key, options{}, &narrator{out: &out}))
			require.Contains(t, out.String(), "200 OK")

			_, err = key.MarshalPrivateJWK()
			require.ErrorIs(t, err, clientassertion.ErrKey, "it has left the HSM")
		})
	}
}

func sign(t testing.TB, key *clientassertion.Key) string {
	t.Helper()
	signer, err := clientassertion.New(clientassertion.Config{ClientID: "client", Audience: "https://helseid.example.no", Key: key})
	require.NoError(t, err)
	assertion, err := signer.Sign(t.Context())
	require.NoError(t, err)
	return assertion
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

// PKCS#11 sessions are not for several threads at a time. More signatures at a time than
// sessions wait for each other.
func TestManyAtATime(t *testing.T) {
	token, hsm := openedToken(t)
	key, err := findKey(hsm, token.keys[1], "")
	require.NoError(t, err)
	signer, err := hsm.FindKeyPair(nil, []byte(token.keys[1]))
	require.NoError(t, err)
	assertions := make(chan string, 200)
	var crowd sync.WaitGroup
	for range cap(assertions) {
		crowd.Go(func() { assertions <- sign(t, key) })
	}
	crowd.Wait()
	close(assertions)
	for assertion := range assertions {
		verifySignature(t, signer.Public(), "ES256", assertion)
	}
}

// An HSM that is gone is the key's failure, and not HelseID's.
func TestHSMIsGone(t *testing.T) {
	token := sharedToken(t)
	hsm, err := openToken(token.module, token.label, token.pin)
	require.NoError(t, err)
	key, err := findKey(hsm, token.keys[1], "")
	require.NoError(t, err)
	require.NoError(t, hsm.Close())
	err = call(t.Context(), key, options{}, &narrator{out: io.Discard})
	require.ErrorIs(t, err, helseid.ErrKey)
	require.ErrorIs(t, err, helseid.ErrNoToken)
	require.NotErrorIs(t, err, helseid.ErrUnavailable)
	require.NotContains(t, err.Error(), token.pin)
}

func TestNoSoftHSM(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	out := pkcs11(t, "")
	require.Equal(t, exitUsage, out.code)
	require.Contains(t, out.stderr, "apt-get install softhsm2")
	require.Empty(t, out.stdout)
}

func TestUsage(t *testing.T) {
	for name, args := range map[string][]string{
		"unknown flag": {"-x"}, "argument": {"x"}, "key without module": {"-key", "x"}, "module alone": {"-module", "x"},
		"issuer alone": {"-issuer", "https://helseid.example.no"}, "URL alone": {"-url", "https://api.example.no"},
		"a PIN in the open": {"-pin", "1234"},
	} {
		t.Run(name, func(t *testing.T) {
			out := pkcs11(t, "", args...)
			require.Equal(t, exitUsage, out.code)
			require.NotEmpty(t, out.stderr)
			require.Empty(t, out.stdout)
		})
	}
	out := pkcs11(t, "", "-h")
	require.Zero(t, out.code)
	require.Contains(t, out.stderr, "-pin-file")
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr bytes.Buffer
	require.NotZero(t, run(ctx, nil, strings.NewReader(""), io.Discard, &stderr))
	require.NotEmpty(t, stderr.String())
}
