package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// privateMembers are the members of RFC 7518 section 6 that give a key away.
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// HasPrivateMember reports whether a JWK holds any private or symmetric part. A
// member that is null is not there, and neither is an empty list of other primes,
// which .NET writes for every key. Any text counts, also the empty one: a sender of
// "d":"" has a private key in that place and may send it next time.
func HasPrivateMember(jwk Object) bool {
	for _, name := range privateMembers {
		value := jwk.Get(name)
		if value.Absent() || name == "oth" && value.kind == kindArray && value.Empty() {
			continue
		}
		return true
	}
	return false
}

// ParsePublicJWK reads an RSA or EC public key. It is written out here, and not
// left to a library, because a DPoP proof brings a key with each request, and
// because two parsers could read two different keys from one text.
//
// A JWK with a private member is refused, and one that is not for signatures. If
// the JWK has an alg of its own it must equal algorithm; an empty algorithm means
// the JWK's, else the default. Members that only describe the key are absent if
// they are null, an empty text or an empty list; what is not needed is not judged.
func ParsePublicJWK(jwk Object, algorithm Algorithm) (*PublicKey, error) {
	if HasPrivateMember(jwk) {
		return nil, errors.New("the JWK holds private key material")
	}
	if err := checkPurpose(jwk, "verify"); err != nil {
		return nil, err
	}
	key, err := publicCryptoKey(jwk)
	if err != nil {
		return nil, err
	}
	if value := jwk.Get("alg"); !value.Empty() {
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
	kty, err := keyType(jwk)
	if err != nil {
		return nil, err
	}
	if kty == "RSA" {
		return rsaPublicKey(jwk)
	}
	return ecPublicKey(jwk)
}

// keyType is RSA or EC.
func keyType(jwk Object) (string, error) {
	kty, _ := jwk.Get("kty").Text()
	switch {
	case kty == "RSA" || kty == "EC":
		return kty, nil
	case strings.EqualFold(kty, "RSA") || strings.EqualFold(kty, "EC"):
		return "", errors.New("the JWK member kty must be written in capitals: RSA or EC")
	}
	return "", errKeyType
}

func rsaPublicKey(jwk Object) (*rsa.PublicKey, error) {
	n, err := numberMember(jwk, "n", maxRSABits/8)
	if err != nil {
		return nil, err
	}
	e, err := numberMember(jwk, "e", 4)
	if err != nil {
		return nil, err
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil
}

func curveOf(jwk Object) (elliptic.Curve, error) {
	crv, _ := jwk.Get("crv").Text()
	switch crv {
	case "P-256":
		return elliptic.P256(), nil
	case "P-384":
		return elliptic.P384(), nil
	case "P-521":
		return elliptic.P521(), nil
	}
	return nil, fmt.Errorf("%w: use P-256, P-384 or P-521", errCurve)
}

func ecPublicKey(jwk Object) (*ecdsa.PublicKey, error) {
	curve, err := curveOf(jwk)
	if err != nil {
		return nil, err
	}
	size := (curve.Params().BitSize + 7) / 8
	point := make([]byte, 1, 1+2*size)
	point[0] = 4
	for _, name := range []string{"x", "y"} {
		coordinate, err := bytesMember(jwk, name)
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

// numberMember reads a number of at most limit octets. Zeros in front are no part
// of it: a JWK must not have them, and some tools write one before a high bit.
func numberMember(jwk Object, name string, limit int) ([]byte, error) {
	value, err := bytesMember(jwk, name)
	if err != nil {
		return nil, err
	}
	value = bytes.TrimLeft(value, "\x00")
	if len(value) > limit {
		return nil, fmt.Errorf("the JWK member %s is too long", name)
	}
	return value, nil
}

func bytesMember(jwk Object, name string) ([]byte, error) {
	text, ok := jwk.Get(name).Text()
	if !ok || text == "" {
		return nil, fmt.Errorf("the JWK member %s is missing or not a string", name)
	}
	value, err := decodeSegment(text)
	if err != nil {
		return nil, fmt.Errorf("the JWK member %s is not base64url", name)
	}
	return value, nil
}

// checkPurpose lets a key be used for an operation, sign or verify, that its use
// and key_ops allow (RFC 7517 sections 4.2 and 4.3). What they do not say, they
// do not forbid.
func checkPurpose(jwk Object, operation string) error {
	if use := jwk.Get("use"); !use.Empty() && !isText(use, "sig") {
		return errors.New(`the JWK's use is not "sig"`)
	}
	value := jwk.Get("key_ops")
	if value.Empty() {
		return nil
	}
	operations, ok := value.Array()
	if !ok || !slices.ContainsFunc(operations, func(v Value) bool { return isText(v, operation) }) {
		return fmt.Errorf("the JWK's key_ops do not allow %q", operation)
	}
	return nil
}

func isText(value Value, want string) bool {
	text, ok := value.Text()
	return ok && text == want
}
