package tokenvalidation_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// foundry is an issuer with an RSA key of any size: helseidtest has the
// smallest, since it makes new ones for each run, and HelseID has 3072 bits.
type foundry struct {
	private *rsa.PrivateKey
	key     *jose.Key
	claims  map[string]any
}

const foundryIssuer = "https://foundry.test"

func newFoundry(t testing.TB, bits int) *foundry {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	key, err := jose.NewKey(private, jose.KeyOptions{Algorithm: jose.RS256})
	require.NoError(t, err)
	// The claims are those of a clinician's token, as HelseID's look.
	server := newServer(t)
	_, rest, _ := strings.Cut(server.Token(mint.Clinician()), ".")
	payload, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	require.NoError(t, err)
	f := &foundry{private: private, key: key}
	require.NoError(t, json.Unmarshal(text, &f.claims))
	f.claims["iss"] = foundryIssuer
	return f
}

// token signs the claims, with these instead of some of them.
func (f *foundry) token(t testing.TB, changes map[string]any) string {
	t.Helper()
	claims := make(map[string]any)
	maps.Copy(claims, f.claims)
	maps.Copy(claims, changes)
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	token, err := f.key.SignRaw(context.Background(), fmt.Appendf(nil, `{"alg":"RS256","typ":"at+jwt","kid":%q}`, f.key.ID()), payload)
	require.NoError(t, err)
	return token
}

// RoundTrip serves the issuer's metadata and keys.
func (f *foundry) RoundTrip(r *http.Request) (*http.Response, error) {
	body := fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, foundryIssuer, foundryIssuer+"/jwks")
	if r.URL.Path == "/jwks" {
		body = `{"keys":[` + string(f.key.MarshalPublicJWK()) + `]}`
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewBufferString(body)), Request: r}, nil
}

func (f *foundry) validator(t testing.TB, change func(*tokenvalidation.Config)) *tokenvalidation.Validator {
	t.Helper()
	config := tokenvalidation.Config{Issuer: foundryIssuer, Audience: mint.DefaultAudience, HTTPClient: &http.Client{Transport: f}}
	if change != nil {
		change(&config)
	}
	validator, err := tokenvalidation.New(config)
	require.NoError(t, err)
	t.Cleanup(validator.Close)
	return validator
}

// BenchmarkValidate compares with the bare verification of the same signature.
func BenchmarkValidate(b *testing.B) {
	for _, bits := range []int{2048, 3072} {
		f := newFoundry(b, bits)
		token := f.token(b, nil)
		b.Run(fmt.Sprintf("RSA-%d/bare", bits), func(b *testing.B) {
			digest := sha256.Sum256([]byte(token))
			signature, err := rsa.SignPKCS1v15(nil, f.private, crypto.SHA256, digest[:])
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				if rsa.VerifyPKCS1v15(&f.private.PublicKey, crypto.SHA256, digest[:], signature) != nil {
					b.Fatal("not valid")
				}
			}
		})
		b.Run(fmt.Sprintf("RSA-%d/validate", bits), func(b *testing.B) {
			benchmarkValidate(b, f.validator(b, func(c *tokenvalidation.Config) { c.TokenMemory = -1 }), token)
		})
		b.Run(fmt.Sprintf("RSA-%d/remembered", bits), func(b *testing.B) {
			benchmarkValidate(b, f.validator(b, nil), token)
		})
	}
}

func benchmarkValidate(b *testing.B, validator *tokenvalidation.Validator, token string) {
	_, err := validator.Validate(b.Context(), token)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := validator.Validate(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
