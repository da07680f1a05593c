package dpop

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"crypto"
	"crypto/sha256"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/testkit"
)

func TestProof(t *testing.T) {
	t.Parallel()
	t.Run("T034 a proof for the token endpoint", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			testkit.Sleep(time.Until(time.Date(2025, 1, 4, 13, 37, 0, 0, time.UTC)))
			const endpoint = "https://helseid-sts.test.nhn.no/connect/token"
			got := decode(t, makeProof(t, newProver(t, keyFor(t, "PS256")), Target{Method: "POST", URL: parseURL(t, endpoint)}))
			require.Len(t, got.header, 3)
			require.Equal(t, "dpop+jwt", got.header["typ"])
			require.Equal(t, "PS256", got.header["alg"])
			require.Len(t, got.header["jwk"], 3)
			for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
				require.NotContains(t, got.header["jwk"], private)
			}
			require.Contains(t, got.claimsJSON, `"iat":1735997820`)
			require.Equal(t, "POST", got.claims["htm"])
			require.Equal(t, endpoint, got.claims["htu"])
			require.Len(t, got.claims["jti"], 32)
		})
	})
	claims := func(t *testing.T, target Target) map[string]any {
		t.Helper()
		if target.URL == nil {
			target.URL = parseURL(t, apiURI)
		}
		return decode(t, makeProof(t, newProver(t, keyFor(t, "ES256")), target)).claims
	}
	t.Run("T035 T036 a nonce only if there is one", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, "n-1", claims(t, Target{Nonce: "n-1"})["nonce"])
		require.NotContains(t, claims(t, Target{}), "nonce")
	})
	t.Run("T037 the hash of an access token", func(t *testing.T) {
		t.Parallel()
		// RFC 9449 section 4.2: base64url of the SHA-256 of the ASCII token.
		require.Equal(t, "YdX4GGm956hxYFopv8SFiwpL9d0bg4-qhVAWT0s5PBs", claims(t, Target{AccessToken: "DpopToken"})["ath"])
		// RFC 9449 section 7.1.
		require.Equal(t, "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo",
			claims(t, Target{AccessToken: "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"})["ath"])
		require.NotContains(t, claims(t, Target{}), "ath")
	})
	t.Run("T038 T044 a long token, JWT or not, is hashed as it is", func(t *testing.T) {
		t.Parallel()
		for _, token := range []string{strings.Repeat("eyJhbGciOiJFUzI1NiJ9.", 200), "opaque", "a.b.c"} {
			digest := sha256.Sum256([]byte(token))
			require.Equal(t, base64.RawURLEncoding.EncodeToString(digest[:]), claims(t, Target{AccessToken: token})["ath"])
		}
	})
	t.Run("T039 an EC key has four members", func(t *testing.T) {
		t.Parallel()
		header := decode(t, makeProof(t, newProver(t, keyFor(t, "ES384")), Target{URL: parseURL(t, apiURI)})).header
		require.Equal(t, "ES384", header["alg"])
		jwk := header["jwk"].(map[string]any)
		require.Len(t, jwk, 4)
		require.Equal(t, "EC", jwk["kty"])
		require.Equal(t, "P-384", jwk["crv"])
	})
	t.Run("T045 four claims, and one for a nonce and a token each", func(t *testing.T) {
		t.Parallel()
		require.Len(t, claims(t, Target{}), 4)
		require.Len(t, claims(t, Target{Nonce: "n"}), 5)
		require.Len(t, claims(t, Target{AccessToken: "a"}), 5)
		require.Len(t, claims(t, Target{AccessToken: "a", Nonce: "n"}), 6)
	})
	t.Run("T042 T043 query and fragment are left out", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, apiURI, claims(t, Target{URL: parseURL(t, apiURI+"?page=2#top")})["htu"])
		require.Equal(t, "https://test/", claims(t, Target{URL: parseURL(t, "https://test?asdasd")})["htu"])
	})
	t.Run("the Host header", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, "https://virtual.example/v1/things", claims(t, Target{Host: "virtual.example"})["htu"])
	})
	t.Run("the method as it is sent", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, "GET", claims(t, Target{})["htm"])
		require.Equal(t, "PATCH", claims(t, Target{Method: "PATCH"})["htm"])
		require.Equal(t, "get", claims(t, Target{Method: "get"})["htm"])
	})
	t.Run("T047 the thumbprint for dpop_jkt is the key's", func(t *testing.T) {
		t.Parallel()
		key := keyFor(t, "ES256")
		require.Equal(t, key.Thumbprint(), newProver(t, key).Thumbprint())
	})
}

