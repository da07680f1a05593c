package testkit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"sync"
)

// Algorithms are the JWS algorithms that HelseID knows.
var Algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"}

// RSA and EC are keys that tests share, since generating an RSA key is slow: one of 2048
// bits, and one of the curve of each EC algorithm.
var (
	RSA = sync.OnceValue(func() *rsa.PrivateKey { return Must(rsa.GenerateKey(rand.Reader, 2048)) })
	EC  = map[string]func() *ecdsa.PrivateKey{
		"ES256": onceEC(elliptic.P256()),
		"ES384": onceEC(elliptic.P384()),
		"ES512": onceEC(elliptic.P521()),
	}
)

func onceEC(curve elliptic.Curve) func() *ecdsa.PrivateKey {
	return sync.OnceValue(func() *ecdsa.PrivateKey { return Must(ecdsa.GenerateKey(curve, rand.Reader)) })
}

// Signer is the shared key that fits an algorithm.
func Signer(algorithm string) crypto.Signer {
	if generate, ok := EC[algorithm]; ok {
		return generate()
	}
	return RSA()
}

// Must returns a value that cannot fail to be made in a test.
func Must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
