package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
)

var (
	errKeyType = errors.New("the key must be RSA or EC (P-256, P-384, P-521)")
	errCurve   = errors.New("unsupported EC curve")
)

// PublicKey verifies signatures of one algorithm.
type PublicKey struct {
	key        crypto.PublicKey
	spec       *algorithmSpec
	jwk        string
	thumbprint string
}

// NewPublicKey checks that key is strong enough and fits the algorithm. An
// empty algorithm means PS256 for RSA and the curve's own for EC.
func NewPublicKey(key crypto.PublicKey, algorithm Algorithm) (*PublicKey, error) {
	if err := checkStrength(key); err != nil {
		return nil, err
	}
	if algorithm == "" {
		var err error
		if algorithm, err = defaultAlgorithm(key); err != nil {
			return nil, err
		}
	}
	spec, err := algorithm.spec()
	if err != nil {
		return nil, err
	}
	if err := spec.fits(key); err != nil {
		return nil, err
	}
	jwk, err := requiredMembers(key)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte(jwk))
	return &PublicKey{
		key:        key,
		spec:       spec,
		jwk:        jwk,
		thumbprint: base64.RawURLEncoding.EncodeToString(digest[:]),
	}, nil
}

// Algorithm is the one algorithm of the key.
func (k *PublicKey) Algorithm() Algorithm { return k.spec.name }

// JWK is the key as a JSON Web Key with its required members only, in the
// order of RFC 7638: it is both the thumbprint's input and a valid JWK.
func (k *PublicKey) JWK() string { return k.jwk }

// MarshalJWK writes the key with use, alg and kid.
func (k *PublicKey) MarshalJWK(id string) []byte {
	object, err := ParseObject([]byte(k.jwk))
	if err != nil { // unreachable: NewPublicKey wrote it
		return nil
	}
	var out ObjectBuilder
	for _, m := range object.members {
		out.Raw(m.name, m.value.raw)
	}
	out.String("use", "sig")
	out.String("alg", string(k.spec.name))
	out.String("kid", id)
	return out.Bytes()
}

// Thumbprint is the RFC 7638 SHA-256 thumbprint in base64url.
func (k *PublicKey) Thumbprint() string { return k.thumbprint }

// CryptoKey is the *rsa.PublicKey or *ecdsa.PublicKey.
func (k *PublicKey) CryptoKey() crypto.PublicKey { return k.key }

// signatureLength is the length of the key's signatures, in bytes.
func (k *PublicKey) signatureLength() int {
	if key, ok := k.key.(*rsa.PublicKey); ok {
		return key.Size()
	}
	return 2 * ((k.spec.curve.Params().BitSize + 7) / 8)
}

func checkStrength(public crypto.PublicKey) error {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if key == nil || key.N == nil {
			return errKeyType
		}
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return fmt.Errorf("the RSA key has %d bits, HelseID takes %d or more and this library at most %d: generate a new one with 3072 or 4096",
				bits, minRSABits, maxRSABits)
		}
		// Exponent 1 makes every signature valid; an even one is not RSA.
		if key.E < 3 || key.E%2 == 0 || key.E > 1<<31-1 {
			return errors.New("the RSA key has an unusable public exponent: use 65537")
		}
		if key.N.Bit(0) == 0 {
			return errors.New("the RSA key has an even modulus")
		}
		return nil
	case *ecdsa.PublicKey:
		if key == nil || key.Curve == nil {
			return errKeyType
		}
		switch key.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
		return fmt.Errorf("%w: use P-256, P-384 or P-521", errCurve)
	}
	return errKeyType
}

// requiredMembers writes the members that RFC 7638 section 3.2 hashes, in
// lexicographic order and without white space.
func requiredMembers(public crypto.PublicKey) (string, error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		e := big.NewInt(int64(key.E)).Bytes()
		return `{"e":"` + encodeSegment(e) + `","kty":"RSA","n":"` + encodeSegment(key.N.Bytes()) + `"}`, nil
	case *ecdsa.PublicKey:
		point, err := safeBytes(key)
		if err != nil {
			return "", err
		}
		size := (len(point) - 1) / 2
		return `{"crv":"` + key.Curve.Params().Name + `","kty":"EC","x":"` + encodeSegment(point[1:1+size]) +
			`","y":"` + encodeSegment(point[1+size:]) + `"}`, nil
	}
	return "", errKeyType
}

// safeBytes is 4 || X || Y with padded coordinates. The standard library panics
// for a key without coordinates, which a KMS client may return.
func safeBytes(key *ecdsa.PublicKey) (point []byte, err error) {
	errPoint := errors.New("the EC public key is not on its curve")
	defer func() {
		if recover() != nil {
			err = errPoint
		}
	}()
	if point, err = key.Bytes(); err != nil {
		return nil, errPoint
	}
	return point, nil
}
