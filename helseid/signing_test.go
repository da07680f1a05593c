package helseid_test

import (
	"context"
	"crypto"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// kms is a key that is far away. Its hook is asked before each signature, with the
// number of the call.
type kms struct {
	crypto.Signer
	mu    sync.Mutex
	calls int
	hook  func(call int) error
}

func (k *kms) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	k.mu.Lock()
	k.calls++
	call, hook := k.calls, k.hook
	k.mu.Unlock()
	if hook != nil {
		if err := hook(call); err != nil {
			return nil, err
		}
	}
	return k.Signer.Sign(random, digest, opts)
}

func (k *kms) reset(hook func(call int) error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls, k.hook = 0, hook
}

func (k *kms) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.calls
}

var errThrottled = errors.New("ThrottlingException: slow down")

func oneInFive(call int) error {
	if call%5 == 0 {
		return errThrottled
	}
	return nil
}

func never(int) error { return errThrottled }

// kmsWorld is a world whose two keys are in a KMS.
func kmsWorld(t testing.TB, change func(*helseid.Config)) (w *world, client, proofs *kms) {
	t.Helper()
	w = newWorld(t, worldOptions{server: demanding})
	client, proofs = &kms{Signer: rsa2048()}, &kms{Signer: rsa2048()}
	config := w.server.NewClient(helseidtest.SigningKey(client, clientassertion.KeyOptions{}), helseidtest.Scopes(testScope, otherScope))
	w.config.ClientID, w.config.Key = config.ClientID, config.Key
	var err error
	w.config.DPoPKey, err = dpop.NewKey(proofs, dpop.KeyOptions{Algorithm: "PS256"})
	require.NoError(t, err)
	if change != nil {
		change(&w.config)
	}
	w.client = newClient(t, w.config)
	return w, client, proofs
}

// A KMS that throttles one call in five costs no call of an API.
func TestSignerThatFailsSometimes(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, client, proofs := kmsWorld(t, nil)
		client.reset(oneInFive)
		proofs.reset(oneInFive)
		api := w.api(apiHost, good)
		const calls = 60
		for i := range calls {
			request := helseid.TokenRequest{Scopes: []string{testScope}}
			if i%2 == 0 {
				w.client.TokenSource(request).Forget(t.Context())
			}
			_, err := get(t, w.client.HTTPClient(request), apiURL)
			require.NoError(t, err)
		}
		require.Len(t, api.received(), calls)
		require.Greater(t, w.events.of(helseid.EventRetry), calls/5)
	})
}

// How often a key is asked is Config.TokenRetries' matter. Its failure is not
// HelseID's, and sends nothing.
func TestSignerThatFails(t *testing.T) {
	t.Parallel()
	for retries, want := range map[int]int{-1: 1, 0: 3, 1: 2, 4: 5} {
		bubble(t, func(t *testing.T) {
			w, client, proofs := kmsWorld(t, func(c *helseid.Config) { c.TokenRetries = retries })
			api := w.api(apiHost, good)
			client.reset(never)
			_, err := get(t, w.client.HTTPClient(apiRequest), apiURL)
			var wrapped *url.Error
			require.ErrorAs(t, err, &wrapped)
			for _, target := range []error{helseid.ErrKey, helseid.ErrNoToken, clientassertion.ErrKey, dpop.ErrKey, errThrottled} {
				require.ErrorIs(t, err, target)
			}
			require.NotErrorIs(t, err, helseid.ErrUnavailable)
			require.Equal(t, want, client.count())
			require.Zero(t, w.tokenRequests())

			client.reset(nil)
			w.token(t)
			proofs.reset(never)
			_, err = get(t, w.client.HTTPClient(helseid.TokenRequest{Scopes: []string{testScope}}), apiURL)
			require.ErrorIs(t, err, helseid.ErrKey)
			require.ErrorIs(t, err, helseid.ErrNoToken, "without its proof the token is none")
			require.Equal(t, want, proofs.count())
			require.Empty(t, api.received())

			proofs.reset(nil)
			_, err = get(t, w.client.HTTPClient(apiRequest), apiURL)
			require.NoError(t, err, "the next call has nothing to wait for")
		})
	}
}

// A key that hangs ends a call when its deadline does, or after as long as a request
// to HelseID may take.
func TestSignerThatHangs(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, client, proofs := kmsWorld(t, func(c *helseid.Config) { c.RequestTimeout = 7 * time.Second })
		api := w.api(apiHost, good)
		back := make(chan struct{})
		hang := func(int) error { <-back; return nil }
		_, err := w.client.Token(t.Context(), helseid.TokenRequest{}) // so that the metadata is there
		require.NoError(t, err)
		call := func(deadline, want time.Duration) error {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			start := time.Now()
			_, err := send(t, w.client.HTTPClient(apiRequest), newRequest(t, http.MethodGet, apiURL, nil).WithContext(ctx))
			require.Equal(t, want, time.Since(start))
			require.ErrorIs(t, err, helseid.ErrKey)
			require.ErrorIs(t, err, helseid.ErrNoToken)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NotErrorIs(t, err, helseid.ErrUnavailable)
			return err
		}
		client.reset(hang)
		_ = call(3*time.Second, 3*time.Second)
		pause(time.Minute)
		_ = call(time.Minute, 7*time.Second)
		client.reset(nil)
		_, err = get(t, w.client.HTTPClient(apiRequest), apiURL)
		require.NoError(t, err)
		proofs.reset(hang)
		_ = call(3*time.Second, 3*time.Second)
		_ = call(time.Minute, 7*time.Second)

		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err = send(t, w.client.HTTPClient(apiRequest), newRequest(t, http.MethodGet, apiURL, nil).WithContext(ctx))
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, helseid.ErrKey, "who has left says nothing about the key")
		require.Len(t, api.received(), 1)
		close(back)
		synctest.Wait()
	})
}

