package dpop

import (
	"crypto"
	"fmt"

	"github.com/helseid-go/sdk/internal/jose"
)

// ErrKey is wrapped by every error about a key that cannot be used, also by those of
// a signer that fails or does not answer in time.
var ErrKey = jose.ErrKey

// Key is the private key that signs proofs. It is safe for concurrent use if its signer
// is.
type Key struct {
	key *jose.Key
}

// GenerateKey makes an EC key on P-256 in memory, for ES256: the cheapest to
// sign and to send. It is what a client uses unless it is given another.
func GenerateKey() (*Key, error) {
	key, err := jose.GenerateKey()
	if err != nil {
		return nil, err
	}
	return &Key{key}, nil
}

// ParseKey reads a private key: RSA of 2048 to 8192 bits, or EC on P-256, P-384 or
// P-521. It takes the forms that clientassertion.ParseKey takes, JWK, PEM and DER
// among them. The algorithm is the alg of the JWK, else PS256 for RSA and the
// curve's own. Errors wrap ErrKey and never quote the key.
func ParseKey(data []byte) (*Key, error) {
	key, err := jose.ParseKey(data, jose.KeyOptions{})
	if err != nil {
		return nil, err
	}
	return &Key{key}, nil
}

// NewKey takes any crypto.Signer with an RSA or EC key. If it has a method
// SignContext (see clientassertion.ContextSigner) that is used in place of
// Sign. An empty algorithm means PS256 for RSA and the curve's own for EC.
// Errors wrap ErrKey.
func NewKey(signer crypto.Signer, algorithm string) (*Key, error) {
	key, err := jose.NewKey(signer, jose.KeyOptions{Algorithm: jose.Algorithm(algorithm)})
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
