package helseid

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
)

// cacheKey identifies one token. It is a hash of everything that the token
// depends on.
type cacheKey [sha256.Size]byte

func (r *requestRules) cacheKey(request *preparedRequest) cacheKey {
	var buffer [hashRoom]byte
	parts := hashParts(buffer[:0]).
		add(r.issuer).
		add(r.clientID).
		add(request.grant).
		add(request.owner).
		add(strconv.FormatBool(request.forIssuer)).
		add(request.tokenType).
		add(r.thumbprint).
		add(request.scope).
		add(request.resource)
	for _, detail := range request.details {
		parts = parts.add(detail.String())
	}
	return sha256.Sum256(parts)
}

// hashParts are parts to be hashed. Each is preceded by its length, so that two
// different lists of parts never give the same bytes.
type hashParts []byte

// hashRoom is enough for the parts of most keys, so that they need no heap
// allocation.
const hashRoom = 768

func (p hashParts) add(part string) hashParts {
	return append(binary.BigEndian.AppendUint64(p, uint64(len(part))), part...)
}
