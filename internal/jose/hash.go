package jose

import (
	"crypto"
	"crypto/sha256"
	"unsafe"
)

// SHA256 hashes a text. It is read where it lies, since copying a token costs as
// much as hashing it: the hash function does not write to what it reads.
func SHA256(text string) [sha256.Size]byte { return sha256.Sum256(bytesOf(text)) }

func bytesOf(text string) []byte { return unsafe.Slice(unsafe.StringData(text), len(text)) }

// textOf makes a text of bytes that nobody will write to again, as
// strings.Builder does.
func textOf(data []byte) string { return unsafe.String(unsafe.SliceData(data), len(data)) }

// digest hashes the input of a signature. SHA-256, which nearly everything is
// signed with, needs no hash.Hash.
func (s *algorithmSpec) digest(input []byte) []byte {
	if s.hash == crypto.SHA256 {
		digest := sha256.Sum256(input)
		return digest[:]
	}
	hash := s.hash.New()
	hash.Write(input)
	return hash.Sum(nil)
}
