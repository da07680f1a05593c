package jose

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// rfcVectors is testdata/rfc.json; its sources are named there.
type rfcVectors struct {
	JWS map[string]struct {
		Key   json.RawMessage
		Token string
	}
	Thumbprints map[string]struct {
		Key        json.RawMessage
		Thumbprint string
	}
	Keys map[string]json.RawMessage
}

func loadRFC(t testing.TB) rfcVectors {
	t.Helper()
	data, err := os.ReadFile("testdata/rfc.json")
	require.NoError(t, err)
	var vectors rfcVectors
	require.NoError(t, json.Unmarshal(data, &vectors))
	return vectors
}

// Generating an RSA key is slow, so that the tests share one of each kind.
var (
	sharedRSA = sync.OnceValue(func() *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		return key
	})
	sharedEC = map[elliptic.Curve]func() *ecdsa.PrivateKey{
		elliptic.P224(): onceEC(elliptic.P224()),
		elliptic.P256(): onceEC(elliptic.P256()),
		elliptic.P384(): onceEC(elliptic.P384()),
		elliptic.P521(): onceEC(elliptic.P521()),
	}
)

func onceEC(curve elliptic.Curve) func() *ecdsa.PrivateKey {
	return sync.OnceValue(func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			panic(err)
		}
		return key
	})
}

// signerFor is a Go key that fits the algorithm.
func signerFor(t testing.TB, algorithm Algorithm) crypto.Signer {
	t.Helper()
	spec, err := algorithm.spec()
	require.NoError(t, err)
	if spec.curve == nil {
		return sharedRSA()
	}
	return sharedEC[spec.curve]()
}

func keyFor(t testing.TB, algorithm Algorithm) *Key {
	t.Helper()
	key, err := NewKey(signerFor(t, algorithm), KeyOptions{Algorithm: algorithm})
	require.NoError(t, err)
	return key
}

func object(t testing.TB, text string) Object {
	t.Helper()
	object, err := ParseObject([]byte(text))
	require.NoError(t, err, text)
	return object
}

func segment(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func sign(t testing.TB, key *Key, header, payload string) string {
	t.Helper()
	token, err := key.SignRaw(context.Background(), []byte(header), []byte(payload))
	require.NoError(t, err)
	return token
}

// verify takes a token apart and verifies it, as every caller does.
func verify(token string, key *PublicKey) error {
	compact, err := ParseCompact(token, 1<<20)
	if err != nil {
		return err
	}
	return compact.Verify(key)
}

func pemOf(t testing.TB, kind string, der []byte, err error) string {
	t.Helper()
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(t testing.TB, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pemOf(t, "PRIVATE KEY", der, err)
}
