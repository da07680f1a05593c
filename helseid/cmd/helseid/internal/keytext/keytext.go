// Package keytext reads keys in the forms that people have them in: private and public
// JWKs, key sets, PEM, DER, and configuration files.
package keytext

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/jose"
)

// Key is a key with what may be shown of it.
type Key struct {
	Public  *jose.PublicKey
	ID      string // the kid, or the thumbprint if the text has none
	Private bool   // whether the text holds the private half
}

// JWK is the public half as it is registered with HelseID.
func (k *Key) JWK() []byte { return k.Public.MarshalJWK(k.ID) }

// Strength is the kind and size, such as "RSA with 4096 bits".
func Strength(key *jose.PublicKey) string {
	switch public := key.CryptoKey().(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA with %d bits", public.N.BitLen())
	case *ecdsa.PublicKey:
		return "EC on " + public.Curve.Params().Name
	}
	return "another kind"
}

// Read reads the one key in a text, which may be a client's configuration file. The error
// never quotes the text.
func Read(data []byte) (*Key, error) {
	if object, err := jose.ParseObject(jose.UnwrapJSON(data)); err == nil && !object.Has("keys") {
		if !object.Has("kty") {
			return ofConfiguration(data)
		}
		if !jose.HasPrivateMember(object) {
			return OfPublicJWK(object)
		}
	}
	if key := publicPEM(data); key != nil {
		return &Key{Public: key, ID: key.Thumbprint()}, nil
	}
	key, err := jose.ParseKey(data, jose.KeyOptions{})
	if err != nil {
		return nil, err
	}
	return &Key{Public: key.Public(), ID: key.ID(), Private: true}, nil
}

func ofConfiguration(data []byte) (*Key, error) {
	config, err := helseid.ParseConfig(data)
	if err != nil {
		return nil, err
	}
	return OfClient(config.Key)
}

// OfClient reads the public half of a client's key.
func OfClient(key *clientassertion.Key) (*Key, error) {
	object, err := jose.ParseObject(key.PublicJWK())
	if err != nil {
		return nil, err
	}
	found, err := OfPublicJWK(object)
	if err != nil {
		return nil, err
	}
	found.ID, found.Private = key.ID(), true
	return found, nil
}

// OfPublicJWK reads a public JWK.
func OfPublicJWK(jwk jose.Object) (*Key, error) {
	public, err := jose.ParsePublicJWK(jwk, "")
	if err != nil {
		return nil, err
	}
	id, _ := jwk.Get("kid").Text()
	if id == "" {
		id = public.Thumbprint()
	}
	return &Key{Public: public, ID: id}, nil
}

// publicPEM is a public key or the key of a certificate, or nil.
func publicPEM(data []byte) *jose.PublicKey {
	if strings.Contains(string(data), "PRIVATE KEY-----") {
		return nil
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil
	}
	parsed, err := publicKey(block)
	if err != nil {
		return nil
	}
	key, err := jose.NewPublicKey(parsed, "")
	if err != nil {
		return nil
	}
	return key
}

func publicKey(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return certificate.PublicKey, nil
	}
	return nil, errors.New("no public key")
}
