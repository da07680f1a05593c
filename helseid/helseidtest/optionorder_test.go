package helseidtest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

// Options apply in the order given: what comes later has the last word, also after one
// whose value depends on the others.
func TestOrderOfTokenOptions(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	const attestClaim = "nhn:tillitsrammeverk:parameters"
	attest := mint.Attest(completeAttest())
	claims := func(options ...mint.TokenOption) map[string]any {
		return claimsOf(t, server.Token(options...))
	}
	require.IsType(t, map[string]any{}, claims(attest)[attestClaim])
	require.Equal(t, "mine", claims(attest, mint.Claim(attestClaim, "mine"))[attestClaim])
	require.NotContains(t, claims(attest, mint.Claim(attestClaim, nil)), attestClaim)
	require.NotContains(t, claims(attest, mint.WithoutDefaultClaims()), attestClaim)
	require.IsType(t, map[string]any{}, claims(mint.Claim(attestClaim, "mine"), attest)[attestClaim])
	practitioner := claims(attest, mint.Clinician())[attestClaim].(map[string]any)["practitioner"]
	require.Contains(t, practitioner, "hpr_nr", "the user who comes later counts")

	for name, set := range map[string]any{"int": 1_000_000, "int64": int64(1_000_000), "float64": 1e6, "uint32 as int32": int32(1_000_000)} {
		require.EqualValues(t, 1_000_060, claims(mint.Claim("iat", set), mint.ExpiresIn(time.Minute))["exp"], name)
		require.EqualValues(t, 1_000_000-7200, claims(mint.Claim("iat", set), mint.Expired())["iat"], name)
	}
}

// The same of proofs.
func TestOrderOfProofOptions(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	key, err := dpop.NewKey(private, dpop.KeyOptions{})
	require.NoError(t, err)
	jwk, err := key.MarshalPrivateJWK()
	require.NoError(t, err)
	header := func(options ...mint.ProofOption) map[string]any {
		header, _ := jws(t, server.Proof("GET", "https://api.example.no/x", "", options...))
		return header
	}
	own := mint.ProofKey(jwk)
	for name, options := range map[string][]mint.ProofOption{
		"private key, then the key": {mint.PrivateKeyInProof(), own},
		"the key, then private key": {own, mint.PrivateKeyInProof()},
	} {
		shown := header(options...)["jwk"].(map[string]any)
		require.Equal(t, "RSA", shown["kty"], name)
		require.Contains(t, shown, "d", name)
	}
	require.NotContains(t, header(mint.ProofHeader("jwk", nil), own), "jwk")
	require.Equal(t, "HS256", header(mint.ProofHeader("alg", "HS256"), own)["alg"])
	require.Contains(t, []any{"RS256", "PS256"}, header(own)["alg"])
	another := header(own, mint.ProofWithAnotherKey())
	require.Equal(t, "ES256", another["alg"], "the algorithm is the key's")
	require.Equal(t, "EC", another["jwk"].(map[string]any)["kty"])

	at := time.Unix(1_000_000, 0)
	claims := claimsOf(t, server.Proof("GET", "https://api.example.no/x", "", mint.ProofClaim("iat", int(at.Unix())), mint.ProofAge(time.Minute)))
	require.EqualValues(t, at.Unix()-60, claims["iat"])
}

// A request is authorized as it was seen outside of a proxy that takes a prefix off.
func TestBehindPrefix(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	token := server.Token()
	for _, test := range [][3]string{
		{"/x/1%2F2?a=b", "https://api.example.no/journal", "https://api.example.no/journal/x/1%2F2"},
		{"http://internal:8080/x", "https://api.example.no/journal/", "https://api.example.no/journal/x"},
		{"http://internal", "https://api.example.no/a%20b", "https://api.example.no/a%20b/"},
		{"/x", "https://api.example.no", "https://api.example.no/x"},
	} {
		request := httptest.NewRequest(http.MethodGet, test[0], nil)
		server.Authorize(request, token, mint.BehindPrefix(test[1]))
		claims := claimsOf(t, request.Header.Get("DPoP"))
		require.Equal(t, test[2], claims["htu"])
	}
	for _, wrong := range []string{"/journal", "https://api.example.no?x", "https://api.example.no#x", ":"} {
		require.Panics(t, func() { server.Proof("GET", "https://api.example.no/x", token, mint.BehindPrefix(wrong)) })
	}
}
