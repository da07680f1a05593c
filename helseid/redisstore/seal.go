package redisstore

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/helseid-go/sdk/helseid/identity"
)

// sealedForm is the first byte of a sealed value: AES-256-GCM with the nonce first,
// under a key derived for the value's place.
const sealedForm = 1

// sealer encrypts values for the place where they are stored.
type sealer struct {
	keys []identity.Secret // decoded; the first encrypts, all decrypt
}

// newSealer requires keys that have been checked.
func newSealer(keys []identity.Secret) (sealer, error) {
	decoded := make([]identity.Secret, len(keys))
	for i, text := range keys {
		key, err := decodeKey(text)
		if err != nil {
			return sealer{}, fmt.Errorf("%w: field EncryptionKeys[%d] is not Base64", ErrConfig, i)
		}
		decoded[i] = identity.NewSecret(string(key))
	}
	return sealer{decoded}, nil
}

// seal encrypts a value for a place and a version.
func (s sealer) seal(place string, version uint64, value []byte) ([]byte, error) {
	aead, err := derive(s.keys[0], place)
	if err != nil {
		return nil, err
	}
	return aead.Seal([]byte{sealedForm}, nil, value, additionalData(place, version)), nil
}

// open decrypts what seal made for the same place and version. The error is
// [ErrDecrypt].
func (s sealer) open(place string, version uint64, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != sealedForm {
		return nil, ErrDecrypt
	}
	for _, key := range s.keys {
		aead, err := derive(key, place)
		if err != nil {
			return nil, err
		}
		if value, err := aead.Open(nil, nil, sealed[1:], additionalData(place, version)); err == nil {
			return value, nil
		}
	}
	return nil, ErrDecrypt
}

// derive makes the key of one place. A random nonce is safe for 2³² values under one
// key (NIST SP 800-38D, section 8.3): a single place never gets that many, but all of
// them together may.
func derive(key identity.Secret, place string) (cipher.AEAD, error) {
	derived, err := hkdf.Expand(sha256.New, []byte(key.Reveal()), "helseid redisstore 1\x00"+place, encryptionKeySize)
	if err != nil {
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func additionalData(place string, version uint64) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{sealedForm}, version), place...)
}
