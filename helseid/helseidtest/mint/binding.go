package mint

import (
	"strings"

	"github.com/helseid-go/sdk/internal/jose"
)

// SignedWithUnknownKey signs with a key that the server never publishes, under the kid
// of a published key. It is refused: token_signature.
func SignedWithUnknownKey() TokenOption {
	return func(s *tokenSpec) {
		key, err := unknownKey()
		if err != nil {
			s.fail(err)
			return
		}
		s.key = key
	}
}

// BrokenSignature changes the signature. It is refused: token_signature.
func BrokenSignature() TokenOption { return func(s *tokenSpec) { s.mangle = breakSignature } }

// Unbound removes cnf, as in the bearer tokens of APIs that have not moved to DPoP. Other
// APIs refuse it: token_binding.
func Unbound() TokenOption { return Claim("cnf", nil) }

// BoundTo binds the token to the DPoP key with this thumbprint. With a proof of another
// key it is refused: proof_key_mismatch.
func BoundTo(thumbprint string) TokenOption {
	return Claim("cnf", map[string]string{"jkt": thumbprint})
}

// BoundToJWK binds the token to the DPoP key with this public JWK. helseidtest.Server.Token
// panics if it is not one.
func BoundToJWK(publicJWK []byte) TokenOption {
	return func(s *tokenSpec) {
		thumbprint, err := thumbprintOf(publicJWK)
		if err != nil {
			s.fail(err)
			return
		}
		BoundTo(thumbprint)(s)
	}
}

func thumbprintOf(publicJWK []byte) (string, error) {
	object, err := jose.ParseObject(publicJWK)
	if err != nil {
		return "", err
	}
	public, err := jose.ParsePublicJWK(object, "")
	if err != nil {
		return "", err
	}
	return public.Thumbprint(), nil
}

// BoundToAnotherKey binds the token to a key that does not exist. It is refused:
// proof_key_mismatch.
func BoundToAnotherKey() TokenOption {
	return BoundTo("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")
}

// breakSignature changes a character in the middle of the signature.
func breakSignature(token string) string {
	dot := strings.LastIndexByte(token, '.')
	middle := dot + (len(token)-dot)/2
	replacement := byte('A')
	if token[middle] == replacement {
		replacement = 'B'
	}
	return token[:middle] + string(replacement) + token[middle+1:]
}
