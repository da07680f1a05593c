package lab

import (
	"context"
	"crypto/ecdsa"
	"fmt"

	"github.com/helseid-go/sdk/internal/jose"
)

// RawToken signs a header and claims as they are, right or wrong.
func (i *Issuer) RawToken(header, claims string) (string, error) {
	return i.key.SignRaw(context.Background(), []byte(header), []byte(claims))
}

// Header is that of the issuer's tokens.
func (i *Issuer) Header() string {
	return fmt.Sprintf(`{"alg":"RS256","typ":"at+jwt","kid":%q}`, i.key.ID())
}

// RawProof signs a header and claims with the caller's key, right or wrong.
func (c *Caller) RawProof(header, claims string) (string, error) {
	return RawSign(c.Private, header, claims)
}

// JWK is the caller's public key.
func (c *Caller) JWK() (string, error) {
	key, err := jose.NewKey(c.Private, jose.KeyOptions{})
	if err != nil {
		return "", err
	}
	return key.Public().JWK(), nil
}

// PrivateJWK is what must never be in a header.
func (c *Caller) PrivateJWK() (string, error) {
	key, err := jose.NewKey(c.Private, jose.KeyOptions{})
	if err != nil {
		return "", err
	}
	jwk, err := key.MarshalPrivateJWK()
	return string(jwk), err
}

// RawSign signs a header and claims with ES256.
func RawSign(private *ecdsa.PrivateKey, header, claims string) (string, error) {
	key, err := jose.NewKey(private, jose.KeyOptions{})
	if err != nil {
		return "", err
	}
	return key.SignRaw(context.Background(), []byte(header), []byte(claims))
}
