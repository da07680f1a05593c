package dpop

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/helseid-go/sdk/internal/testkit"
)

func BenchmarkProof(b *testing.B) {
	for _, algorithm := range []string{"ES256", "ES384", "ES512", "PS256"} {
		b.Run(algorithm, func(b *testing.B) {
			prover := newProver(b, keyFor(b, algorithm))
			target := Target{Method: "GET", URL: parseURL(b, apiURI), AccessToken: accessToken}
			b.ReportAllocs()
			for b.Loop() {
				makeProof(b, prover, target)
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, algorithm := range []string{"ES256", "ES384", "ES512", "PS256"} {
		b.Run(algorithm, func(b *testing.B) {
			key := keyFor(b, algorithm)
			now := time.Now()
			verifier := newVerifier(b, VerifierConfig{
				Replay: &alwaysFirst{},
				Time:   func() time.Time { return now },
			})
			proof, expected := newDraft(b, key).sign(b), expectedGET(key)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := verifier.Verify(context.Background(), proof, expected); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// alwaysFirst leaves the replay store out of the measurement.
type alwaysFirst struct{}

func (alwaysFirst) Record(context.Context, Use) (bool, error) { return true, nil }

// BenchmarkBareECDSA is what proofs can cost at best.
func BenchmarkBareECDSA(b *testing.B) {
	key := testkit.EC["ES256"]()
	digest := sha256.Sum256([]byte("proof"))
	signature := testkit.Must(ecdsa.SignASN1(rand.Reader, key, digest[:]))
	b.Run("sign", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = ecdsa.SignASN1(rand.Reader, key, digest[:])
		}
	})
	b.Run("verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
				b.Fatal("not valid")
			}
		}
	})
}

func BenchmarkMemoryReplay(b *testing.B) {
	store := NewMemoryReplay(MemoryReplayConfig{Capacity: 1 << 24})
	base := time.Now().Add(time.Hour)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		_, _ = store.Record(context.Background(), useOf(i, i, base.Add(time.Duration(i%20)*time.Second)))
	}
}
