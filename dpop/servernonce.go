package dpop

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/internal/redact"
)

const (
	// nonceStep is how often the nonce changes.
	nonceStep = 30 * time.Second

	// nonceSteps is the number of earlier nonces that are still accepted.
	nonceSteps = 4

	minNonceSecret = 32
)

// NonceIssuer makes and checks the nonces of an API or server (RFC 9449 section 9). A
// nonce is a time step with a keyed hash, so nothing is stored, and all processes with
// the same secret accept the same nonces. The nonce changes every 30 seconds and is
// accepted for two and a half minutes at most, and half a minute more if it is from a
// replica whose clock is ahead.
type NonceIssuer struct {
	secret redact.Hidden[[]byte]
	own    bool // the secret is random and known to this process only
	taken  atomic.Bool
}

// NonceIssuerConfig configures a [NonceIssuer]. The zero value is for a single process.
// Printed, logged or marshalled it reads "[redacted]".
type NonceIssuerConfig struct {
	// Secret is what the replicas share, at least 32 random bytes. Nil means a random
	// one, which no other process has; an empty one is an error.
	Secret []byte

	unprintable
}

// NewNonceIssuer makes an issuer. The error wraps [ErrConfig].
func NewNonceIssuer(config NonceIssuerConfig) (*NonceIssuer, error) {
	secret, own := config.Secret, config.Secret == nil
	if own {
		secret = make([]byte, minNonceSecret)
		_, _ = rand.Read(secret) // never fails (Go 1.24)
	}
	if len(secret) < minNonceSecret {
		return nil, fmt.Errorf("%w: field Secret has %d bytes: it must have at least %d", ErrConfig, len(secret), minNonceSecret)
	}
	return &NonceIssuer{secret: redact.Hide(append([]byte(nil), secret...)), own: own}, nil
}

// takeFirst reports whether every nonce has been made for the verifier that asks: no other
// process has the secret, and no verifier has asked before. Nonces may be older than the
// replay store of a later verifier.
func (n *NonceIssuer) takeFirst() bool { return n.own && n.taken.CompareAndSwap(false, true) }

// Nonce returns the newest nonce.
func (n *NonceIssuer) Nonce() string { return n.at(currentStep()) }

// Valid reports whether the nonce is the newest one or one of the few before it. It
// also accepts the next nonce, from a replica whose clock is ahead.
func (n *NonceIssuer) Valid(nonce string) bool {
	step, ok := nonceTime(nonce)
	if now := currentStep(); !ok || step > now+1 || step < now-nonceSteps {
		return false
	}
	return hmac.Equal([]byte(nonce), []byte(n.at(step)))
}

func currentStep() int64 { return time.Now().Unix() / int64(nonceStep/time.Second) }

// at is base64url(step || HMAC-SHA-256(secret, step) cut to 128 bits).
func (n *NonceIssuer) at(step int64) string {
	var text [24]byte
	binary.BigEndian.PutUint64(text[:8], uint64(step))
	mac := hmac.New(sha256.New, n.secret.Reveal())
	mac.Write([]byte("helseid-go/sdk dpop nonce"))
	mac.Write(text[:8])
	copy(text[8:], mac.Sum(nil))
	return base64.RawURLEncoding.EncodeToString(text[:])
}

func nonceTime(nonce string) (int64, bool) {
	if len(nonce) != 32 {
		return 0, false
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(nonce)
	if err != nil || len(text) != 24 {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(text[:8])), true
}
