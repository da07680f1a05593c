package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Algorithm is a JWS signature algorithm (RFC 7518 section 3.1).
type Algorithm string

// The nine algorithms that HelseID accepts for assertions and proofs.
const (
	RS256 Algorithm = "RS256"
	RS384 Algorithm = "RS384"
	RS512 Algorithm = "RS512"
	PS256 Algorithm = "PS256"
	PS384 Algorithm = "PS384"
	PS512 Algorithm = "PS512"
	ES256 Algorithm = "ES256"
	ES384 Algorithm = "ES384"
	ES512 Algorithm = "ES512"
)

const (
	// minRSABits is the smallest modulus HelseID's key generator makes.
	minRSABits = 2048
	// maxRSABits bounds the cost of verifying with a key that a sender chooses.
	maxRSABits = 8192
)

type scheme int

const (
	pkcs1v15 scheme = iota
	pss
	ecdsaScheme
)

type algorithmSpec struct {
	name   Algorithm
	scheme scheme
	hash   crypto.Hash
	curve  elliptic.Curve // nil for RSA
}

var algorithmSpecs = []algorithmSpec{
	{RS256, pkcs1v15, crypto.SHA256, nil},
	{RS384, pkcs1v15, crypto.SHA384, nil},
	{RS512, pkcs1v15, crypto.SHA512, nil},
	{PS256, pss, crypto.SHA256, nil},
	{PS384, pss, crypto.SHA384, nil},
	{PS512, pss, crypto.SHA512, nil},
	{ES256, ecdsaScheme, crypto.SHA256, elliptic.P256()},
	{ES384, ecdsaScheme, crypto.SHA384, elliptic.P384()},
	{ES512, ecdsaScheme, crypto.SHA512, elliptic.P521()},
}

// Algorithms lists the supported algorithms.
func Algorithms() []Algorithm {
	names := make([]Algorithm, len(algorithmSpecs))
	for i, spec := range algorithmSpecs {
		names[i] = spec.name
	}
	return names
}

// ErrAlgorithm is wrapped by every error about an algorithm that is not supported or
// does not fit its key.
var ErrAlgorithm = errors.New("signature algorithm not usable")

func (a Algorithm) spec() (*algorithmSpec, error) {
	i := slices.IndexFunc(algorithmSpecs, func(s algorithmSpec) bool { return s.name == a })
	if i < 0 {
		return nil, fmt.Errorf("%w: use one of %s", ErrAlgorithm, joinAlgorithms(Algorithms()))
	}
	return &algorithmSpecs[i], nil
}

// fits reports why public cannot be used with the algorithm.
func (s *algorithmSpec) fits(public crypto.PublicKey) error {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if s.curve != nil {
			return fmt.Errorf("%w: %s needs an EC key on %s, the key is RSA: use PS256",
				ErrAlgorithm, s.name, s.curve.Params().Name)
		}
		return nil
	case *ecdsa.PublicKey:
		if s.curve == nil {
			return fmt.Errorf("%w: %s needs an RSA key, the key is EC on %s",
				ErrAlgorithm, s.name, key.Curve.Params().Name)
		}
		if s.curve != key.Curve {
			return fmt.Errorf("%w: %s needs curve %s, the key is on %s",
				ErrAlgorithm, s.name, s.curve.Params().Name, key.Curve.Params().Name)
		}
		return nil
	}
	return errKeyType
}

// defaultAlgorithm is the algorithm of a key for which none is named:
// PS256 for RSA, the curve's own algorithm for EC.
func defaultAlgorithm(public crypto.PublicKey) (Algorithm, error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return PS256, nil
	case *ecdsa.PublicKey:
		for _, spec := range algorithmSpecs {
			if spec.curve == key.Curve {
				return spec.name, nil
			}
		}
		return "", fmt.Errorf("%w: use P-256, P-384 or P-521", errCurve)
	}
	return "", errKeyType
}

func joinAlgorithms(algorithms []Algorithm) string {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = string(a)
	}
	return strings.Join(names, ", ")
}
