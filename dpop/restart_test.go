package dpop

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/testkit"
)

// A process that starts after a crash, without the records of its predecessor, does not
// accept a used proof again, nor any other proof from before its first second.
func TestRestartForgetsNoProof(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key := keyFor(t, "ES256")
		used := newDraft(t, key).sign(t)
		verify := func(verifier *Verifier, proof string) error {
			_, err := verifier.Verify(context.Background(), proof, expectedGET(key))
			return err
		}
		require.NoError(t, verify(newVerifier(t, VerifierConfig{}), used))
		testkit.Sleep(1500 * time.Millisecond)

		restarted := newVerifier(t, VerifierConfig{})
		requireReason(t, ReasonBeforeStart, verify(restarted, used))
		same := newDraft(t, key).sign(t)
		require.NoError(t, verify(restarted, same), "from the second of the start")
		requireReason(t, ReasonReplayed, verify(restarted, same))
		late := newDraft(t, key) // by a client whose clock is behind by two seconds
		late.claims["iat"] = time.Now().Unix() - 2
		requireReason(t, ReasonBeforeStart, verify(restarted, late.sign(t)))

		testkit.Sleep(2 * time.Second)
		late.claims["iat"] = time.Now().Unix() - 2
		require.NoError(t, verify(restarted, late.sign(t)), "such a client gets in when its clock has passed the start")
		requireReason(t, ReasonBeforeStart, verify(restarted, used))
		require.NoError(t, verify(newVerifier(t, VerifierConfig{AcceptProofsFromBeforeStart: true}), used), "what the option gives up")
	})
}

// A nonce that only this process can have made shows that the proof was made after its
// start. A nonce that other processes can make does not show this.
func TestRestartWithNonces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key := keyFor(t, "ES256")
		send := func(nonces *NonceIssuer) error {
			d := newDraft(t, key)
			d.claims["iat"], d.claims["nonce"] = time.Now().Unix()-5, nonces.Nonce()
			_, err := newVerifier(t, VerifierConfig{Nonces: nonces}).Verify(context.Background(), d.sign(t), expectedGET(key))
			return err
		}
		own, err := NewNonceIssuer(NonceIssuerConfig{})
		require.NoError(t, err)
		require.NoError(t, send(own))
		shared, err := NewNonceIssuer(NonceIssuerConfig{Secret: make([]byte, 32)})
		require.NoError(t, err)
		requireReason(t, ReasonBeforeStart, send(shared))
	})
}

// A nonce issuer that goes on with a new verifier, as when a configuration is read again,
// is older than what that remembers.
func TestNoncesThatOutliveTheirVerifier(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key := keyFor(t, "ES256")
		nonces, err := NewNonceIssuer(NonceIssuerConfig{})
		require.NoError(t, err)
		used := newDraft(t, key)
		used.claims["nonce"] = nonces.Nonce()
		proof := used.sign(t)
		verify := func(verifier *Verifier) error {
			_, err := verifier.Verify(context.Background(), proof, expectedGET(key))
			return err
		}
		require.NoError(t, verify(newVerifier(t, VerifierConfig{Nonces: nonces})))
		testkit.Sleep(1500 * time.Millisecond)
		requireReason(t, ReasonBeforeStart, verify(newVerifier(t, VerifierConfig{Nonces: nonces})))
	})
}

// A wall clock that is set back by an hour does not cause an hour of refusals.
func TestStartByBothClocks(t *testing.T) {
	t.Parallel()
	store := NewMemoryReplay(MemoryReplayConfig{Capacity: 8})
	store.started = store.started.Add(-time.Hour) // an hour ago by both
	require.False(t, store.isFromBefore(time.Now().Add(-time.Minute), time.Now()))
	require.True(t, store.isFromBefore(time.Now().Add(-2*time.Hour), time.Now()))
	require.False(t, store.isFromBefore(time.Time{}, time.Now()), "nobody asks")
}
