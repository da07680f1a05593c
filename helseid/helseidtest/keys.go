package helseidtest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/helseid-go/sdk/internal/jose"
)

// mintingKey is a key that the server signs with.
type mintingKey struct {
	key *jose.Key
}

// rsaKeys are made once in a process: RSA keys take long to find. All servers
// of a process take them in the same order.
var rsaKeys struct {
	sync.Mutex
	keys []*mintingKey
}

func rsaKey(i int) (*mintingKey, error) {
	rsaKeys.Lock()
	defer rsaKeys.Unlock()
	for len(rsaKeys.keys) <= i {
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, fmt.Errorf("helseidtest: %w", err)
		}
		fingerprint := sha1.Sum(private.N.Bytes())
		key, err := jose.NewKey(private, jose.KeyOptions{
			Algorithm: jose.RS256,
			ID:        strings.ToUpper(hex.EncodeToString(fingerprint[:])),
		})
		if err != nil {
			return nil, fmt.Errorf("helseidtest: %w", err)
		}
		rsaKeys.keys = append(rsaKeys.keys, &mintingKey{key})
	}
	return rsaKeys.keys[i], nil
}

func newProofKey() (*mintingKey, error) {
	key, err := jose.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("helseidtest: %w", err)
	}
	return &mintingKey{key}, nil
}

// sign signs any header and payload, also nonsense.
func (k *mintingKey) sign(header, payload []byte) (string, error) {
	return k.key.SignRaw(context.Background(), header, payload)
}

// RotateKey publishes a new signing key and signs with it from now on. The old
// ones stay published until RetireKeys.
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

// RetireKeys takes all keys but the newest out of the key set.
func (s *Server) RetireKeys() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = s.keys[len(s.keys)-1:]
}

func (s *Server) signingKey() *mintingKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[len(s.keys)-1]
}

func (s *Server) serveJWKS(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	keys := make([]rawJSON, len(s.keys))
	for i, key := range s.keys {
		keys[i] = rawJSON(key.key.MarshalPublicJWK())
	}
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"keys": keys})
}

type rawJSON []byte

// MarshalJSON implements json.Marshaler.
func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }

var unknownKeys struct {
	sync.Once
	key *mintingKey
	err error
}

// unknownKey is an RSA key that no server publishes.
func unknownKey() (*mintingKey, error) {
	unknownKeys.Do(func() {
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			unknownKeys.err = err
			return
		}
		key, err := jose.NewKey(private, jose.KeyOptions{Algorithm: jose.RS256})
		unknownKeys.key, unknownKeys.err = &mintingKey{key}, err
	})
	return unknownKeys.key, unknownKeys.err
}
