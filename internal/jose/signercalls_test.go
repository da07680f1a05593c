package jose

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/redact"
)

// funcSigner is a signer that is a function.
type funcSigner struct {
	crypto.Signer
	sign func() ([]byte, error)
}

func (s *funcSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return s.sign() }

// deafSigner takes a context and ignores it.
type deafSigner struct{ funcSigner }

func (s *deafSigner) SignContext(context.Context, []byte, crypto.SignerOpts) ([]byte, error) {
	return s.sign()
}

func signerOf(t testing.TB, signer crypto.Signer) *Signer {
	t.Helper()
	key, err := NewKey(signer, KeyOptions{})
	require.NoError(t, err)
	return NewSigner(key, Header{Type: "JWT"})
}

// Nobody waits for a signer that hangs for longer than his context allows, and such
// calls do not pile up.
func TestSignerHangs(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(*funcSigner) crypto.Signer{
		"crypto.Signer":                       func(s *funcSigner) crypto.Signer { return s },
		"ContextSigner that does not heed it": func(s *funcSigner) crypto.Signer { return &deafSigner{*s} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				private := sharedEC[elliptic.P256()]()
				release := make(chan struct{})
				var calls atomic.Int64
				signer := signerOf(t, wrap(&funcSigner{private, func() ([]byte, error) {
					calls.Add(1)
					<-release
					return private.Sign(rand.Reader, make([]byte, 32), crypto.SHA256)
				}}))
				for range 2 * maxSignerCalls {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					start := time.Now()
					_, err := signer.Sign(ctx, []byte("{}"))
					require.Equal(t, time.Second, time.Since(start))
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.ErrorIs(t, err, ErrKey)
					cancel()
				}
				require.EqualValues(t, maxSignerCalls, calls.Load(), "the calls that stay behind are bounded")

				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				_, err := signer.Sign(ctx, []byte("{}"))
				require.ErrorIs(t, err, context.Canceled)
				require.NotErrorIs(t, err, ErrKey, "who has left says nothing about the key")

				close(release)
				synctest.Wait()
				token, err := signer.Sign(t.Context(), []byte("{}"))
				require.NoError(t, err, "it works when it comes back")
				require.NotEmpty(t, token)
			})
		})
	}
}

// What a signer does wrong is an ErrKey, and reaches the caller and no log.
func TestSignerFails(t *testing.T) {
	t.Parallel()
	private := sharedEC[elliptic.P256()]()
	throttled := errors.New("throttled: 06828399789")
	signer := signerOf(t, &funcSigner{private, func() ([]byte, error) { return nil, throttled }})
	_, err := signer.Sign(t.Context(), []byte("{}"))
	require.ErrorIs(t, err, ErrKey)
	require.ErrorIs(t, err, throttled)
	require.Equal(t, "unusable signing key: it did not sign with ES256: another error (*errors.errorString)", redact.Cause(err))

	signer = signerOf(t, &funcSigner{private, func() ([]byte, error) { return []byte("not DER"), nil }})
	_, err = signer.Sign(t.Context(), []byte("{}"))
	require.ErrorIs(t, err, ErrKey)

	signer = signerOf(t, &funcSigner{private, func() ([]byte, error) { panic("a bug of the signer's") }})
	require.PanicsWithValue(t, "a bug of the signer's", func() { _, _ = signer.Sign(t.Context(), []byte("{}")) },
		"where the caller can recover from it")

	signer = signerOf(t, &funcSigner{private, func() ([]byte, error) { runtime.Goexit(); return nil, nil }})
	_, err = signer.Sign(t.Context(), []byte("{}"))
	require.ErrorIs(t, err, ErrKey)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	signer = signerOf(t, &funcSigner{private, func() ([]byte, error) { panic("it must not be asked") }})
	_, err = signer.Sign(ctx, []byte("{}"))
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ErrKey)
}
