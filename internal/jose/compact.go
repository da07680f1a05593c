package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"strings"
)

var (
	// ErrMalformed means that the text is not a JWS in compact form with a
	// strict JSON header.
	ErrMalformed = errors.New("not a JWS in compact form")
	// ErrSignature means that the signature does not verify.
	ErrSignature = errors.New("the signature does not verify")
)

var segmentEncoding = base64.RawURLEncoding.Strict()

// Compact is a JWS in compact form, taken apart but not verified.
type Compact struct {
	Header       Object
	HeaderJSON   string
	Payload      []byte
	signingInput string
	signature    []byte
}

// ParseCompact takes apart a token of at most maxLength bytes. A header with
// crit is refused, since no extension is understood here (RFC 7515 4.1.11), and so is
// one with b64, which changes what is signed and must be named in crit (RFC 7797
// section 6).
func ParseCompact(token string, maxLength int) (*Compact, error) {
	if len(token) > maxLength {
		return nil, errors.New("the token is too long")
	}
	if strings.Count(token, ".") != 2 {
		return nil, ErrMalformed
	}
	dot := strings.IndexByte(token, '.')
	last := strings.LastIndexByte(token, '.')

	header, err := decodeSegment(token[:dot])
	if err != nil {
		return nil, ErrMalformed
	}
	payload, err := decodeSegment(token[dot+1 : last])
	if err != nil {
		return nil, ErrMalformed
	}
	signature, err := decodeSegment(token[last+1:])
	if err != nil || len(signature) == 0 {
		return nil, ErrMalformed
	}
	object, err := ParseObject(header)
	if err != nil {
		return nil, ErrMalformed
	}
	if object.Has("crit") {
		return nil, errors.New("the header has crit, and no extension is understood")
	}
	if object.Has("b64") {
		return nil, errors.New("the header has b64, which is not understood")
	}
	return &Compact{Header: object, HeaderJSON: string(header), Payload: payload, signingInput: token[:last], signature: signature}, nil
}

// Verify checks the signature with key, and that the header names the key's
// algorithm: a token that lies about its algorithm is refused even when the
// signature happens to be good.
func (c *Compact) Verify(key *PublicKey) error {
	if alg, ok := c.Header.Get("alg").Text(); !ok || Algorithm(alg) != key.spec.name {
		return ErrAlgorithm
	}
	if !verifyDigest(key, key.spec.digest(bytesOf(c.signingInput)), c.signature) {
		return ErrSignature
	}
	return nil
}

func verifyDigest(key *PublicKey, digest, signature []byte) bool {
	var hash crypto.Hash = key.spec.hash
	switch key.spec.scheme {
	case pkcs1v15:
		return rsa.VerifyPKCS1v15(key.key.(*rsa.PublicKey), hash, digest, signature) == nil
	case pss:
		// RFC 7518 section 3.5: the salt is as long as the hash. The zero
		// options would accept any salt.
		opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
		return rsa.VerifyPSS(key.key.(*rsa.PublicKey), hash, digest, signature, opts) == nil
	default:
		return verifyECDSA(key.key.(*ecdsa.PublicKey), digest, signature)
	}
}

func encodeSegment(data []byte) string { return segmentEncoding.EncodeToString(data) }

// decodeSegment reads base64url without padding. The standard decoder skips
// line breaks; a token has none.
func decodeSegment(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, ErrMalformed
	}
	return segmentEncoding.DecodeString(text)
}
