package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/lestrrat-go/jwx/v3/jwk"
)

// ErrKey is wrapped by every error about a key that cannot be read.
var ErrKey = errors.New("unusable signing key")

// ParseKey reads a private key from a JWK (RFC 7517; also in Base64) or from
// PEM (PKCS#1, PKCS#8, SEC1).
func ParseKey(data []byte, options KeyOptions) (*Key, error) {
	key, err := parseKey(bytes.TrimSpace(data), options)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return key, nil
}

func parseKey(data []byte, options KeyOptions) (*Key, error) {
	if len(data) == 0 {
		return nil, errors.New("it is empty")
	}
	if data[0] == '{' {
		return parsePrivateJWK(data, options)
	}
	if bytes.Contains(data, []byte("-----BEGIN ")) {
		return parsePEM(data, options)
	}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
		if decoded, err := encoding.DecodeString(string(data)); err == nil && bytes.HasPrefix(decoded, []byte("{")) {
			return parsePrivateJWK(decoded, options)
		}
	}
	return nil, errors.New("it is neither a JWK (a JSON object) nor PEM")
}

func parsePrivateJWK(data []byte, options KeyOptions) (*Key, error) {
	object, err := ParseObject(data)
	if err != nil {
		return nil, err
	}
	kty, _ := object.Get("kty").Text()
	if kty != "RSA" && kty != "EC" {
		return nil, errKeyType
	}
	if object.Get("d").Absent() {
		return nil, errors.New("it is a public key: the private JWK with member d is needed")
	}
	if use := object.Get("use"); !use.Absent() && use.Raw() != `"sig"` {
		return nil, errors.New(`the JWK's use is not "sig"`)
	}
	if err := checkKeyOperations(object); err != nil {
		return nil, err
	}
	// Size first: the library refuses short keys too, but less helpfully.
	public, err := publicCryptoKey(object)
	if err != nil {
		return nil, err
	}
	if err := checkStrength(public); err != nil {
		return nil, err
	}
	if options, err = mergeOptions(object, options); err != nil {
		return nil, err
	}
	signer, err := importJWK(data)
	if err != nil {
		return nil, err
	}
	return NewKey(signer, options)
}

func checkKeyOperations(object Object) error {
	value := object.Get("key_ops")
	if value.Absent() {
		return nil
	}
	operations, ok := value.Array()
	if !ok || !slices.ContainsFunc(operations, func(v Value) bool { return v.Raw() == `"sign"` }) {
		return errors.New(`the JWK's key_ops do not allow "sign"`)
	}
	return nil
}

// mergeOptions takes from the JWK what the caller did not say.
func mergeOptions(object Object, options KeyOptions) (KeyOptions, error) {
	alg, kid := object.Get("alg"), object.Get("kid")
	if options.Algorithm == "" && !alg.Absent() {
		text, ok := alg.Text()
		if !ok {
			return options, errors.New("the JWK member alg is not a string")
		}
		if _, err := Algorithm(text).spec(); err != nil {
			return options, fmt.Errorf("the JWK member alg: %w", err)
		}
		options.Algorithm = Algorithm(text)
	}
	if options.ID == "" && !kid.Absent() {
		text, ok := kid.Text()
		if !ok {
			return options, errors.New("the JWK member kid is not a string")
		}
		options.ID = text
	}
	return options, nil
}

// importJWK lets jwx assemble the Go key, and then checks that the private
// part belongs to the public one.
func importJWK(data []byte) (crypto.Signer, error) {
	errMembers := errors.New("the JWK's members do not make a valid private key")
	parsed, err := jwk.ParseKey(data)
	if err != nil {
		return nil, errMembers // the library's text could quote the key
	}
	var private any
	if err := jwk.Export(parsed, &private); err != nil {
		return nil, errMembers
	}
	switch key := private.(type) {
	case *rsa.PrivateKey:
		if key.Validate() != nil {
			return nil, errMembers
		}
		key.Precompute()
		return key, nil
	case *ecdsa.PrivateKey:
		secret, err := key.Bytes()
		if err != nil {
			return nil, errMembers
		}
		derived, err := ecdsa.ParseRawPrivateKey(key.Curve, secret)
		if err != nil || !derived.PublicKey.Equal(&key.PublicKey) {
			return nil, errMembers
		}
		return derived, nil
	}
	return nil, errKeyType
}

func parsePEM(data []byte, options KeyOptions) (*Key, error) {
	var signer crypto.Signer
	certificate := false
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		found, err := pemSigner(block)
		if err != nil {
			return nil, err
		}
		if found == nil {
			certificate = certificate || block.Type == "CERTIFICATE"
			continue
		}
		if signer != nil {
			return nil, errors.New("the PEM text holds more than one private key")
		}
		signer = found
	}
	if signer == nil && certificate {
		return nil, errors.New("the PEM text holds a certificate, but the private key that belongs to it is needed")
	}
	if signer == nil {
		return nil, errors.New("the PEM text holds no private key: a block PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY is needed")
	}
	return NewKey(signer, options)
}

// pemSigner returns nil for blocks that are not private keys, such as a
// certificate or EC PARAMETERS beside the key.
func pemSigner(block *pem.Block) (crypto.Signer, error) {
	errDamaged := fmt.Errorf("the PEM block %s cannot be read", block.Type)
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
		return nil, errors.New("the PEM key is encrypted: decrypt it first, for instance with openssl pkey")
	}
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			return nil, errDamaged
		}
		return key, nil
	case "EC PRIVATE KEY":
		key, err := x509.ParseECPrivateKey(block.Bytes)
		if err != nil {
			return nil, errDamaged
		}
		return key, nil
	case "PRIVATE KEY":
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, errDamaged
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, errKeyType
		}
		return signer, nil
	}
	return nil, nil
}

// MarshalPrivateJWK writes the key as a private JWK with kid and alg. It fails
// for a key that lives in a KMS or HSM.
func (k *Key) MarshalPrivateJWK() ([]byte, error) {
	switch k.Signer().(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey:
	default:
		return nil, fmt.Errorf("%w: it cannot be exported from its signer", ErrKey)
	}
	key, err := jwk.Import(k.Signer())
	if err != nil {
		return nil, fmt.Errorf("%w: it cannot be written as JWK", ErrKey)
	}
	members := map[string]string{jwk.KeyIDKey: k.id, jwk.AlgorithmKey: string(k.public.spec.name), jwk.KeyUsageKey: "sig"}
	for name, value := range members {
		if err := key.Set(name, value); err != nil {
			return nil, fmt.Errorf("%w: it cannot be written as JWK", ErrKey)
		}
	}
	return json.Marshal(key)
}

// MarshalPublicJWK writes the public half with kid, alg and use, as it is
// registered with HelseID.
func (k *Key) MarshalPublicJWK() []byte {
	object, err := ParseObject([]byte(k.public.jwk))
	if err != nil { // unreachable: NewPublicKey wrote it
		return nil
	}
	var out ObjectBuilder
	for _, m := range object.members {
		out.Raw(m.name, m.value.raw)
	}
	out.String("use", "sig")
	out.String("alg", string(k.public.spec.name))
	out.String("kid", k.id)
	return out.Bytes()
}
