package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/helseid-go/sdk/internal/redact"
)

// ErrKey is wrapped by every error about a key that cannot be read or does not sign.
var ErrKey = redact.Words("unusable signing key")

const (
	// maxKeyText bounds what is read as a key, in bytes. A PEM file with an
	// RSA-8192 key and a chain of certificates is a third of it.
	maxKeyText = 64 << 10

	// maxWrapping bounds how often a key may be wrapped in quotes or Base64.
	maxWrapping = 4
)

var errForm = errors.New("it is neither a JWK (a JSON object) nor PEM nor DER")

// ParseKey reads a private key from a JWK (RFC 7517), from a JWK set with one
// private key, from PEM or from DER (PKCS#1, PKCS#8, SEC1). The text may be
// wrapped as environment variables and secret stores wrap it: quoted as a JSON
// string or by a shell, in Base64, with \n for line ends or on one line.
func ParseKey(data []byte, options KeyOptions) (*Key, error) {
	key, err := parseKey(data, options, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return key, nil
}

func parseKey(data []byte, options KeyOptions, wrapping int) (*Key, error) {
	if len(data) > maxKeyText {
		return nil, fmt.Errorf("it is larger than %d KiB: it is no key", maxKeyText>>10)
	}
	if isDER(data) {
		signer, err := parseDER(data)
		if err != nil {
			return nil, err
		}
		return NewKey(signer, options)
	}
	text, err := plainText(data)
	if err != nil {
		return nil, err
	}
	switch {
	case text == "":
		return nil, errors.New("it is empty")
	case strings.HasPrefix(text, "{") && !strings.HasPrefix(text, `{\`):
		return parseJSONKey([]byte(text), options)
	}
	if wrapping < maxWrapping {
		if inner, ok := unwrap(text); ok {
			return parseKey(inner, options, wrapping+1)
		}
	}
	if strings.Contains(text, pemBegin) {
		signer, err := parsePEM(text)
		if err != nil {
			return nil, err
		}
		return NewKey(signer, options)
	}
	return nil, foreignForm(text)
}

// plainText is the text without the marks and spaces around it. UTF-16, which
// PowerShell writes, is recognised by its mark or by the zeros in its first letters.
func plainText(data []byte) (string, error) {
	text := string(data)
	switch {
	case strings.HasPrefix(text, "\xff\xfe"):
		text = fromUTF16(text[2:], binary.LittleEndian)
	case strings.HasPrefix(text, "\xfe\xff"):
		text = fromUTF16(text[2:], binary.BigEndian)
	case len(text) >= 2 && text[0] != 0 && text[1] == 0:
		text = fromUTF16(text, binary.LittleEndian)
	case len(text) >= 2 && text[0] == 0 && text[1] != 0:
		text = fromUTF16(text, binary.BigEndian)
	case strings.HasPrefix(text, "\xfe\xed\xfe\xed"):
		return "", errKeyStore
	}
	if strings.Contains(text, "\x00") || !utf8.ValidString(text) {
		return "", errors.New("it is neither text in UTF-8 nor DER")
	}
	return strings.Trim(text, "\ufeff\u200b\u00a0 \t\r\n\v\f"), nil
}

func fromUTF16(text string, order binary.ByteOrder) string {
	units := make([]uint16, 0, len(text)/2)
	for data := []byte(text); len(data) >= 2; data = data[2:] {
		units = append(units, order.Uint16(data))
	}
	return string(utf16.Decode(units))
}

// UnwrapJSON takes off what environment variables and secret stores wrap around a
// JSON object: spaces, a byte order mark, quotes, Base64. Text that is something
// else comes back without the spaces around it.
func UnwrapJSON(data []byte) []byte {
	for range maxWrapping {
		text, err := plainText(data)
		if err != nil {
			return data
		}
		data = []byte(text)
		if text == "" || text[0] == '{' && !strings.HasPrefix(text, `{\`) {
			break
		}
		inner, ok := unwrap(text)
		if !ok {
			break
		}
		data = inner
	}
	return data
}

// unwrap takes one layer off a text that holds a key: quotes, the escapes of a
// JSON string that lost its quotes, percent-encoding, Base64.
func unwrap(text string) (inner []byte, ok bool) {
	if text[0] == '"' || text[0] == '\'' || strings.HasPrefix(text, `{\`) {
		return unquote(text)
	}
	if len(text) > 3 && strings.EqualFold(text[:3], "%7B") || strings.HasPrefix(text, "-----BEGIN%20") {
		decoded, err := url.PathUnescape(text)
		return []byte(decoded), err == nil
	}
	if strings.Contains(text, "-----") {
		return nil, false
	}
	decoded, err := decodeAnyBase64(literalLineEnds(text))
	if err != nil || !looksLikeKey(decoded) {
		return nil, false
	}
	return decoded, true
}

func unquote(text string) ([]byte, bool) {
	quoted := text
	if text[0] == '{' {
		quoted = `"` + text + `"`
	}
	var inner string
	if quoted[0] == '"' && json.Unmarshal([]byte(quoted), &inner) == nil {
		return []byte(inner), true
	}
	// Not a JSON string, but quoted or escaped anyway, as in an
	// environment file.
	if text[0] == '{' {
		return []byte(literalLineEnds(text)), true
	}
	if len(text) >= 2 && text[len(text)-1] == text[0] {
		return []byte(text[1 : len(text)-1]), true
	}
	return nil, false
}

// looksLikeKey keeps a password that happens to be Base64 from being read on. What
// is Base64 twice is Base64 of something that looks like a key.
func looksLikeKey(decoded []byte) bool {
	if isDER(decoded) {
		return true
	}
	text, err := plainText(decoded)
	if err != nil || text == "" {
		return false
	}
	if text[0] == '{' || text[0] == '"' || strings.Contains(text, pemBegin) {
		return true
	}
	inner, err := decodeAnyBase64(text)
	return err == nil && len(inner) > 0 && looksLikeKey(inner)
}

// literalLineEnds makes line ends of \n and \r\n as they are written in
// environment files, also where the backslash was doubled on the way.
func literalLineEnds(text string) string {
	for range 2 {
		text = strings.ReplaceAll(text, `\\`, `\`)
	}
	return strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\t`, "\t").Replace(text)
}

// parseJSONKey reads a JWK, or the one private key of a JWK set.
func parseJSONKey(data []byte, options KeyOptions) (*Key, error) {
	object, err := ParseObject(data)
	if err == nil && (!object.Has("keys") || object.Has("kty")) {
		for _, name := range []string{"privateJwk", "clientId"} {
			if object.Has(name) && !object.Has("kty") {
				return nil, errors.New("it is a client configuration: read it with helseid.LoadConfig or helseid.ParseConfig")
			}
		}
		return parsePrivateJWK(object, options)
	}
	set, setErr := ParseKeySet(data)
	if setErr != nil {
		if err == nil {
			err = setErr
		}
		return nil, err
	}
	return parsePrivateSet(set, options)
}

// parsePrivateSet takes the one key of a set that can sign. Several are a choice
// that only the caller can make.
func parsePrivateSet(set []Object, options KeyOptions) (*Key, error) {
	var found []*Key
	err := errors.New("the JWK set holds no private key")
	for _, jwk := range set {
		if jwk.Get("d").Empty() {
			continue
		}
		key, keyErr := parsePrivateJWK(jwk, options)
		if keyErr != nil {
			err = keyErr
			continue
		}
		found = append(found, key)
	}
	switch len(found) {
	case 0:
		return nil, err
	case 1:
		return found[0], nil
	}
	const most = 5
	var ids []string
	for _, jwk := range set {
		if kid, _ := jwk.Get("kid").Text(); kid != "" && len(ids) < most && !jwk.Get("d").Empty() {
			ids = append(ids, fmt.Sprintf("%.64q", kid))
		}
	}
	return nil, fmt.Errorf("the JWK set holds %d private keys, with kid %s: give the one that is registered with HelseID",
		len(found), strings.Join(ids, ", "))
}

// MarshalPrivateJWK writes the key as a private JWK with kid and alg. It fails
// for a key that lives in a KMS or HSM.
func (k *Key) MarshalPrivateJWK() ([]byte, error) {
	private, err := k.exportable()
	if err != nil {
		return nil, err
	}
	key, err := jwk.Import(private)
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

// MarshalPrivatePEM writes the key as PKCS#8 (RFC 5958) in a PEM block PRIVATE KEY,
// which tells neither kid nor alg. It fails for a key that lives in a KMS or HSM.
func (k *Key) MarshalPrivatePEM() ([]byte, error) {
	private, err := k.exportable()
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("%w: it cannot be written as PKCS#8", ErrKey)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// exportable is the private key if it is in memory.
func (k *Key) exportable() (crypto.Signer, error) {
	switch private := k.Signer().(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey:
		return private, nil
	}
	return nil, fmt.Errorf("%w: it cannot be exported from its signer", ErrKey)
}

// MarshalPublicJWK writes the public half with kid, alg and use, as it is
// registered with HelseID.
func (k *Key) MarshalPublicJWK() []byte { return k.public.MarshalJWK(k.id) }
