package clientassertion

import (
	"context"
	"crypto"
	"fmt"

	"github.com/helseid-go/sdk/internal/jose"
)

// ContextSigner is a [crypto.Signer] that can be cancelled: implement it for a key in a
// KMS or HSM. If a signer has SignContext it is called instead of Sign, with the
// context of the request that needs the signature. A caller stops waiting for either
// method when its context ends. A call that does not return keeps running in the
// background; at most 128 such calls are kept for a key.
//
// The signature has the form that crypto.Signer documents, so ASN.1 DER for ECDSA.
type ContextSigner interface {
	crypto.Signer
	SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) (signature []byte, err error)
}

// KeyOptions override what a key says of itself, and say what key to make. The zero
// value overrides nothing.
type KeyOptions struct {
	// Algorithm is the JWS algorithm to sign with: RS256, RS384, RS512, PS256,
	// PS384, PS512, ES256, ES384 or ES512. Default: the alg of the JWK, else
	// PS256 for an RSA key and the curve's own algorithm for an EC key.
	Algorithm string

	// KeyID is the kid under which the public key is registered with HelseID.
	// Default: the kid of the JWK, else the RFC 7638 SHA-256 thumbprint.
	KeyID string

	// Kind is what [GenerateKey] makes. Empty means [RSA4096]. [NewKey] and [ParseKey],
	// which are given a key, fail if it is set.
	Kind KeyKind
}

func (o KeyOptions) jose() jose.KeyOptions {
	return jose.KeyOptions{Algorithm: jose.Algorithm(o.Algorithm), ID: o.KeyID}
}

// checkGiven refuses options that have no meaning for a key that exists.
func (o KeyOptions) checkGiven() error {
	if o.Kind != "" {
		return fmt.Errorf("%w: the option Kind is for GenerateKey: the kind of a given key is what it is", ErrKey)
	}
	return nil
}

// Key is a client's private key with its signature algorithm. It is safe for concurrent
// use if its signer is.
type Key struct {
	key *jose.Key
}

// ParseKey reads a private key from a JWK (RFC 7517), from a JWK set that holds
// one private key, or from PEM or DER (PKCS#1, PKCS#8 or SEC1, whatever the PEM
// label says). It takes RSA keys of 2048 to 8192 bits, also with n, e and d alone,
// and EC keys on P-256, P-384 and P-521.
//
// The text may arrive as environment variables and secret stores hand it on: in
// quotes, as a JSON string, in Base64, with \n for line ends or on one line. It is
// at most 64 KiB. Members of the JWK that are null, empty or an empty list count as
// absent. Its use and key_ops must permit signatures, and its alg and kid are used unless
// options override them; other members are ignored.
//
// Errors wrap [ErrKey] and never quote the key. For data that is something else, such as
// an encrypted key, PKCS#12, a public key or a certificate, they say what it is, and which
// command makes a key of it.
func ParseKey(data []byte, options KeyOptions) (*Key, error) {
	if err := options.checkGiven(); err != nil {
		return nil, err
	}
	key, err := jose.ParseKey(data, options.jose())
	if err != nil {
		return nil, err
	}
	return &Key{key}, nil
}

// NewKey takes any crypto.Signer with an RSA or EC key: one in memory, or one
// in a KMS or HSM (see ContextSigner). Errors wrap ErrKey.
func NewKey(signer crypto.Signer, options KeyOptions) (*Key, error) {
	if err := options.checkGiven(); err != nil {
		return nil, err
	}
	key, err := jose.NewKey(signer, options.jose())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return &Key{key}, nil
}

// ID returns the value of the assertion's kid header.
func (k *Key) ID() string { return k.key.ID() }

// Algorithm returns the value of the assertion's alg header.
func (k *Key) Algorithm() string { return string(k.key.Public().Algorithm()) }

// Thumbprint returns the RFC 7638 SHA-256 thumbprint in base64url.
func (k *Key) Thumbprint() string { return k.key.Public().Thumbprint() }

// PublicJWK returns the public key as a JWK with kid, alg and use, ready to be
// registered in HelseID Selvbetjening.
func (k *Key) PublicJWK() []byte { return k.key.MarshalPublicJWK() }

// MarshalPrivateJWK returns the private key as a JWK (RFC 7517) with kid, alg and use.
// Store it encrypted: anybody who reads it can act as the client. [ParseKey] and the
// member privateJwk of a configuration file accept it and return the same key. It fails
// with [ErrKey] for a key that cannot leave its KMS or HSM.
func (k *Key) MarshalPrivateJWK() ([]byte, error) { return k.key.MarshalPrivateJWK() }

// MarshalPrivatePEM returns the private key as PKCS#8 (RFC 5958) in a PEM block PRIVATE
// KEY, without encryption: store it where nobody else can read it. [ParseKey] accepts
// it, but needs the kid and the algorithm as options if they are not the defaults,
// since PKCS#8 contains neither. It fails with [ErrKey] for a key that cannot leave its
// KMS or HSM.
func (k *Key) MarshalPrivatePEM() ([]byte, error) { return k.key.MarshalPrivatePEM() }

// String returns the algorithm and the key ID.
func (k *Key) String() string { return k.Algorithm() + " key " + k.ID() }
