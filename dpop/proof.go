package dpop

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

const (
	// HeaderName is the HTTP header that carries a proof.
	HeaderName = "DPoP"

	// NonceHeaderName is the HTTP header that carries a server's nonce.
	NonceHeaderName = "DPoP-Nonce"

	headerType = "dpop+jwt"
)

// unprintable makes the type that embeds it print as "[redacted]".
type unprintable = redact.Unprintable

// Target is the request that a proof is for. Printed, logged or marshalled it
// reads "[redacted]".
type Target struct {
	unprintable

	// Method is the HTTP method, as it will be sent. Empty means GET.
	Method string

	// URL is the request's URL. The proof leaves out its query and fragment. Required.
	URL *url.URL

	// Host replaces the host of URL if the request has a different Host header
	// ([http.Request].Host).
	Host string

	// AccessToken is the token that is sent with the request to an API. Its hash
	// becomes ath. Leave it empty at the token endpoint.
	AccessToken string

	// Nonce is the newest nonce of the server, if it has sent one.
	Nonce string
}

// Prover makes DPoP proofs (RFC 9449 section 4.2) with one key. It is safe for
// concurrent use.
type Prover struct {
	key *Key
	jws *jose.Signer
}

// ProverConfig says how to make proofs.
type ProverConfig struct {
	// Key signs. Required.
	Key *Key
}

// NewProver prepares a prover; the public key is encoded once. The error wraps
// ErrConfig.
func NewProver(config ProverConfig) (*Prover, error) {
	key := config.Key
	if key == nil || key.key == nil {
		return nil, fmt.Errorf("%w: field Key is required: make it with GenerateKey, ParseKey or NewKey", ErrConfig)
	}
	return &Prover{key: key, jws: jose.NewSigner(key.key, jose.Header{Type: headerType, EmbedKey: true})}, nil
}

// Thumbprint returns the thumbprint of the prover's key.
func (p *Prover) Thumbprint() string { return p.key.Thumbprint() }

// Proof makes a proof for one request, with a jti of 192 random bits. Make it just
// before sending the request and use it once: APIs accept it for seconds, and only the
// first time. The context is passed to a key that is a ContextSigner of package
// clientassertion.
func (p *Prover) Proof(ctx context.Context, target Target) (string, error) {
	htu, err := targetURI(target.URL, target.Host)
	if err != nil {
		return "", err
	}
	method := target.Method
	if method == "" {
		method = http.MethodGet
	}
	var claims jose.ObjectBuilder
	claims.String("jti", jose.NewID())
	claims.String("htm", method)
	claims.String("htu", htu)
	claims.Int("iat", time.Now().Unix())
	if target.AccessToken != "" {
		claims.String("ath", accessTokenHash(target.AccessToken))
	}
	if target.Nonce != "" {
		claims.String("nonce", target.Nonce)
	}
	proof, err := p.jws.Sign(ctx, claims.Bytes())
	if err != nil {
		return "", fmt.Errorf("dpop: proof: %w", err)
	}
	return proof, nil
}

// accessTokenHash returns the value of ath (RFC 9449 section 4.2).
func accessTokenHash(token string) string {
	digest := jose.SHA256(token)
	return base64.RawURLEncoding.EncodeToString(digest[:])
}
