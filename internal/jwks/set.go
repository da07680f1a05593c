package jwks

import (
	"crypto/sha256"
	"strings"

	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

// maxSameID bounds the keys of one kid, since a token is tried with each of them.
const maxSameID = 10

var errNoKeys = redact.Words("the key set has no usable key")

// set is one version of the issuer's keys.
type set struct {
	keys   map[string][]*jose.PublicKey // by kid
	digest [sha256.Size]byte            // of the usable keys
	raw    []byte                       // the usable keys as a JWK set, written here
}

// parseSet reads a JWK set. Keys that are not for verifying signatures here are
// skipped, so that a new kind of key does not shut out the old ones: unknown
// types, other uses, weak keys, private ones, those without kid, those that are
// not well formed. Their number is bounded by the document's length alone.
func parseSet(document []byte) (*set, error) {
	jwks, err := jose.ParseKeySet(document)
	if err != nil {
		return nil, err
	}
	found := &set{keys: make(map[string][]*jose.PublicKey)}
	var written []string
	for _, jwk := range jwks {
		kid, _ := jwk.Get("kid").Text()
		if kid == "" || len(found.keys[kid]) == maxSameID {
			continue
		}
		if key, err := jose.ParsePublicJWK(jwk, algorithmOf(jwk)); err == nil {
			found.keys[kid] = append(found.keys[kid], key)
			written = append(written, string(key.MarshalJWK(kid)))
		}
	}
	if len(found.keys) == 0 {
		return nil, errNoKeys
	}
	found.raw = []byte(`{"keys":[` + strings.Join(written, ",") + `]}`)
	found.digest = sha256.Sum256(found.raw)
	return found, nil
}

// algorithmOf is the key's alg, or RS256 for an RSA key that names none, since
// that is what HelseID signs with. An EC key's curve decides.
func algorithmOf(jwk jose.Object) jose.Algorithm {
	if alg, ok := jwk.Get("alg").Text(); ok && alg != "" {
		return jose.Algorithm(alg)
	}
	if kty, _ := jwk.Get("kty").Text(); kty == "RSA" {
		return jose.RS256
	}
	return ""
}
