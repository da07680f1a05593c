package helseidtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/answer"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/jose"
)

// signingKey is a key that the server signs tokens with.
type signingKey struct {
	*mint.Key
	public *jose.PublicKey
}

// rsaKeys are made once in a process, since generating RSA keys is slow. All servers of
// a process use them in the same order.
var rsaKeys struct {
	sync.Mutex
	keys []*signingKey
}

func rsaKey(i int) (*signingKey, error) {
	rsaKeys.Lock()
	defer rsaKeys.Unlock()
	for len(rsaKeys.keys) <= i {
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, fmt.Errorf("helseidtest: %w", err)
		}
		fingerprint := sha256.Sum256(private.N.Bytes())
		key, err := mint.NewKey(private, strings.ToUpper(hex.EncodeToString(fingerprint[:20])))
		if err != nil {
			return nil, fmt.Errorf("helseidtest: %w", err)
		}
		public, err := jose.NewPublicKey(private.Public(), jose.RS256)
		if err != nil {
			return nil, fmt.Errorf("helseidtest: %w", err)
		}
		rsaKeys.keys = append(rsaKeys.keys, &signingKey{key, public})
	}
	return rsaKeys.keys[i], nil
}

// newECKey makes a key for a client or for proofs.
func newECKey() (crypto.Signer, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("helseidtest: %w", err)
	}
	return private, nil
}

// RotateKey publishes a new signing key and signs with it from now on. The old keys
// stay published until [Server.RetireKeys].
func (s *Server) RotateKey() error {
	s.mu.Lock()
	index := s.nextKey
	s.nextKey++
	s.mu.Unlock()
	key, err := rsaKey(index)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append(s.keys, key)
	return nil
}

// RetireKeys removes all keys but the newest from the key set.
func (s *Server) RetireKeys() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = s.keys[len(s.keys)-1:]
}

func (s *Server) signingKey() *mint.Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[len(s.keys)-1].Key
}

func (s *Server) serveJWKS(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	keys := make([]json.RawMessage, len(s.keys))
	for i, key := range s.keys {
		keys[i] = key.PublicJWK()
	}
	s.mu.Unlock()
	answer.JSON(w, http.StatusOK, map[string]any{"keys": keys})
}
