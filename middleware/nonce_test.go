package middleware_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/middleware"
)

var nonceSecret = []byte(strings.Repeat("s", 32))

// olderNonce is the nonce before the newest, which is still accepted.
func olderNonce() string {
	var step [8]byte
	binary.BigEndian.PutUint64(step[:], uint64(time.Now().Unix()/30-1))
	mac := hmac.New(sha256.New, nonceSecret)
	mac.Write([]byte("helseid-go/sdk dpop nonce"))
	mac.Write(step[:])
	return base64.RawURLEncoding.EncodeToString(append(step[:], mac.Sum(nil)[:16]...))
}

func newNonceWorld(t testing.TB) (*world, *dpop.NonceIssuer) {
	t.Helper()
	nonces, err := dpop.NewNonceIssuer(dpop.NonceIssuerConfig{Secret: nonceSecret})
	require.NoError(t, err)
	return newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) { c.Proof.Nonces = nonces }}), nonces
}

func (w *world) withNonce(nonce any) *http.Request {
	request := w.genuine()
	token := strings.TrimPrefix(request.Header.Get("Authorization"), "DPoP ")
	request.Header.Set("DPoP", w.server.Proof(http.MethodGet, resource, token, mint.ProofClaim("nonce", nonce)))
	return request
}

// T142: an API with nonces refuses every proof without one of its own, and sends the
// nonce to use.
func TestNonces(t *testing.T) {
	t.Parallel()
	// Inside a synctest bubble, so that no nonce expires meanwhile.
	synctest.Test(t, testNonces)
}

func testNonces(t *testing.T) {
	w, nonces := newNonceWorld(t)
	other, err := dpop.NewNonceIssuer(dpop.NonceIssuerConfig{})
	require.NoError(t, err)
	for _, nonce := range []any{nil, "", "garbage", "eyJ", strings.Repeat("A", 32), strings.Repeat("A", 5000), other.Nonce(), nonces.Nonce() + "=", nonces.Nonce()[:31], nonces.Nonce() + "A",
		strings.ToLower(nonces.Nonce()) + "x", 1, true, []string{nonces.Nonce()}, map[string]string{"nonce": nonces.Nonce()}} {
		response, found := w.requireRefused(w.withNonce(nonce), "proof_nonce")
		require.Equal(t, http.StatusUnauthorized, response.StatusCode)
		require.Equal(t, "use_dpop_nonce", found.parameters["error"])
		next := response.Header.Get("DPoP-Nonce")
		require.True(t, nonces.Valid(next))
		response = w.requireOK(w.withNonce(next))
		require.Empty(t, response.Header.Get("DPoP-Nonce"), "it has the newest")
	}
	// Other errors are reported as usual, without a nonce.
	for _, option := range []mint.ProofOption{mint.ProofClaim("htm", "PUT"), mint.ProofClaim("ath", "x")} {
		request := w.genuine()
		token := strings.TrimPrefix(request.Header.Get("Authorization"), "DPoP ")
		request.Header.Set("DPoP", w.server.Proof(http.MethodGet, resource, token, option))
		response := w.serve(request)
		require.Empty(t, response.Header.Get("DPoP-Nonce"))
	}
}

// A nonce is not a secret and does not make a bad proof valid: it must be signed, and
// the proof can still be used only once.
func TestNonceIsNotEnough(t *testing.T) {
	t.Parallel()
	w, nonces := newNonceWorld(t)
	request := w.withNonce(nonces.Nonce())
	w.requireOK(request)
	w.requireRefused(request, "proof_replayed")
	request = w.genuine()
	token := strings.TrimPrefix(request.Header.Get("Authorization"), "DPoP ")
	request.Header.Set("DPoP", w.server.Proof(http.MethodGet, resource, token, mint.ProofClaim("nonce", nonces.Nonce()), proofAt(-60)))
	w.requireRefused(request, "proof_iat")
}

// A client with an older nonce is accepted and gets the newest one. With an expired
// nonce it only gets the newest one.
func TestNonceAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, nonces := newNonceWorld(t)
		first := nonces.Nonce()
		for range 4 {
			wait(30 * time.Second)
			response := w.requireOK(w.withNonce(first))
			require.Equal(t, nonces.Nonce(), response.Header.Get("DPoP-Nonce"))
			require.NotEqual(t, first, nonces.Nonce())
		}
		wait(30 * time.Second)
		response, _ := w.requireRefused(w.withNonce(first), "proof_nonce")
		require.Equal(t, nonces.Nonce(), response.Header.Get("DPoP-Nonce"))
		w.auth.Close()
	})
}

// Replicas with the same secret accept each other's nonces.
func TestNonceOfAReplica(t *testing.T) {
	t.Parallel()
	here, err := dpop.NewNonceIssuer(dpop.NonceIssuerConfig{Secret: nonceSecret})
	require.NoError(t, err)
	there, err := dpop.NewNonceIssuer(dpop.NonceIssuerConfig{Secret: nonceSecret})
	require.NoError(t, err)
	w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) { c.Proof.Nonces = here }})
	w.requireOK(w.withNonce(there.Nonce()))
}
