package mint

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"sync"

	"github.com/helseid-go/sdk/internal/jose"
)

// Key is a key that signs tokens or proofs. It never shows its private part when it is
// printed, logged or marshalled.
type Key struct {
	unprintable
	key *jose.Key
}

// NewKey makes a Key from an RSA key, which signs with RS256 as HelseID does, or from
// an EC key, which signs with its curve's algorithm. If id is empty, the kid is the
// key's thumbprint.
func NewKey(signer crypto.Signer, id string) (*Key, error) {
	options := jose.KeyOptions{ID: id}
	if _, isRSA := signer.(*rsa.PrivateKey); isRSA {
		options.Algorithm = jose.RS256
	}
	key, err := jose.NewKey(signer, options)
	if err != nil {
		return nil, fmt.Errorf("mint: %w", err)
	}
	return &Key{key: key}, nil
}

// ID returns the key's kid.
func (k *Key) ID() string { return k.key.ID() }

// PublicJWK returns the public key as a JWK, with its kid.
func (k *Key) PublicJWK() []byte { return k.key.MarshalPublicJWK() }

// Thumbprint returns the key's RFC 7638 thumbprint, as in cnf.
func (k *Key) Thumbprint() string { return k.key.Public().Thumbprint() }

func (k *Key) algorithm() string { return string(k.key.Public().Algorithm()) }

// member returns the public key as in a proof's header.
func (k *Key) member() rawJSON { return rawJSON(k.key.Public().JWK()) }

// sign signs any header and payload, also invalid ones.
func (k *Key) sign(header, payload []byte) (string, error) {
	return k.key.SignRaw(context.Background(), header, payload)
}

type rawJSON []byte

// MarshalJSON implements json.Marshaler.
func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }

// unknownKey is an RSA key that no server publishes.
var unknownKey = sync.OnceValues(func() (*Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("mint: %w", err)
	}
	return NewKey(private, "")
})
