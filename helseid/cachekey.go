package helseid

import (
	"crypto/sha256"
	"encoding/binary"
)

// cacheKey identifies one token. It is a hash of everything that the token
// depends on.
type cacheKey [sha256.Size]byte

// cacheKey hashes the parts with their lengths, so that no two lists of parts
// can meet.
func (c *Client) cacheKey(grant string, request *preparedRequest) cacheKey {
	parts := make([]byte, 0, 512)
	add := func(part string) {
		parts = binary.BigEndian.AppendUint64(parts, uint64(len(part)))
		parts = append(parts, part...)
	}
	add(c.config.Issuer)
	add(c.config.ClientID)
	add(grant)
	add(request.tokenType)
	add(c.prover.Thumbprint())
	add(request.scope)
	add(request.resource)
	for _, detail := range request.details {
		add(detail.String())
	}
	return sha256.Sum256(parts)
}
