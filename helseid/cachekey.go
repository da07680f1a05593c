package helseid

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
)

// cacheKey identifies one token. It is a hash of everything that the token
// depends on.
type cacheKey [sha256.Size]byte

func (c *Client) cacheKey(request *preparedRequest) cacheKey {
	var hash partHash
	hash.add(c.config.Issuer)
	hash.add(c.config.ClientID)
	hash.add(request.grant)
	hash.add(request.owner)
	hash.add(strconv.FormatBool(request.forIssuer))
	hash.add(request.tokenType)
	hash.add(c.prover.Thumbprint())
	hash.add(request.scope)
	hash.add(request.resource)
	for _, detail := range request.details {
		hash.add(detail.String())
	}
	return hash.sum()
}

// partHash hashes parts with their lengths, so that no two lists of parts can
// meet.
type partHash struct {
	parts []byte
}

func (h *partHash) add(part string) {
	if h.parts == nil {
		h.parts = make([]byte, 0, 512)
	}
	h.parts = binary.BigEndian.AppendUint64(h.parts, uint64(len(part)))
	h.parts = append(h.parts, part...)
}

func (h *partHash) sum() [sha256.Size]byte { return sha256.Sum256(h.parts) }
