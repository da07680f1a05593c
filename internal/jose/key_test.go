package jose

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// remoteSigner stands for a KMS or HSM.
type remoteSigner struct {
	crypto.Signer
	public    crypto.PublicKey
	signature []byte
	err       error
	got       context.Context
	opts      crypto.SignerOpts
}

func (s *remoteSigner) Public() crypto.PublicKey {
	if s.public != nil {
		return s.public
	}
	return s.Signer.Public()
}

func (s *remoteSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("Sign was called although there is a SignContext")
}

func (s *remoteSigner) SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.got, s.opts = ctx, opts
	if s.signature != nil || s.err != nil {
		return s.signature, s.err
	}
	return s.Signer.Sign(rand.Reader, digest, opts)
}

// plainSigner has no SignContext, and gives its public key by value.
type plainSigner struct{ key *ecdsa.PrivateKey }

func (s plainSigner) Public() crypto.PublicKey { return s.key.PublicKey }

func (s plainSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.key.Sign(random, digest, opts)
}

func TestNewKeyDefaults(t *testing.T) {
	t.Parallel()
	key, err := NewKey(sharedRSA(), KeyOptions{})
	require.NoError(t, err)
	require.Equal(t, PS256, key.Public().Algorithm())
	require.Equal(t, key.Public().Thumbprint(), key.ID())
	require.Same(t, sharedRSA(), key.Signer())

	key, err = NewKey(sharedRSA(), KeyOptions{Algorithm: RS512, ID: "mine"})
	require.NoError(t, err)
	require.Equal(t, RS512, key.Public().Algorithm())
	require.Equal(t, "mine", key.ID())
}

func TestT096GeneratedKeysSign(t *testing.T) {
	t.Parallel()
	for _, algorithm := range Algorithms() {
		t.Run("T096 "+string(algorithm), func(t *testing.T) {
			t.Parallel()
			key := keyFor(t, algorithm)
			token := sign(t, key, `{"alg":"`+string(algorithm)+`"}`, "x")
			require.NoError(t, verify(token, key.Public()))
		})
	}
	t.Run("GenerateKey is a new P-256 key each time", func(t *testing.T) {
		t.Parallel()
		one, err := GenerateKey()
		require.NoError(t, err)
		two, err := GenerateKey()
		require.NoError(t, err)
		require.Equal(t, ES256, one.Public().Algorithm())
		require.NotEqual(t, one.Public().Thumbprint(), two.Public().Thumbprint())
	})
}

func TestNewKeyRefuses(t *testing.T) {
	t.Parallel()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	for name, signer := range map[string]crypto.Signer{
		"nil":                  nil,
		"nil RSA key":          (*rsa.PrivateKey)(nil),
		"nil EC key":           (*ecdsa.PrivateKey)(nil),
		"empty RSA key":        &rsa.PrivateKey{},
		"empty EC key":         &ecdsa.PrivateKey{},
		"EC key without point": &ecdsa.PrivateKey{PublicKey: ecdsa.PublicKey{Curve: elliptic.P256()}},
		"Ed25519":              ed,
		"RSA-1024":             weak,
		"P-224":                sharedEC[elliptic.P224()](),
		"no public key":        &remoteSigner{public: "none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var err error
			require.NotPanics(t, func() { _, err = NewKey(signer, KeyOptions{}) })
			require.Error(t, err)
		})
	}
}

func TestContextSigner(t *testing.T) {
	t.Parallel()
	type mark struct{}
	for _, algorithm := range Algorithms() {
		t.Run(string(algorithm), func(t *testing.T) {
			t.Parallel()
			remote := &remoteSigner{Signer: signerFor(t, algorithm)}
			key, err := NewKey(remote, KeyOptions{Algorithm: algorithm})
			require.NoError(t, err)
			ctx := context.WithValue(context.Background(), mark{}, "here")
			token, err := key.SignRaw(ctx, []byte(`{"alg":"`+string(algorithm)+`"}`), nil)
			require.NoError(t, err)
			require.NoError(t, verify(token, key.Public()))
			require.Equal(t, "here", remote.got.Value(mark{}), "the context of the request arrives")
			require.Equal(t, key.Public().spec.hash, remote.opts.HashFunc())
			options, isPSS := remote.opts.(*rsa.PSSOptions)
			require.Equal(t, algorithm[:2] == "PS", isPSS)
			if isPSS {
				require.Equal(t, rsa.PSSSaltLengthEqualsHash, options.SaltLength)
			}
		})
	}
	t.Run("its error arrives", func(t *testing.T) {
		t.Parallel()
		outage := errors.New("the KMS is down")
		key, err := NewKey(&remoteSigner{Signer: signerFor(t, ES256), err: outage}, KeyOptions{})
		require.NoError(t, err)
		_, err = key.SignRaw(context.Background(), []byte(`{}`), nil)
		require.ErrorIs(t, err, outage)
	})
	t.Run("a signature that is not DER is an error", func(t *testing.T) {
		t.Parallel()
		key, err := NewKey(&remoteSigner{Signer: signerFor(t, ES256), signature: make([]byte, 64)}, KeyOptions{})
		require.NoError(t, err)
		_, err = key.SignRaw(context.Background(), []byte(`{}`), nil)
		require.ErrorIs(t, err, errDER)
	})
	t.Run("a dead context signs nothing", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		remote := &remoteSigner{Signer: signerFor(t, ES256)}
		for _, signer := range []crypto.Signer{remote, signerFor(t, ES256)} {
			key, err := NewKey(signer, KeyOptions{})
			require.NoError(t, err)
			_, err = key.SignRaw(ctx, []byte(`{}`), nil)
			require.ErrorIs(t, err, context.Canceled)
		}
		require.Nil(t, remote.got)
	})
}

func TestSignerWithPublicKeyByValue(t *testing.T) {
	t.Parallel()
	key, err := NewKey(plainSigner{sharedEC[elliptic.P256()]()}, KeyOptions{})
	require.NoError(t, err)
	require.NoError(t, verify(sign(t, key, `{"alg":"ES256"}`, "x"), key.Public()))
	key, err = NewKey(&remoteSigner{Signer: sharedRSA(), public: sharedRSA().PublicKey}, KeyOptions{})
	require.NoError(t, err)
	require.NoError(t, verify(sign(t, key, `{"alg":"PS256"}`, "x"), key.Public()))
}

func TestKeyDoesNotPrintItself(t *testing.T) {
	t.Parallel()
	private := sharedEC[elliptic.P256()]()
	key, err := NewKey(private, KeyOptions{})
	require.NoError(t, err)
	secret := private.D //nolint:staticcheck // the raw number is what must not be printed
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		text := fmt.Sprintf(verb, key)
		require.NotContains(t, text, secret.String(), verb)
		require.NotContains(t, text, fmt.Sprintf("%x", secret), verb)
	}
}
