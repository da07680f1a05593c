package jose

import (
	"crypto/rand"
	"encoding/json"
	"strconv"
)

// ObjectBuilder writes a JSON object member by member, in the order given and
// without reflection. The zero value is ready to use.
type ObjectBuilder struct {
	buf []byte
}

func (b *ObjectBuilder) name(name string) {
	if len(b.buf) == 0 {
		b.buf = append(make([]byte, 0, 512), '{')
	} else {
		b.buf = append(b.buf, ',')
	}
	b.buf = appendString(b.buf, name)
	b.buf = append(b.buf, ':')
}

// String adds a string member.
func (b *ObjectBuilder) String(name, value string) {
	b.name(name)
	b.buf = appendString(b.buf, value)
}

// Int adds a number member.
func (b *ObjectBuilder) Int(name string, value int64) {
	b.name(name)
	b.buf = strconv.AppendInt(b.buf, value, 10)
}

// Raw adds a member whose value is JSON already.
func (b *ObjectBuilder) Raw(name, value string) {
	b.name(name)
	b.buf = append(b.buf, value...)
}

// Bytes closes the object. The builder must not be used afterwards.
func (b *ObjectBuilder) Bytes() []byte {
	if len(b.buf) == 0 {
		return []byte("{}")
	}
	return append(b.buf, '}')
}

func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil { // unreachable: a string always marshals
				quoted = []byte(`""`)
			}
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// NewID returns a fresh identifier for a jti, state or nonce: 192 random bits
// as 32 base64url characters.
func NewID() string {
	var random [24]byte
	_, _ = rand.Read(random[:]) // never fails (Go 1.24)
	return encodeSegment(random[:])
}
