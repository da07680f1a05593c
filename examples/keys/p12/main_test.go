package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/helseid-go/sdk/clientassertion"
)

var jwsLike = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}[.]`)

const password = "blåbærsyltetøy 17"

type output struct {
	code           int
	stdout, stderr string
}

func p12(t *testing.T, stdin string, args ...string) output {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(stdin), &stdout, &stderr)
	for _, text := range []string{stdout.String(), stderr.String()} {
		require.NotRegexp(t, jwsLike, text)
		require.NotContains(t, text, "syltetøy")
	}
	return output{code, stdout.String(), stderr.String()}
}

func TestRun(t *testing.T) {
	before, err := filepath.Glob(filepath.Join(os.TempDir(), "p12-*"))
	require.NoError(t, err)
	out := p12(t, "", "-json")
	require.Zero(t, out.code, out.stderr)
	require.Empty(t, out.stderr)
	seen := make(map[string]map[string]any)
	for line := range strings.Lines(out.stdout) {
		var event map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &event), "not JSON: %s", line)
		require.NotEmpty(t, event["text"])
		seen[event["event"].(string)] = event
	}
	require.Contains(t, seen, "p12")
	public := seen["key"]["public_jwk"].(map[string]any)
	require.NotContains(t, public, "d")
	require.EqualValues(t, 200, seen["call"]["status"])
	require.Equal(t, public["kid"], seen["call"]["kid"])
	require.Equal(t, "PS256", seen["call"]["alg"])

	out = p12(t, "")
	require.Zero(t, out.code, out.stderr)
	require.Contains(t, out.stdout, "an assertion by PS256, and the API answers 200 OK")
	after, err := filepath.Glob(filepath.Join(os.TempDir(), "p12-*"))
	require.NoError(t, err)
	require.Equal(t, before, after, "the file stays behind")
}

func writeFile(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

func encoded(t *testing.T, encoder *pkcs12.Encoder, key crypto.Signer) []byte {
	t.Helper()
	data, err := encodeP12(encoder, key, password)
	require.NoError(t, err)
	return data
}

// Files of today and of older programs, with each kind of key.
func TestFiles(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	for name, test := range map[string]struct {
		encoder   *pkcs12.Encoder
		key       crypto.Signer
		algorithm string
		want      string
	}{
		"modern RSA":                 {pkcs12.Modern2023, rsaKey, "", "PS256"},
		"modern RSA with RS256":      {pkcs12.Modern2023, rsaKey, "RS256", "RS256"},
		"modern EC":                  {pkcs12.Modern2023, ecKey, "", "ES384"},
		"OpenSSL 3.4 and later, RSA": {pkcs12.Modern2026, rsaKey, "", "PS256"},
		"triple DES, RSA":            {pkcs12.LegacyDES, rsaKey, "", "PS256"},
		"RC2, EC":                    {pkcs12.LegacyRC2, ecKey, "", "ES384"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := writeFile(t, encoded(t, test.encoder, test.key))
			args := []string{"-p12", file, "-password-file", "-", "-alg", test.algorithm}
			out := p12(t, password+"\r\n", args...)
			require.Zero(t, out.code, out.stderr)
			require.Contains(t, out.stdout, "an assertion by "+test.want+", and the API answers 200 OK")

			args[3] = writeFile(t, []byte(password+"\n"))
			require.Zero(t, p12(t, "", args...).code)
		})
	}
}

func TestFilesThatAreNone(t *testing.T) {
	t.Parallel()
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	good := encoded(t, pkcs12.Modern2023, ecKey)
	for name, test := range map[string]struct {
		data      []byte
		password  string
		algorithm string
		want      string
	}{
		"wrong password":    {good, "x" + password, "", "password incorrect"},
		"no password":       {good, "", "", "-password-file: it is empty"},
		"cut short":         {good[:len(good)-20], password, "", "pkcs12"},
		"empty":             {nil, password, "", "pkcs12"},
		"PEM":               {[]byte("-----BEGIN PRIVATE KEY-----"), password, "", "pkcs12"},
		"too large":         {make([]byte, maxP12+1), password, "", "1 MiB"},
		"Ed25519":           {encoded(t, pkcs12.Modern2023, edKey), password, "", clientassertion.ErrKey.Error()},
		"another algorithm": {good, password, "PS256", "PS256"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := p12(t, test.password, "-p12", writeFile(t, test.data), "-password-file", "-", "-alg", test.algorithm)
			require.Equal(t, exitUsage, out.code)
			require.Contains(t, out.stderr, test.want)
			require.Empty(t, out.stdout)
		})
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"unknown flag": {"-x"}, "argument": {"x"}, "file alone": {"-p12", "x"}, "password alone": {"-password-file", "x"},
		"issuer alone": {"-issuer", "https://helseid.example.no"}, "URL alone": {"-url", "https://api.example.no"},
		"a password in the open": {"-password", "secret"}, "no file": {"-p12", "/no/such", "-password-file", "/no/such"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := p12(t, "", args...)
			require.Equal(t, exitUsage, out.code)
			require.NotEmpty(t, out.stderr)
			require.Empty(t, out.stdout)
		})
	}
	out := p12(t, "", "-h")
	require.Zero(t, out.code)
	require.Contains(t, out.stderr, "-password-file")
}
