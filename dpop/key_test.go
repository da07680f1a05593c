package dpop

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/testkit"
)

// privateJWK is a JWK as a map, to be bent by the tests.
func privateJWK(t testing.TB, algorithm string) map[string]any {
	t.Helper()
	data, err := keyFor(t, algorithm).MarshalPrivateJWK()
	require.NoError(t, err)
	var members map[string]any
	require.NoError(t, json.Unmarshal(data, &members))
	return members
}

func TestGenerateKey(t *testing.T) {
	t.Parallel()
	one, err := GenerateKey(KeyOptions{})
	require.NoError(t, err)
	two, err := GenerateKey(KeyOptions{})
	require.NoError(t, err)
	require.Equal(t, "ES256", one.Algorithm())
	require.Len(t, one.Thumbprint(), 43)
	require.NotEqual(t, one.Thumbprint(), two.Thumbprint())
}

// What does not fit is an error, and no other kind of key.
func TestGenerateKeyOptions(t *testing.T) {
	t.Parallel()
	key, err := GenerateKey(KeyOptions{Algorithm: "ES256"})
	require.NoError(t, err)
	require.Equal(t, "ES256", key.Algorithm())
	for _, other := range []string{"ES384", "PS256", "none", "es256"} {
		_, err := GenerateKey(KeyOptions{Algorithm: other})
		require.ErrorIs(t, err, ErrKey)
		require.ErrorContains(t, err, other)
	}
}

// An option has the last word over the key, as in clientassertion, and cannot make it
// sign with what does not fit.
func TestParseKeyOptions(t *testing.T) {
	t.Parallel()
	data := testkit.Must(json.Marshal(privateJWK(t, "PS256")))
	key, err := ParseKey(data, KeyOptions{Algorithm: "RS512"})
	require.NoError(t, err)
	require.Equal(t, "RS512", key.Algorithm())
	_, err = ParseKey(data, KeyOptions{Algorithm: "ES256"})
	require.ErrorIs(t, err, ErrKey)
}

func TestNewProverWithoutKey(t *testing.T) {
	t.Parallel()
	for _, key := range []*Key{nil, {}} {
		_, err := NewProver(ProverConfig{Key: key})
		require.ErrorIs(t, err, ErrConfig)
		require.ErrorContains(t, err, "Key")
	}
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	t.Run("T046 RSA without alg makes PS256 proofs, and the input is left alone", func(t *testing.T) {
		t.Parallel()
		members := privateJWK(t, "RS512")
		delete(members, "alg")
		data := testkit.Must(json.Marshal(members))
		before := bytes.Clone(data)
		key, err := ParseKey(data, KeyOptions{})
		require.NoError(t, err)
		require.Equal(t, "PS256", key.Algorithm())
		require.Equal(t, before, data)
		require.Equal(t, "PS256", decode(t, makeProof(t, newProver(t, key), Target{URL: parseURL(t, apiURI)})).header["alg"])
	})
	t.Run("T041 an X.509 certificate with its RSA key", func(t *testing.T) {
		t.Parallel()
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, testkit.RSA().Public(), testkit.RSA())
		require.NoError(t, err)
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: testkit.Must(x509.MarshalPKCS8PrivateKey(testkit.RSA()))})...)
		key, err := ParseKey(text, KeyOptions{})
		require.NoError(t, err)
		jwk := decode(t, makeProof(t, newProver(t, key), Target{URL: parseURL(t, apiURI)})).header["jwk"].(map[string]any)
		require.Len(t, jwk, 3)
		require.Equal(t, "RSA", jwk["kty"])
	})
	t.Run("T040 X25519 cannot sign", func(t *testing.T) {
		t.Parallel()
		x25519 := testkit.Must(ecdh.X25519().GenerateKey(rand.Reader))
		b64 := base64.RawURLEncoding.EncodeToString
		_, err := ParseKey([]byte(`{"kty":"OKP","crv":"X25519","x":"`+b64(x25519.PublicKey().Bytes())+`","d":"`+b64(x25519.Bytes())+`"}`), KeyOptions{})
		require.ErrorIs(t, err, ErrKey)
		_, err = ParseKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: testkit.Must(x509.MarshalPKCS8PrivateKey(x25519))}), KeyOptions{})
		require.ErrorIs(t, err, ErrKey)
	})
	t.Run("what is stored is read again", func(t *testing.T) {
		t.Parallel()
		for _, algorithm := range testkit.Algorithms {
			key := keyFor(t, algorithm)
			data, err := key.MarshalPrivateJWK()
			require.NoError(t, err)
			back, err := ParseKey(data, KeyOptions{})
			require.NoError(t, err)
			require.Equal(t, key.Thumbprint(), back.Thumbprint())
			require.Equal(t, algorithm, back.Algorithm())
		}
	})
	for name, data := range map[string][]byte{"nil": nil, "text": []byte("x"), "cut off": []byte(`{"kty":"EC"`)} {
		t.Run("T099 "+name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseKey(data, KeyOptions{})
			require.ErrorIs(t, err, ErrKey)
		})
	}
}

func TestNewKey(t *testing.T) {
	t.Parallel()
	_, err := NewKey(nil, KeyOptions{})
	require.ErrorIs(t, err, ErrKey)
	_, err = NewKey(testkit.RSA(), KeyOptions{Algorithm: "ES256"})
	require.ErrorIs(t, err, ErrKey, "T094")
	_, err = NewKey(testkit.EC["ES256"](), KeyOptions{Algorithm: "PS256"})
	require.ErrorIs(t, err, ErrKey, "T094")
	_, err = NewKey(testkit.RSA(), KeyOptions{Algorithm: "none"})
	require.ErrorIs(t, err, ErrKey)
	key, err := NewKey(testkit.RSA(), KeyOptions{})
	require.NoError(t, err)
	require.Equal(t, "PS256", key.Algorithm())
}

func TestKeyDoesNotPrintItself(t *testing.T) {
	t.Parallel()
	key := keyFor(t, "ES256")
	secret := testkit.EC["ES256"]().D //nolint:staticcheck // the raw number is what must not be printed
	d := privateJWK(t, "ES256")["d"].(string)
	for _, text := range []string{
		fmt.Sprint(key), fmt.Sprintf("%+v", key), fmt.Sprintf("%#v", key), fmt.Sprintf("%x", key), fmt.Sprintf("%v", *key),
		string(testkit.Must(json.Marshal(key))), //nolint:staticcheck // that nothing comes out is what is tested
		fmt.Sprintf("%+v", newProver(t, key)),
	} {
		require.NotContains(t, text, secret.String())
		require.NotContains(t, text, fmt.Sprintf("%x", secret))
		require.NotContains(t, text, d)
	}
	require.Equal(t, "ES256 key "+key.Thumbprint(), key.String())
}
