package clientassertion

import (
	"crypto/elliptic"
	"fmt"

	"github.com/helseid-go/sdk/internal/jose"
)

// KeyKind is a kind of key that [GenerateKey] makes.
type KeyKind string

// The kinds of keys, each with the algorithm that it signs with. HelseID takes all of
// them. An EC signature costs a small part of what one with RSA does.
const (
	RSA4096 KeyKind = "RSA-4096" // PS256; HelseID Selvbetjening issues keys of this size
	RSA3072 KeyKind = "RSA-3072" // PS256
	P256    KeyKind = "P-256"    // ES256
	P384    KeyKind = "P-384"    // ES384
	P521    KeyKind = "P-521"    // ES512
)

// GenerateKey makes a private key in memory, of the kind that options name: RSA4096, which
// takes a second or more to make, unless they name another. The key's ID is its RFC 7638
// thumbprint unless options give one.
//
// Register its PublicJWK in HelseID Selvbetjening (package selvbetjening does), and
// keep what [Key.MarshalPrivateJWK] or [Key.MarshalPrivatePEM] gives in a secret
// store first: a key that is lost after it has been registered is of no use. The error
// wraps [ErrKey].
func GenerateKey(options KeyOptions) (*Key, error) {
	key, err := generate(options.Kind, options.jose())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return &Key{key}, nil
}

func generate(kind KeyKind, options jose.KeyOptions) (*jose.Key, error) {
	switch kind {
	case "", RSA4096:
		return jose.GenerateRSAKey(4096, options)
	case RSA3072:
		return jose.GenerateRSAKey(3072, options)
	case P256:
		return jose.GenerateECKey(elliptic.P256(), options)
	case P384:
		return jose.GenerateECKey(elliptic.P384(), options)
	case P521:
		return jose.GenerateECKey(elliptic.P521(), options)
	}
	return nil, fmt.Errorf("there is no kind of key %q: use %s, %s, %s, %s or %s", kind, RSA4096, RSA3072, P256, P384, P521)
}