func TestProofAlgorithms(t *testing.T) {
	t.Parallel()
	verifier := newVerifier(t, VerifierConfig{})
	for _, algorithm := range testkit.Algorithms {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			key := keyFor(t, algorithm)
			proof := makeProof(t, newProver(t, key), Target{Method: "GET", URL: parseURL(t, apiURI), AccessToken: accessToken})
			require.LessOrEqual(t, len(proof), maxProof)
			require.Equal(t, algorithm, decode(t, proof).header["alg"])
			verified, err := verifier.Verify(context.Background(), proof, expectedGET(key))
			require.NoError(t, err)
			require.Equal(t, key.Thumbprint(), verified.Thumbprint)
		})
	}
}

func TestProofErrors(t *testing.T) {
	t.Parallel()
	for _, key := range []*Key{nil, {}} {
		_, err := NewProver(ProverConfig{Key: key})
		require.Error(t, err)
	}
	prover := newProver(t, keyFor(t, "ES256"))
	for name, u := range map[string]*url.URL{"nil": nil, "relative": {Path: "/x"}, "no host": {Scheme: "https", Path: "/x"}} {
		_, err := prover.Proof(context.Background(), Target{URL: u})
		require.Error(t, err, name)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := prover.Proof(ctx, Target{URL: parseURL(t, apiURI)})
	require.ErrorIs(t, err, context.Canceled)
}

// kms is a signer that can be told to give up.
type kms struct {
	crypto.Signer
	ctx context.Context
	err error
}

func (k *kms) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("Sign was called although there is a SignContext")
}

func (k *kms) SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if k.ctx = ctx; k.err != nil {
		return nil, k.err
	}
	return k.Signer.Sign(nil, digest, opts)
}

func TestProofWithContextSigner(t *testing.T) {
	t.Parallel()
	type mark struct{}
	signer := &kms{Signer: testkit.Signer("ES256")}
	key, err := NewKey(signer, KeyOptions{})
	require.NoError(t, err)
	proof, err := newProver(t, key).Proof(context.WithValue(context.Background(), mark{}, "here"), Target{URL: parseURL(t, apiURI)})
	require.NoError(t, err)
	decode(t, proof)
	require.Equal(t, "here", signer.ctx.Value(mark{}))
	signer.err = errors.New("the KMS is down")
	_, err = newProver(t, key).Proof(context.Background(), Target{URL: parseURL(t, apiURI)})
	require.ErrorIs(t, err, signer.err)
	_, err = key.MarshalPrivateJWK()
	require.ErrorIs(t, err, ErrKey, "it stays in the KMS")
}

func TestProofsAreNeverTheSame(t *testing.T) {
	t.Parallel()
	prover := newProver(t, keyFor(t, "ES256"))
	target := Target{URL: parseURL(t, apiURI)}
	proofs := make([]string, 200)
	var group sync.WaitGroup
	for i := range proofs {
		group.Go(func() { proofs[i], _ = prover.Proof(context.Background(), target) })
	}
	group.Wait()
	seen := map[any]bool{}
	for _, proof := range proofs {
		seen[decode(t, proof).claims["jti"]] = true
	}
	require.Len(t, seen, len(proofs))
}

func TestProofGolden(t *testing.T) {
	t.Parallel()
	// The bytes on the wire, with the jti (random) and the key replaced.
	synctest.Test(t, func(t *testing.T) {
		testkit.Sleep(time.Until(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
		for file, target := range map[string]Target{
			"token-request.golden": {Method: "POST", URL: parseURL(t, "https://helseid-sts.test.nhn.no/connect/token"), Nonce: "eyJ7S_zG.eyJH0-Z.HX4w-7v"},
			"api-request.golden":   {Method: "GET", URL: parseURL(t, apiURI+"?page=2"), AccessToken: "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU", Nonce: "n-2"},
		} {
			got := decode(t, makeProof(t, newProver(t, keyFor(t, "ES256")), target))
			jwk := got.header["jwk"].(map[string]any)
			text := strings.NewReplacer(jwk["x"].(string), "X", jwk["y"].(string), "Y", got.claims["jti"].(string), "JTI").
				Replace(got.headerJSON + "\n" + got.claimsJSON + "\n")
			want, err := os.ReadFile("testdata/" + file)
			require.NoError(t, err)
			require.Equal(t, string(want), text, file)
		}
	})
}
