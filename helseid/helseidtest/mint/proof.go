package mint

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/helseid-go/sdk/internal/jose"
)

// ProofOption changes a proof: its key, or what is wrong with it. Options apply in the
// order given.
type ProofOption func(*proofSpec)

// ofKey is the value of a header member that depends on the key, which a later option
// may change.
type ofKey func(*Key) (any, error)

// proofSpec is a proof that is not signed yet.
type proofSpec struct {
	header map[string]any
	claims map[string]any
	key    *Key
	mangle func(string) string
	err    error
}

// Proof mints a DPoP proof for a request with an access token. It leaves out query and
// fragment of the URL, and without a token also ath.
func (m *Minter) Proof(method, target, token string, opts ...ProofOption) (string, error) {
	spec := &proofSpec{
		key: m.ProofKey,
		header: map[string]any{"typ": "dpop+jwt",
			"alg": ofKey(func(key *Key) (any, error) { return key.algorithm(), nil }),
			"jwk": ofKey(func(key *Key) (any, error) { return key.member(), nil }),
		},
		claims: map[string]any{
			"jti": jose.NewID(),
			"htm": method,
			"htu": withoutQuery(target),
			"iat": m.Now().Unix(),
		},
	}
	if token != "" {
		digest := sha256.Sum256([]byte(token))
		spec.claims["ath"] = base64.RawURLEncoding.EncodeToString(digest[:])
	}
	for _, option := range opts {
		option(spec)
	}
	for name, value := range spec.header {
		if of, ok := value.(ofKey); ok {
			value, err := of(spec.key)
			spec.err = cmp.Or(spec.err, err)
			spec.header[name] = value
		}
	}
	if spec.err != nil {
		return "", fmt.Errorf("mint: %w", spec.err)
	}
	return signObjects(spec.key, spec.header, spec.claims, spec.mangle)
}

func withoutQuery(target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return target
	}
	u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = "", false, "", ""
	return u.String()
}

// BehindPrefix makes the proof for the URL that a client has called through a proxy
// that removes a path prefix. publicURL, such as "https://api.example.no/journal",
// replaces the origin and precedes the path of the request, like PublicURL of
// middleware.Config. It is for a request as the proxy passes it on; one that is sent to
// the public URL, through the proxy, needs no option.
func BehindPrefix(publicURL string) ProofOption {
	return func(s *proofSpec) {
		u, err := url.Parse(publicURL)
		if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			s.err = errors.New("BehindPrefix: the URL must be absolute, without query and fragment")
			return
		}
		inner, _ := s.claims["htu"].(string)
		_, rest, _ := strings.Cut(inner, "://")
		path := "/"
		if slash := strings.IndexByte(rest, '/'); slash >= 0 {
			path = rest[slash:]
		}
		s.claims["htu"] = u.Scheme + "://" + u.Host + strings.TrimSuffix(u.EscapedPath(), "/") + path
	}
}

// ProofClaim sets a claim of the proof to any value, or removes it if the value is nil.
func ProofClaim(name string, value any) ProofOption {
	return func(s *proofSpec) { s.claims[name] = value }
}

// ProofHeader sets a member of the proof's header, or removes it if the value is nil.
func ProofHeader(name string, value any) ProofOption {
	return func(s *proofSpec) { s.header[name] = value }
}

// ProofAge makes the proof this old by the server's clock. A negative age is in the
// future. One that is far off is refused: proof_iat.
func ProofAge(age time.Duration) ProofOption {
	return func(s *proofSpec) {
		if now, ok := seconds(s.claims["iat"]); ok {
			s.claims["iat"] = now - int64(age/time.Second)
		}
	}
}

// BrokenProofSignature changes the signature. It is refused: proof_signature.
func BrokenProofSignature() ProofOption {
	return func(s *proofSpec) { s.mangle = breakSignature }
}

// PrivateKeyInProof puts the private key into the header. It is refused: proof_jwk.
func PrivateKeyInProof() ProofOption {
	return ProofHeader("jwk", ofKey(func(key *Key) (any, error) {
		jwk, err := key.key.MarshalPrivateJWK()
		return rawJSON(jwk), err
	}))
}

// ProofKey signs the proof with the caller's key, a private JWK. Bind the token to the
// same key with [BoundToJWK] or [BoundTo].
func ProofKey(privateJWK []byte) ProofOption {
	return func(s *proofSpec) {
		key, err := jose.ParseKey(privateJWK, jose.KeyOptions{})
		if err != nil {
			s.err = err
			return
		}
		s.key = &Key{key: key}
	}
}

// ProofWithAnotherKey signs the proof with a new key. It is refused: proof_key_mismatch.
func ProofWithAnotherKey() ProofOption {
	return func(s *proofSpec) {
		key, err := jose.GenerateKey()
		if err != nil {
			s.err = err
			return
		}
		s.key = &Key{key: key}
	}
}
