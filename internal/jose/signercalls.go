package jose

import (
	"context"
	"crypto"
	"crypto/rand"
	"fmt"

	"github.com/helseid-go/sdk/internal/redact"
)

// maxSignerCalls bounds the concurrent calls of one signer, including those that no
// caller waits for any longer.
const maxSignerCalls = 128

// signerCalls calls a signer that is not in memory, such as a KMS or an HSM. It may
// hang: a caller returns when its context ends. The call keeps its goroutine and its
// place, so that a signer that never returns holds a bounded number of both.
type signerCalls struct {
	places chan struct{}
}

func newSignerCalls() *signerCalls { return &signerCalls{make(chan struct{}, maxSignerCalls)} }

// signed is the result of a signer.
type signed struct {
	signature []byte
	err       error
	panicked  any
}

func (s *signerCalls) sign(ctx context.Context, signer crypto.Signer, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	select {
	case s.places <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("%d calls of the signer have not come back: %w", maxSignerCalls, ctx.Err())
	}
	done := make(chan signed, 1)
	go func() {
		result := signed{err: errSignerLeft}
		defer func() {
			result.panicked = recover()
			<-s.places
			done <- result
		}()
		result.signature, result.err = callSigner(ctx, signer, digest, opts)
	}()
	select {
	case result := <-done:
		if result.panicked != nil {
			panic(result.panicked) // where it can be recovered from
		}
		if result.err != nil {
			return nil, redact.Foreign(result.err)
		}
		return result.signature, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("no answer of the signer: %w", ctx.Err())
	}
}

// errSignerLeft is the outcome of a signer that ends its goroutine.
var errSignerLeft = redact.Words("the signer has ended without an answer")

func callSigner(ctx context.Context, signer crypto.Signer, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if remote, ok := signer.(ContextSigner); ok {
		return remote.SignContext(ctx, digest, opts)
	}
	return signer.Sign(rand.Reader, digest, opts)
}
