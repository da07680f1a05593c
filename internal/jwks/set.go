package jwks

import (
	"crypto/sha256"
	"errors"

	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

const maxKeys = 100

var errNoKeys = redact.Words("the key set has no usable key")

// set is one version of the issuer's keys.
type set struct {
	keys   map[string][]*jose.PublicKey // by kid
	digest [sha256.Size]byte            // of the document
	raw    []byte
}

// parseSet reads a JWK set. Keys that are not for verifying signatures here are
// skipped, so that a new kind of key does not shut out the old ones: unknown
// types, other uses, weak keys, private ones, those without kid.
func parseSet(document []byte) (*set, error) {
	object, err := jose.ParseObject(document)
	if err != nil {
		return nil, err
	}
	values, ok := object.Get("keys").Array()
	if !ok {
		return nil, errors.New("the key set has no member keys")
	}
	if len(values) > maxKeys {
		return nil, errors.New("the key set has too many keys")
	}
	found := &set{keys: make(map[string][]*jose.PublicKey), digest: sha256.Sum256(document), raw: document}
	for _, value := range values {
		jwk, ok := value.Object()
		if !ok {
			continue
		}
		kid, _ := jwk.Get("kid").Text()
		if kid == "" {
			continue
		}
		if key, err := jose.ParsePublicJWK(jwk, algorithmOf(jwk)); err == nil {
			found.keys[kid] = append(found.keys[kid], key)
		}
	}
	if len(found.keys) == 0 {
		return nil, errNoKeys
	}
	return found, nil
}

// algorithmOf is the key's alg, or RS256 for an RSA key that names none, since
// that is what HelseID signs with. An EC key's curve decides.
func algorithmOf(jwk jose.Object) jose.Algorithm {
	if alg, ok := jwk.Get("alg").Text(); ok {
		return jose.Algorithm(alg)
	}
	if kty, _ := jwk.Get("kty").Text(); kty == "RSA" {
		return jose.RS256
	}
	return ""
}
