package helseid_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// bubble runs a test in a synctest bubble, where time passes when all wait.
func bubble(t *testing.T, test func(*testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// RSA keys are found once for the whole suite.
var (
	rsa2048 = sync.OnceValue(func() *rsa.PrivateKey { return mustRSA(2048) })
	rsa1024 = sync.OnceValue(func() *rsa.PrivateKey { return mustRSA(1024) })
)

func mustRSA(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	jwk, err := json.Marshal(rsaJWK(key, nil))
	if err != nil {
		panic(err)
	}
	secrets.addKey("RSA key", jwk)
	return key
}

func signers(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	found := make(map[string]crypto.Signer)
	for _, name := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		found[name] = rsa2048()
	}
	for name, curve := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		require.NoError(t, err)
		found[name] = key
	}
	return found
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// rsaJWK writes a private JWK as HelseID Selvbetjening does, without kid and
// alg, and then applies the changes.
func rsaJWK(key *rsa.PrivateKey, changes map[string]any) map[string]any {
	jwk := map[string]any{
		"kty": "RSA",
		"n":   b64(key.N.Bytes()),
		"e":   b64(big.NewInt(int64(key.E)).Bytes()),
		"d":   b64(key.D.Bytes()),
		"p":   b64(key.Primes[0].Bytes()),
		"q":   b64(key.Primes[1].Bytes()),
		"dp":  b64(key.Precomputed.Dp.Bytes()),
		"dq":  b64(key.Precomputed.Dq.Bytes()),
		"qi":  b64(key.Precomputed.Qinv.Bytes()),
	}
	for name, value := range changes {
		jwk[name] = value
		if value == nil {
			delete(jwk, name)
		}
	}
	return jwk
}

func ecJWK(t testing.TB, curve elliptic.Curve, changes map[string]any) map[string]any {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	point, err := key.PublicKey.Bytes()
	require.NoError(t, err)
	secret, err := key.Bytes()
	require.NoError(t, err)
	size := (len(point) - 1) / 2
	jwk := map[string]any{
		"kty": "EC", "crv": curve.Params().Name,
		"x": b64(point[1 : 1+size]), "y": b64(point[1+size:]), "d": b64(secret),
	}
	for name, value := range changes {
		jwk[name] = value
		if value == nil {
			delete(jwk, name)
		}
	}
	data, err := json.Marshal(jwk)
	require.NoError(t, err)
	secrets.addKey("EC key", data)
	return jwk
}

// failingSigner signs so many times and then fails.
type failingSigner struct {
	crypto.Signer
	good int
	err  error
	mu   sync.Mutex
}

func (s *failingSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.good--; s.good < 0 {
		return nil, s.err
	}
	return s.Signer.Sign(random, digest, opts)
}

// contextSigner keeps the contexts that it signs in.
type contextSigner struct {
	failingSigner
	contexts []context.Context
}

func (s *contextSigner) SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.contexts = append(s.contexts, ctx)
	return s.Sign(rand.Reader, digest, opts)
}
