package mint_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

// newMinter is one without any server.
func newMinter(t *testing.T) *mint.Minter {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	signing, err := mint.NewKey(rsaKey, "the-kid")
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	proofKey, err := mint.NewKey(ecKey, "")
	require.NoError(t, err)
	return &mint.Minter{
		Issuer: "https://issuer.helseid.test", Lifetime: time.Minute,
		Now:        func() time.Time { return time.Unix(1_800_000_000, 0) },
		SigningKey: func() *mint.Key { return signing },
		ProofKey:   proofKey,
		User: func(number string) (map[string]any, bool) {
			return map[string]any{"sub": "subject of " + number}, number == "known"
		},
	}
}

func decoded(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	for i, into := range []*map[string]any{&header, &claims} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(data, into))
	}
	return header, claims
}

func TestMinter(t *testing.T) {
	t.Parallel()
	minter := newMinter(t)

	token, err := minter.AccessToken()
	require.NoError(t, err)
	header, claims := decoded(t, token)
	require.Equal(t, map[string]any{"typ": "at+jwt", "alg": "RS256", "kid": "the-kid", mint.MarkerHeader: true}, header)
	require.Equal(t, "https://issuer.helseid.test", claims["iss"])
	require.Equal(t, map[string]any{"jkt": minter.ProofKey.Thumbprint()}, claims["cnf"])
	require.InDelta(t, 60, claims["exp"].(float64)-claims["iat"].(float64), 0)

	proof, err := minter.Proof("GET", "https://api.example.no/things?page=2#top", token)
	require.NoError(t, err)
	header, claims = decoded(t, proof)
	require.Equal(t, "ES256", header["alg"])
	require.Equal(t, "https://api.example.no/things", claims["htu"])

	token, err = minter.IDToken()
	require.NoError(t, err)
	header, claims = decoded(t, token)
	require.Equal(t, "JWT", header["typ"])
	require.Nil(t, claims["sub"], "nobody's")

	token, err = minter.LogoutToken(mint.SessionID("session"))
	require.NoError(t, err)
	header, claims = decoded(t, token)
	require.Equal(t, "logout+jwt", header["typ"])
	require.Equal(t, "session", claims["sid"])
}

// No option takes the marker away, and mistakes are errors.
func TestMinterOptions(t *testing.T) {
	t.Parallel()
	minter := newMinter(t)
	token, err := minter.AccessToken(mint.Header(mint.MarkerHeader, nil), mint.ForUser("known"), mint.Claims(func(claims map[string]any) {
		claims["again"] = claims["sub"]
	}))
	require.NoError(t, err)
	header, claims := decoded(t, token)
	require.Equal(t, true, header[mint.MarkerHeader])
	require.Equal(t, "subject of known", claims["again"])
	proof, err := minter.Proof("GET", "https://api.example.no/", "", mint.ProofHeader(mint.MarkerHeader, false))
	require.NoError(t, err)
	header, _ = decoded(t, proof)
	require.Equal(t, true, header[mint.MarkerHeader])

	for name, option := range map[string]mint.TokenOption{
		"an unknown user": mint.ForUser("unknown"),
		"no JWK":          mint.BoundToJWK([]byte("{}")),
		"no JSON":         mint.Claim("function", func() {}),
		"no JSON, header": mint.Header("function", func() {}),
	} {
		_, err := minter.AccessToken(option)
		require.ErrorContains(t, err, "mint: ", name)
	}
	_, err = minter.Proof("GET", "https://api.example.no/", "", mint.ProofKey([]byte("none")))
	require.ErrorContains(t, err, "mint: ")
	_, err = mint.NewKey(nil, "")
	require.ErrorContains(t, err, "mint: ")
}
