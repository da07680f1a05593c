package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// privateMembers are the members of RFC 7518 section 6 that give a key away.
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// HasPrivateMember reports whether a JWK holds any private or symmetric part.
func HasPrivateMember(jwk Object) bool {
	for _, name := range privateMembers {
		if jwk.Has(name) {
			return true
		}
	}
	return false
}

// ParsePublicJWK reads an RSA or EC public key. It is written out here, and not
// left to a library, because a DPoP proof brings a key with each request.
// A JWK with a private member is refused, and one that is not for signatures. If the JWK has an alg of its own it
// must equal algorithm; an empty algorithm means the JWK's, else the default.
func ParsePublicJWK(jwk Object, algorithm Algorithm) (*PublicKey, error) {
	if HasPrivateMember(jwk) {
		return nil, errors.New("the JWK holds private key material")
	}
	if !mayVerify(jwk) {
		return nil, errors.New("the JWK is not for verifying signatures (use, key_ops)")
	}
	key, err := publicCryptoKey(jwk)
	if err != nil {
		return nil, err
	}
	if value := jwk.Get("alg"); !value.Absent() {
		own, ok := value.Text()
		if !ok {
			return nil, errors.New("the JWK member alg is not a string")
		}
		if algorithm == "" {
			algorithm = Algorithm(own)
		}
		if Algorithm(own) != algorithm {
			return nil, fmt.Errorf("%w: the JWK is for another algorithm", ErrAlgorithm)
		}
	}
	return NewPublicKey(key, algorithm)
}

func publicCryptoKey(jwk Object) (crypto.PublicKey, error) {
	kty, _ := jwk.Get("kty").Text()
	switch kty {
	case "RSA":
		return rsaPublicKey(jwk)
	case "EC":
		return ecPublicKey(jwk)
	}
	return nil, errKeyType
}

func rsaPublicKey(jwk Object) (*rsa.PublicKey, error) {
	n, err := bytesMember(jwk, "n", maxRSABits/8)
	if err != nil {
		return nil, err
	}
	e, err := bytesMember(jwk, "e", 4)
	if err != nil {
		return nil, err
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil
}

func ecPublicKey(jwk Object) (*ecdsa.PublicKey, error) {
	crv, _ := jwk.Get("crv").Text()
	var curve elliptic.Curve
	switch crv {
	case "P-256":
		curve = elliptic.P256()
	case "P-384":
		curve = elliptic.P384()
	case "P-521":
		curve = elliptic.P521()
	default:
		return nil, fmt.Errorf("%w: use P-256, P-384 or P-521", errCurve)
	}
	size := (curve.Params().BitSize + 7) / 8
	point := make([]byte, 1, 1+2*size)
	point[0] = 4
	for _, name := range []string{"x", "y"} {
		coordinate, err := bytesMember(jwk, name, size)
		if err != nil {
			return nil, err
		}
		// RFC 7518 section 6.2.1.2: a coordinate is as long as its field.
		if len(coordinate) != size {
			return nil, fmt.Errorf("the JWK member %s has the wrong length for its curve", name)
		}
		point = append(point, coordinate...)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, errors.New("the JWK's point is not on its curve")
	}
	return key, nil
}

func bytesMember(jwk Object, name string, limit int) ([]byte, error) {
	text, ok := jwk.Get(name).Text()
	if !ok || text == "" {
		return nil, fmt.Errorf("the JWK member %s is missing or not a string", name)
	}
	value, err := decodeSegment(text)
	if err != nil {
		return nil, fmt.Errorf("the JWK member %s is not base64url", name)
	}
	if len(value) > limit {
		return nil, fmt.Errorf("the JWK member %s is too long", name)
	}
	return value, nil
}

// mayVerify checks use and key_ops (RFC 7517 sections 4.2 and 4.3).
func mayVerify(jwk Object) bool {
	if use := jwk.Get("use"); !use.Absent() && use.Raw() != `"sig"` {
		return false
	}
	value := jwk.Get("key_ops")
	if value.Absent() {
		return true
	}
	operations, ok := value.Array()
	return ok && slices.ContainsFunc(operations, func(v Value) bool { return v.Raw() == `"verify"` })
}
