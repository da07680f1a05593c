package jose

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/helseid-go/sdk/internal/redact"
)

// ContextSigner is a crypto.Signer that calls another system (a KMS, an HSM) and can
// be cancelled. If a signer has SignContext, it is used in place of
// Sign. The result has crypto.Signer's form: ASN.1 DER for ECDSA.
type ContextSigner interface {
	crypto.Signer
	SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) (signature []byte, err error)
}

// KeyOptions override the members of a JWK.
type KeyOptions struct {
	// Algorithm to sign with. Empty: the JWK's alg, else PS256 for RSA and the
	// curve's own algorithm for EC.
	Algorithm Algorithm
	// ID for the kid header. Empty: the JWK's kid, else the RFC 7638 thumbprint.
	ID string
}

// Key signs with one algorithm.
type Key struct {
	signer redact.Hidden[crypto.Signer] // a private key, or what leads to one
	public *PublicKey
	id     string
	calls  *signerCalls
}

// NewKey makes a key of any crypto.Signer.
func NewKey(signer crypto.Signer, options KeyOptions) (*Key, error) {
	if isNil(signer) {
		return nil, errors.New("the signer is nil")
	}
	public, err := NewPublicKey(publicOf(signer), options.Algorithm)
	if err != nil {
		return nil, err
	}
	id := options.ID
	if id == "" {
		id = public.Thumbprint()
	}
	return &Key{signer: redact.Hide(signer), public: public, id: id, calls: newSignerCalls()}, nil
}

// GenerateKey makes an in-memory P-256 key for ES256.
func GenerateKey() (*Key, error) { return GenerateECKey(elliptic.P256(), KeyOptions{}) }

// GenerateECKey makes an in-memory key, for the curve's own algorithm.
func GenerateECKey(curve elliptic.Curve, options KeyOptions) (*Key, error) {
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate a %s key: %w", curve.Params().Name, err)
	}
	return NewKey(private, options)
}

// GenerateRSAKey makes an in-memory key of so many bits, for PS256 unless options name
// another algorithm.
func GenerateRSAKey(bits int, options KeyOptions) (*Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return nil, fmt.Errorf("generate an RSA key of %d bits: %w", bits, err)
	}
	return NewKey(private, options)
}

// ID is the value of the kid header.
func (k *Key) ID() string { return k.id }

// Public is the public half.
func (k *Key) Public() *PublicKey { return k.public }

// Signer is the private half as it was given.
func (k *Key) Signer() crypto.Signer { return k.signer.Reveal() }

// publicOf accepts signers that return their public key by value or by
// pointer; the standard library uses pointers, some KMS clients do not.
func publicOf(signer crypto.Signer) crypto.PublicKey {
	switch key := signer.Public().(type) {
	case rsa.PublicKey:
		return &key
	case ecdsa.PublicKey:
		return &key
	default:
		return key
	}
}

func isNil(signer crypto.Signer) bool {
	switch s := signer.(type) {
	case nil:
		return true
	case *rsa.PrivateKey:
		return s == nil
	case *ecdsa.PrivateKey:
		return s == nil
	}
	return false
}

// sign returns the signature in JWS form.
func (k *Key) sign(ctx context.Context, signingInput []byte) ([]byte, error) {
	spec := k.public.spec
	digest := spec.digest(signingInput)
	var opts crypto.SignerOpts = spec.hash
	if spec.scheme == pss {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: spec.hash}
	}
	signature, err := k.signDigest(ctx, digest, opts)
	if err != nil {
		return nil, err
	}
	if spec.scheme == ecdsaScheme {
		if signature, err = rawECDSA(signature, (spec.curve.Params().BitSize+7)/8); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
	}
	return signature, nil
}

// signDigest returns the signer's signature. An error is an [ErrKey], unless the
// context ended before the call or was cancelled during it: neither is the key's fault.
func (k *Key) signDigest(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	private := k.signer.Reveal()
	var signature []byte
	var err error
	switch private.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey:
		signature, err = private.Sign(rand.Reader, digest, opts)
	default:
		signature, err = k.calls.sign(ctx, private, digest, opts)
	}
	if err == nil {
		return signature, nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, ctx.Err()
	}
	return nil, fmt.Errorf("%w: it did not sign with %s: %w", ErrKey, k.public.spec.name, err)
}
