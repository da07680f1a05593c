package clientassertion_test

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/internal/testkit"
)

// remote stands for a key in a KMS or HSM.
type remote struct {
	err error
	ctx context.Context
}

func (r *remote) Public() crypto.PublicKey { return testkit.EC["ES256"]().Public() }

func (r *remote) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("Sign was called although there is a SignContext")
}

func (r *remote) SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	r.ctx = ctx
	if r.err != nil {
		return nil, r.err
	}
	return testkit.EC["ES256"]().Sign(nil, digest, opts)
}

var _ clientassertion.ContextSigner = (*remote)(nil)

func remoteKey(t testing.TB, signer *remote) *clientassertion.Key {
	t.Helper()
	key, err := clientassertion.NewKey(signer, clientassertion.KeyOptions{})
	require.NoError(t, err)
	return key
}

func TestContextSigner(t *testing.T) {
	t.Parallel()
	type mark struct{}
	ctx := context.WithValue(context.Background(), mark{}, "here")
	kms := &remote{}
	key := remoteKey(t, kms)
	assertion, err := newSigner(t, key).Sign(ctx)
	require.NoError(t, err)
	decode(t, assertion, key)
	require.Equal(t, "here", kms.ctx.Value(mark{}))

	kms.err = errors.New("the KMS is down")
	_, err = newSigner(t, key).Sign(ctx)
	require.ErrorIs(t, err, kms.err)

	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = newSigner(t, key).Sign(cancelled)
	require.ErrorIs(t, err, context.Canceled)
}

func TestKeyErrors(t *testing.T) {
	t.Parallel()
	good := string(jwkFor(t, "ES256", nil))
	for name, text := range map[string]string{
		"T009 T099 empty":           "",
		"T093 not JSON":             "{",
		"T094 EC key with RS256":    string(jwkFor(t, "ES256", map[string]any{"alg": "RS256"})),
		"T094 RSA key with ES256":   string(jwkFor(t, "PS256", map[string]any{"alg": "ES256"})),
		"T095 P-384 key with ES256": string(jwkFor(t, "ES384", map[string]any{"alg": "ES256"})),
		"public key":                string(jwkFor(t, "ES256", map[string]any{"d": nil})),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := clientassertion.ParseKey([]byte(text), clientassertion.KeyOptions{})
			require.ErrorIs(t, err, clientassertion.ErrKey)
		})
	}
	t.Run("T099 JWK in Base64", func(t *testing.T) {
		t.Parallel()
		_, err := clientassertion.ParseKey([]byte(base64.StdEncoding.EncodeToString([]byte(good))), clientassertion.KeyOptions{})
		require.NoError(t, err)
	})
	t.Run("NewKey", func(t *testing.T) {
		t.Parallel()
		_, err := clientassertion.NewKey(nil, clientassertion.KeyOptions{})
		require.ErrorIs(t, err, clientassertion.ErrKey)
		_, err = clientassertion.NewKey(testkit.RSA(), clientassertion.KeyOptions{Algorithm: "ES256"})
		require.ErrorIs(t, err, clientassertion.ErrKey)
		_, err = clientassertion.NewKey(testkit.RSA(), clientassertion.KeyOptions{Algorithm: "none"})
		require.ErrorIs(t, err, clientassertion.ErrKey)
	})
	t.Run("no error quotes the key", func(t *testing.T) {
		t.Parallel()
		var members map[string]string
		require.NoError(t, json.Unmarshal([]byte(good), &members))
		for _, text := range []string{good[:len(good)-2], good + good, strings.Replace(good, members["d"], members["d"][1:], 1), strings.ReplaceAll(good, `"`, ``)} {
			_, err := clientassertion.ParseKey([]byte(text), clientassertion.KeyOptions{})
			require.ErrorIs(t, err, clientassertion.ErrKey)
			require.NotContains(t, err.Error(), members["d"][1:12])
			require.NotContains(t, err.Error(), members["d"][len(members["d"])-12:])
		}
	})
}

func TestKey(t *testing.T) {
	t.Parallel()
	data := jwkFor(t, "ES256", map[string]any{"kid": "from-jwk"})
	key, err := clientassertion.ParseKey(data, clientassertion.KeyOptions{KeyID: "given"})
	require.NoError(t, err)
	require.Equal(t, "given", key.ID())
	require.Equal(t, "ES256", key.Algorithm())
	require.Len(t, key.Thumbprint(), 43)
	var private, public map[string]string
	require.NoError(t, json.Unmarshal(data, &private))
	require.NoError(t, json.Unmarshal(key.PublicJWK(), &public))
	require.Equal(t, map[string]string{"kty": "EC", "crv": "P-256", "x": private["x"], "y": private["y"], "use": "sig", "alg": "ES256", "kid": "given"}, public)

	// However it is printed, nothing of the private part comes out.
	secret := testkit.EC["ES256"]().D //nolint:staticcheck // the raw number is what must not be printed
	for _, text := range []string{fmt.Sprint(key), fmt.Sprintf("%+v", key), fmt.Sprintf("%#v", key), fmt.Sprintf("%v", *key), fmt.Sprintf("%x", key)} {
		require.NotContains(t, text, private["d"])
		require.NotContains(t, text, secret.String())
		require.NotContains(t, text, fmt.Sprintf("%x", secret))
	}
	require.Equal(t, "ES256 key given", fmt.Sprint(key))
	marshalled, err := json.Marshal(key) //nolint:staticcheck // that nothing comes out is what is tested
	require.NoError(t, err)
	require.NotContains(t, string(marshalled), private["d"])
}
