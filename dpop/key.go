package dpop

import (
	"crypto"
	"fmt"

	"github.com/helseid-go/sdk/internal/jose"
)

// Key is the private key that signs proofs. It is safe for concurrent use if its signer
// is.
type Key struct {
	key *jose.Key
}

// KeyOptions override what a key says of itself. The zero value overrides nothing.
type KeyOptions struct {
	// Algorithm is the JWS algorithm to sign with: RS256, RS384, RS512, PS256, PS384,
	// PS512, ES256, ES384 or ES512. Default: the alg of the JWK, else PS256 for an RSA
	// key and the curve's own algorithm for an EC key.
	Algorithm string
}

func (o KeyOptions) jose() jose.KeyOptions {
	return jose.KeyOptions{Algorithm: jose.Algorithm(o.Algorithm)}
}

// GenerateKey makes an EC key on P-256 in memory, for ES256: the cheapest to
// sign and to send. It is what a client uses unless it is given another. ES256 is the
// only algorithm that options may name: NewKey takes keys of other kinds. Errors wrap
// ErrKey.
func GenerateKey(options KeyOptions) (*Key, error) {
	if options.Algorithm != "" && options.Algorithm != string(jose.ES256) {
		return nil, fmt.Errorf("%w: a generated key signs with ES256, not with %q: make another kind of key yourself and give it to NewKey", ErrKey, options.Algorithm)
	}
	key, err := jose.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return &Key{key}, nil
}

// ParseKey reads a private key: RSA of 2048 to 8192 bits, or EC on P-256, P-384 or
// P-521. It takes the forms that clientassertion.ParseKey takes, JWK, PEM and DER
// among them. A [Verifier] refuses proofs by RSA keys of more than 4096 bits. Errors wrap
// ErrKey and never quote the key.
func ParseKey(data []byte, options KeyOptions) (*Key, error) {
	key, err := jose.ParseKey(data, options.jose())
	if err != nil {
		return nil, err
	}
	return &Key{key}, nil
}

// NewKey takes any crypto.Signer with an RSA or EC key. If it has a method
// SignContext (see clientassertion.ContextSigner) that is used in place of
// Sign. Errors wrap ErrKey.
func NewKey(signer crypto.Signer, options KeyOptions) (*Key, error) {
	key, err := jose.NewKey(signer, options.jose())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return &Key{key}, nil
}

// Thumbprint returns the RFC 7638 SHA-256 thumbprint in base64url, which an access
// token bound to the key has as cnf.jkt (RFC 9449 section 6.1).
func (k *Key) Thumbprint() string { return k.key.Public().Thumbprint() }

// Algorithm returns the value of the proofs' alg header.
func (k *Key) Algorithm() string { return string(k.key.Public().Algorithm()) }

// MarshalPrivateJWK returns the private key as a JWK. Store it encrypted, and read it
// again with [ParseKey], if the key must outlive this process. It fails for a key that
// cannot leave its KMS or HSM.
func (k *Key) MarshalPrivateJWK() ([]byte, error) { return k.key.MarshalPrivateJWK() }

// String returns the algorithm and the thumbprint.
func (k *Key) String() string { return k.Algorithm() + " key " + k.Thumbprint() }
