package verification

import (
	"context"
	"errors"
	"slices"

	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/jwks"
)

// maxKeyID bounds the kid header.
const maxKeyID = 256

// keyID is the kid of a header whose alg is one of those that are supported. Where it
// is missing or no text it is empty, and no key has that.
func keyID(header jose.Object) (string, error) {
	alg, ok := header.Get("alg").Text()
	if !ok || !slices.Contains(jose.Algorithms(), jose.Algorithm(alg)) {
		return "", refuse(ReasonAlgorithm)
	}
	kid, _ := header.Get("kid").Text()
	if len(kid) > maxKeyID {
		return "", refuse(ReasonKey)
	}
	return kid, nil
}

// checkSignature verifies with the issuer's keys of this kid, and returns their
// generation. A key is tried for its own algorithm only.
func checkSignature(ctx context.Context, set *jwks.KeySet, compact *jose.Compact, kid string) (generation uint64, err error) {
	keys, generation, err := set.Keys(ctx, kid)
	switch {
	case errors.Is(err, jwks.ErrUnknownKey):
		return 0, refuse(ReasonKey)
	case err != nil:
		return 0, err
	}
	reason := ReasonAlgorithm
	for _, key := range keys {
		err := compact.Verify(key)
		if err == nil {
			return generation, nil
		}
		if errors.Is(err, jose.ErrSignature) {
			reason = ReasonSignature
		}
	}
	return 0, refuse(reason)
}

// Signature verifies a token's signature alone and returns its payload. It refuses a
// payload that has a member twice, or one of these names in another case: the reader
// of the payload could take another value than this package. The errors are those of
// [Rules.Verify].
func Signature(ctx context.Context, keys *jwks.KeySet, token string, names ...string) ([]byte, error) {
	if len(token) > MaxToken {
		return nil, refuse(ReasonTooLong)
	}
	compact, err := jose.ParseCompact(token, MaxToken)
	if err != nil {
		return nil, refuse(ReasonMalformed)
	}
	kid, err := keyID(compact.Header)
	if err != nil {
		return nil, err
	}
	payload, err := compact.Claims()
	if err != nil || payload.CheckFolded(names...) != nil {
		return nil, refuse(ReasonMalformed)
	}
	if _, err := checkSignature(ctx, keys, compact, kid); err != nil {
		return nil, err
	}
	return compact.Payload, nil
}
