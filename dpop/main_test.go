package dpop

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/testkit"
)

const (
	apiURI      = "https://api.example.no/v1/things"
	accessToken = "opaque-access-token"
)

func keyFor(t testing.TB, algorithm string) *Key {
	t.Helper()
	key, err := NewKey(testkit.Signer(algorithm), KeyOptions{Algorithm: algorithm})
	require.NoError(t, err)
	return key
}

func newProver(t testing.TB, key *Key) *Prover {
	t.Helper()
	prover, err := NewProver(ProverConfig{Key: key})
	require.NoError(t, err)
	return prover
}

func newVerifier(t testing.TB, config VerifierConfig) *Verifier {
	t.Helper()
	verifier, err := NewVerifier(config)
	require.NoError(t, err)
	return verifier
}

func parseURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	require.NoError(t, err)
	return u
}

func makeProof(t testing.TB, prover *Prover, target Target) string {
	t.Helper()
	proof, err := prover.Proof(context.Background(), target)
	require.NoError(t, err)
	return proof
}

// decoded is a proof with its signature verified by the key that it carries.
type decoded struct {
	header, claims         map[string]any
	headerJSON, claimsJSON string
}

func decode(t testing.TB, proof string) decoded {
	t.Helper()
	compact, err := jose.ParseCompact(proof, maxProof)
	require.NoError(t, err)
	jwk, ok := compact.Header.Get("jwk").Object()
	require.True(t, ok)
	alg, _ := compact.Header.Get("alg").Text()
	key, err := jose.ParsePublicJWK(jwk, jose.Algorithm(alg))
	require.NoError(t, err)
	require.NoError(t, compact.Verify(key))
	out := decoded{headerJSON: compact.HeaderJSON, claimsJSON: string(compact.Payload)}
	require.NoError(t, json.Unmarshal([]byte(out.headerJSON), &out.header))
	require.NoError(t, json.Unmarshal(compact.Payload, &out.claims))
	return out
}

// draft is a proof to be bent by a test before it is signed.
type draft struct {
	key    *Key
	header map[string]any
	claims map[string]any
}

// newDraft is a good proof for GET apiURI with accessToken, made at the moment.
func newDraft(t testing.TB, key *Key) *draft {
	t.Helper()
	return &draft{
		key:    key,
		header: map[string]any{"typ": "dpop+jwt", "alg": key.Algorithm(), "jwk": json.RawMessage(key.key.Public().JWK())},
		claims: map[string]any{
			"jti": jose.NewID(), "htm": "GET", "htu": apiURI, "iat": time.Now().Unix(), "ath": accessTokenHash(accessToken),
		},
	}
}

func (d *draft) sign(t testing.TB) string {
	t.Helper()
	return signRaw(t, d.key, string(testkit.Must(json.Marshal(d.header))), string(testkit.Must(json.Marshal(d.claims))))
}

func signRaw(t testing.TB, key *Key, header, claims string) string {
	t.Helper()
	proof, err := key.key.SignRaw(context.Background(), []byte(header), []byte(claims))
	require.NoError(t, err)
	return proof
}

// expectedGET is what an API expects of newDraft's proof.
func expectedGET(key *Key) Expectation {
	return Expectation{Method: "GET", URI: apiURI, AccessToken: accessToken, Thumbprint: key.Thumbprint()}
}

func requireReason(t testing.TB, want Reason, err error) {
	t.Helper()
	var refused *ProofError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, want, refused.Reason)
	require.ErrorIs(t, err, ErrInvalidProof)
	require.NotErrorIs(t, err, ErrUnavailable)
}

// countingStore is a ReplayStore that counts, and fails if told to.
type countingStore struct {
	mu    sync.Mutex
	uses  []Use
	first bool
	err   error
}

func (s *countingStore) Record(_ context.Context, use Use) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uses = append(s.uses, use)
	return s.first, s.err
}

var rawURL = base64.RawURLEncoding
