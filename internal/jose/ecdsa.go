package jose

import (
	"crypto/ecdsa"
	"errors"
	"math/big"
)

var errDER = errors.New("the signer returned no ASN.1 ECDSA signature")

// rawECDSA turns SEQUENCE { INTEGER r, INTEGER s } into r || s, each padded to
// size bytes (RFC 7518 section 3.4).
func rawECDSA(der []byte, size int) ([]byte, error) {
	body, rest, ok := derElement(der, 0x30)
	if !ok || len(rest) != 0 {
		return nil, errDER
	}
	raw := make([]byte, 2*size)
	for i := range 2 {
		var integer []byte
		if integer, body, ok = derElement(body, 0x02); !ok {
			return nil, errDER
		}
		for len(integer) > 0 && integer[0] == 0 {
			integer = integer[1:]
		}
		if len(integer) == 0 || len(integer) > size {
			return nil, errDER
		}
		copy(raw[(i+1)*size-len(integer):], integer)
	}
	if len(body) != 0 {
		return nil, errDER
	}
	return raw, nil
}

// derElement splits one DER element off data. Lengths above 255 bytes do not
// occur in ECDSA signatures.
func derElement(data []byte, tag byte) (content, rest []byte, ok bool) {
	if len(data) < 2 || data[0] != tag {
		return nil, nil, false
	}
	length, data := int(data[1]), data[2:]
	if length == 0x81 && len(data) > 0 {
		length, data = int(data[0]), data[1:]
	} else if length >= 0x80 {
		return nil, nil, false
	}
	if length > len(data) {
		return nil, nil, false
	}
	return data[:length], data[length:], true
}

func verifyECDSA(key *ecdsa.PublicKey, digest, signature []byte) bool {
	size := (key.Curve.Params().BitSize + 7) / 8
	if len(signature) != 2*size {
		return false
	}
	r := new(big.Int).SetBytes(signature[:size])
	s := new(big.Int).SetBytes(signature[size:])
	return ecdsa.Verify(key, digest, r, s)
}
