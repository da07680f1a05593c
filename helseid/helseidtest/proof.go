package helseidtest

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/helseid-go/sdk/internal/jose"
)

// ProofOption says what is wrong with a proof.
type ProofOption func(*proofSpec)

type proofSpec struct {
	header map[string]any
	claims map[string]any
	key    *mintingKey
	mangle func(string) string
	err    error
}

// ofKey stands for a member of the header that depends on the key, which an option
// after it may change.
type ofKey func(*jose.Key) (any, error)

// Proof mints a DPoP proof for a request with an access token of Server.Token.
// Query and fragment of the URL are left out. An empty token leaves ath out. It
// panics if a claim cannot be written as JSON or an option is given nonsense.
func (s *Server) Proof(method, target, token string, opts ...ProofOption) string {
	proof, err := s.mintProof(method, target, token, opts...)
	if err != nil {
		panic(err)
	}
	return proof
}

func (s *Server) mintProof(method, target, token string, opts ...ProofOption) (string, error) {
	spec := &proofSpec{
		key: s.proofKey,
		header: map[string]any{
			"typ": "dpop+jwt",
			"alg": ofKey(func(key *jose.Key) (any, error) { return string(key.Public().Algorithm()), nil }),
			"jwk": ofKey(func(key *jose.Key) (any, error) { return rawJSON(key.Public().JWK()), nil }),
		},
		claims: map[string]any{
			"jti": jose.NewID(),
			"htm": method,
			"htu": withoutQuery(target),
			"iat": s.Now().Unix(),
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
			value, err := of(spec.key.key)
			spec.err = cmp.Or(spec.err, err)
			spec.header[name] = value
		}
	}
	if spec.err != nil {
		return "", fmt.Errorf("helseidtest: %w", spec.err)
	}
	maps.DeleteFunc(spec.claims, func(_ string, value any) bool { return value == nil })
	maps.DeleteFunc(spec.header, func(_ string, value any) bool { return value == nil })
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

// Authorize puts a token of Server.Token and a proof for exactly this request
// on it. The proof is for the request's own URL: if the API under test has a
// PublicURL, make the request with that one, or give its prefix with BehindPrefix.
func (s *Server) Authorize(request *http.Request, token string, opts ...ProofOption) {
	target := *request.URL
	if target.Host == "" { // a request made by httptest.NewRequest with a path
		target.Scheme, target.Host = "http", request.Host
	}
	request.Header.Set("Authorization", "DPoP "+token)
	request.Header.Set("DPoP", s.Proof(request.Method, target.String(), token, opts...))
}

// BehindPrefix makes the proof for the URL that a client outside of a proxy has called,
// which takes the prefix off: publicURL, such as "https://api.example.no/journal", stands
// before the path of the request, as middleware.Config.PublicURL does.
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

// ProofClaim sets a claim of the proof to any value, or takes it out if the
// value is nil.
func ProofClaim(name string, value any) ProofOption {
	return func(s *proofSpec) { s.claims[name] = value }
}

// ProofHeader sets a member of the proof's header, or takes it out if the value
// is nil.
func ProofHeader(name string, value any) ProofOption {
	return func(s *proofSpec) { s.header[name] = value }
}

// ProofIssuedAt sets iat.
func ProofIssuedAt(at time.Time) ProofOption { return ProofClaim("iat", at.Unix()) }

// BrokenProofSignature changes the signature.
func BrokenProofSignature() ProofOption {
	return func(s *proofSpec) { s.mangle = breakSignature }
}

// PrivateKeyInProof puts the private key into the header.
func PrivateKeyInProof() ProofOption {
	return ProofHeader("jwk", ofKey(func(key *jose.Key) (any, error) {
		jwk, err := key.MarshalPrivateJWK()
		return rawJSON(jwk), err
	}))
}

// ProofKey makes the proof with a key of the caller's, a private JWK. Give the
// token the same with BoundToJWK or BoundTo.
func ProofKey(privateJWK []byte) ProofOption {
	return func(s *proofSpec) {
		key, err := jose.ParseKey(privateJWK, jose.KeyOptions{})
		if err != nil {
			s.err = err
			return
		}
		s.key = &mintingKey{key}
	}
}

// SignedWithAnotherKey makes the proof with a fresh key.
func SignedWithAnotherKey() ProofOption {
	return func(s *proofSpec) {
		key, err := newProofKey()
		if err != nil {
			s.err = err
			return
		}
		s.key = key
	}
}