// A login's code and a session's refresh token are not spent on a key that fails.
func TestSignerFailureSpendsNothing(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		var key *kms
		w := newLoginWorld(t, worldOptions{})
		key = &kms{Signer: rsa2048()}
		w.config.DPoPKey = mustDPoPKey(t, key)
		w.client = newClient(t, w.config)
		session := w.logIn(t)
		key.reset(never)
		other := helseid.TokenRequest{Resource: testResource, Scopes: []string{testScope}}
		session.TokenSource(other).Forget(t.Context())
		_, err := session.Token(t.Context(), other)
		requireError(t, err, helseid.ErrKey)
		require.NotErrorIs(t, err, helseid.ErrLoginRequired)
		key.reset(oneInFive)
		_, err = session.Token(t.Context(), other)
		require.NoError(t, err)
	})
}

func mustDPoPKey(t testing.TB, signer crypto.Signer) *dpop.Key {
	t.Helper()
	key, err := dpop.NewKey(signer, dpop.KeyOptions{Algorithm: "PS256"})
	require.NoError(t, err)
	return key
}

// ErrNoToken means that nothing of a call has reached the API, and nothing else does.
func TestErrNoToken(t *testing.T) {
	t.Parallel()
	call := func(w *world, ctx context.Context, request helseid.TokenRequest, target string) error {
		_, err := send(t, w.client.HTTPClient(request), newRequest(t, http.MethodGet, target, nil).WithContext(ctx))
		return err
	}
	for name, test := range map[string]struct {
		request helseid.TokenRequest
		target  string
		prepare func(t *testing.T, w *world) context.Context
		cause   error
	}{
		"HelseID is down": {apiRequest, apiURL, func(t *testing.T, w *world) context.Context {
			w.server.Inject(helseidtest.Fault{Times: -1, Status: http.StatusServiceUnavailable})
			return t.Context()
		}, helseid.ErrUnavailable},
		"HelseID refuses":      {helseid.TokenRequest{Scopes: []string{"nhn:other-api/x"}}, apiURL, nil, nil},
		"the request is wrong": {helseid.TokenRequest{Scopes: []string{""}}, apiURL, nil, helseid.ErrConfig},
		"the organisation is missing": {apiRequest, apiURL, func(t *testing.T, _ *world) context.Context {
			return helseid.ForOrganization(t.Context(), "", "")
		}, helseid.ErrConfig},
		"plain http": {apiRequest, "http://api.example.no/things", nil, helseid.ErrInsecureURL},
		"the client is closed": {apiRequest, apiURL, func(t *testing.T, w *world) context.Context {
			w.client.Close()
			return t.Context()
		}, helseid.ErrClosed},
		"the caller has left": {apiRequest, apiURL, func(t *testing.T, _ *world) context.Context {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return ctx
		}, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{config: noRetries})
			api := w.api(apiHost, good)
			ctx := t.Context()
			if test.prepare != nil {
				ctx = test.prepare(t, w)
			}
			err := call(w, ctx, test.request, test.target)
			require.Empty(t, api.received())
			requireError(t, err, helseid.ErrNoToken)
			if test.cause == nil {
				requireRefusal(t, err, "invalid_scope")
				return
			}
			require.ErrorIs(t, err, test.cause)
		})
	}
	t.Run("the API was reached", func(t *testing.T) {
		t.Parallel()
		for name, handler := range map[string]func(*http.Request) *http.Response{
			"and broke the connection":           func(*http.Request) *http.Response { return nil },
			"and wants a nonce, the key fails":   inTurn(nonceDemand("one")),
			"and redirects to where it must not": inTurn(answer(http.StatusFound, "Location", "https://elsewhere.example.no/")),
			"and redirects, and the key fails":   inTurn(answer(http.StatusFound, "Location", "/other")),
		} {
			w, _, proofs := kmsWorld(t, noRetries)
			w.token(t)
			proofs.reset(func(call int) error {
				if call > 1 {
					return errThrottled
				}
				return nil
			})
			api := w.api(apiHost, handler)
			err := call(w, t.Context(), helseid.TokenRequest{Scopes: []string{testScope}}, apiURL)
			require.Error(t, err, name)
			require.NotErrorIs(t, err, helseid.ErrNoToken, name)
			require.Len(t, api.received(), 1, name)
		}
	})
}

// UserInfo tells a key that fails from a HelseID that does not answer.
func TestUserInfoWithoutKey(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	key := &kms{Signer: rsa2048()}
	w.config.DPoPKey, w.config.TokenRetries = mustDPoPKey(t, key), -1
	w.client = newClient(t, w.config)
	session := w.logIn(t)
	_, err := session.UserInfo(t.Context())
	require.NoError(t, err)
	key.reset(never)
	_, err = session.UserInfo(t.Context())
	requireError(t, err, helseid.ErrKey)
	require.NotErrorIs(t, err, helseid.ErrUnavailable)
	require.NotContains(t, err.Error(), "HelseID is not available")
}
