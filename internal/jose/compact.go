package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
)

var (
	// ErrMalformed means that the text is not a JWS in compact form with a
	// strict JSON header.
	ErrMalformed = errors.New("not a JWS in compact form")
	// ErrSignature means that the signature does not verify.
	ErrSignature = errors.New("the signature does not verify")
)

// MaxProof is the maximum length of a DPoP proof, in bytes. A proof with an RSA-4096 key
// has about 2.5 KiB.
const MaxProof = 8 << 10

// How many values a header and the claims may hold, at all levels together: each
// member of an object and each element of a list. HelseID's tokens have some 40, and
// up to 100 more with the trust framework's attest for one patient; a header has
// five, and a key in it has no more. What a stranger sends is read before its
// signature is verified, and would otherwise cost more than that.
const (
	maxHeaderValues = 64
	maxClaimValues  = 512
)

var segmentEncoding = base64.RawURLEncoding.Strict()

// Compact is a JWS in compact form, taken apart but not verified.
type Compact struct {
	Header       Object
	HeaderJSON   string
	Payload      []byte
	payload      string // encoded
	signingInput string
	signature    []byte
}

// ParseCompact takes apart a token of at most maxLength bytes. A header with
// crit is refused, since no extension is understood here (RFC 7515 4.1.11), and so is
// one with b64, which changes what is signed and must be named in crit (RFC 7797
// section 6).
func ParseCompact(token string, maxLength int) (*Compact, error) {
	compact, err := ParseHeader(token, maxLength)
	if err != nil {
		return nil, err
	}
	if compact.Payload, err = decodeSegment(compact.payload); err != nil {
		return nil, ErrMalformed
	}
	return compact, nil
}

// ParseHeader is ParseCompact for what should cost little until its signature has
// been verified: Payload stays empty, and only Peek and Claims look at it.
func ParseHeader(token string, maxLength int) (*Compact, error) {
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
	signature, err := decodeSegment(token[last+1:])
	if err != nil || len(signature) == 0 {
		return nil, ErrMalformed
	}
	headerJSON := textOf(header)
	object, err := parseObject(headerJSON, maxHeaderValues)
	if err != nil {
		return nil, ErrMalformed
	}
	if object.Has("crit") {
		return nil, errors.New("the header has crit, and no extension is understood")
	}
	if object.Has("b64") {
		return nil, errors.New("the header has b64, which is not understood")
	}
	return &Compact{Header: object, HeaderJSON: headerJSON, payload: token[dot+1 : last], signingInput: token[:last], signature: signature}, nil
}

// Claims reads the payload as ParseObject does. Payload must not be written to.
func (c *Compact) Claims() (Object, error) {
	payload := c.Payload
	if payload == nil {
		var err error
		if payload, err = decodeSegment(c.payload); err != nil {
			return Object{}, ErrMalformed
		}
	}
	return parseObject(textOf(payload), maxClaimValues)
}

// peekBuffers hold payloads while they are peeked at.
var peekBuffers = sync.Pool{New: func() any { return new([]byte) }}

// Peek reads the payload as strictly as Claims does and shows the members of these
// names, for what decides whether the signature is worth verifying. It costs next to
// no memory, because its buffers are reused when it returns: read must keep nothing.
func (c *Compact) Peek(read func(Object) error, names ...string) error {
	buffer := peekBuffers.Get().(*[]byte)
	defer peekBuffers.Put(buffer)
	var err error
	if *buffer, err = appendSegment((*buffer)[:0], c.payload); err != nil {
		return ErrMalformed
	}
	object, err := parseObject(textOf(*buffer), maxClaimValues, names...)
	if err != nil {
		return err
	}
	return read(object)
}

// Verify checks the signature with key, and that the header names the key's
// algorithm: a token that names another algorithm is refused even if the
// signature verifies.
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

// decodeSegment reads base64url without padding.
func decodeSegment(text string) ([]byte, error) { return appendSegment(nil, text) }

// appendSegment appends the decoded form of base64url without padding. The standard
// decoder skips line breaks; a token has none.
func appendSegment(data []byte, text string) ([]byte, error) {
	if strings.IndexByte(text, '\r') >= 0 || strings.IndexByte(text, '\n') >= 0 {
		return data, ErrMalformed
	}
	return segmentEncoding.AppendDecode(data, bytesOf(text))
}
