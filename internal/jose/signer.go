package jose

import "context"

// Header says which protected header a Signer writes.
type Header struct {
	// Type is the typ member.
	Type string
	// EmbedKey writes the public key as jwk (a DPoP proof) in place of its kid.
	EmbedKey bool
}

// Signer makes JWSs in compact form that share one header. The header is
// encoded once; only the payload differs.
type Signer struct {
	key    *Key
	prefix string // base64url(header) + "."
}

// NewSigner prepares the header.
func NewSigner(key *Key, header Header) *Signer {
	var object ObjectBuilder
	object.String("typ", header.Type)
	object.String("alg", string(key.public.spec.name))
	if header.EmbedKey {
		object.Raw("jwk", key.public.JWK())
	} else {
		object.String("kid", key.id)
	}
	return &Signer{key: key, prefix: encodeSegment(object.Bytes()) + "."}
}

// Sign makes a JWS of the payload. The context reaches a ContextSigner.
func (s *Signer) Sign(ctx context.Context, payload []byte) (string, error) {
	return s.key.compact(ctx, s.prefix, payload)
}

// SignRaw makes a JWS with any header and payload, also an untrue one. It is for
// tests: everything else uses a [Signer].
func (k *Key) SignRaw(ctx context.Context, header, payload []byte) (string, error) {
	return k.compact(ctx, encodeSegment(header)+".", payload)
}

func (k *Key) compact(ctx context.Context, prefix string, payload []byte) (string, error) {
	encoding := segmentEncoding
	room := encoding.EncodedLen(len(payload)) + 1 + encoding.EncodedLen(k.public.signatureLength())
	token := make([]byte, 0, len(prefix)+room)
	token = append(token, prefix...)
	token = encoding.AppendEncode(token, payload)
	signature, err := k.sign(ctx, token)
	if err != nil {
		return "", err
	}
	token = append(token, '.')
	token = encoding.AppendEncode(token, signature)
	return textOf(token), nil
}
