package helseid

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"

	"github.com/helseid-go/sdk/dpop"
)

func mustSigner() crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func mustDPoPKey() *dpop.Key {
	key, err := dpop.GenerateKey(dpop.KeyOptions{})
	if err != nil {
		panic(err)
	}
	return key
}
