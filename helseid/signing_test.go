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

// A key that does not sign, or not in time, is told once for each request that failed
// because of it.
func TestSignerFailureIsTold(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, client, proofs := kmsWorld(t, nil)
		w.api(apiHost, good)
		api := w.client.HTTPClient(apiRequest)
		back := make(chan struct{})
		hang := func(int) error { <-back; return nil }
		failed := func() []helseid.Event {
			synctest.Wait()
			var found []helseid.Event
			for _, event := range w.events.all() {
				if event.Kind == helseid.EventKeyFailed {
					require.ErrorIs(t, event.Err, helseid.ErrKey)
					require.Equal(t, w.config.ClientID, event.ClientID)
					found = append(found, event)
				}
			}
			w.events.reset()
			return found
		}
		for name, hook := range map[string]func(int) error{"fails": never, "hangs": hang} {
			client.reset(hook)
			_, err := get(t, api, apiURL)
			requireError(t, err, helseid.ErrKey)
			events := failed()
			require.Len(t, events, 1, name)
			require.Equal(t, w.config.Key.ID(), events[0].KeyID, name)
			require.True(t, events[0].Shared, name)
		}
		client.reset(func(call int) error {
			if call == 1 {
				return errThrottled
			}
			return nil
		})
		_, err := get(t, api, apiURL)
		require.NoError(t, err)
		require.Empty(t, failed(), "it has signed")

		for name, hook := range map[string]func(int) error{"fails": never, "hangs": hang} {
			proofs.reset(hook)
			_, err := get(t, api, apiURL)
			requireError(t, err, helseid.ErrKey)
			events := failed()
			require.Len(t, events, 1, name)
			require.Empty(t, events[0].KeyID, "it is about the DPoP key")
			require.False(t, events[0].Shared, name)
		}
		proofs.reset(hang)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err = send(t, api, newRequest(t, http.MethodGet, apiURL, nil).WithContext(ctx))
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, failed(), "who has left says nothing about the key")
		close(back)
	})
}

// Only a new token needs the client's key. Calls that have one do not notice that the
// key fails or hangs, not even while the token is renewed.
func TestSignerFailureStopsNoCallWithToken(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]func(back chan struct{}) func(int) error{
		"fails": func(chan struct{}) func(int) error { return never },
		"hangs": func(back chan struct{}) func(int) error { return func(int) error { <-back; return errThrottled } },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{})
				client, back := &kms{Signer: rsa2048()}, make(chan struct{})
				config := w.server.NewClient(helseidtest.SigningKey(client, clientassertion.KeyOptions{}), helseidtest.Scopes(testScope))
				w.config.ClientID, w.config.Key = config.ClientID, config.Key
				w.client = newClient(t, w.config)
				api := w.api(apiHost, good)
				source := w.client.HTTPClient(apiRequest)
				start := time.Now()
				expiry := w.token(t).Expiry
				client.reset(broken(back))
				calls := 0
				for ; time.Now().Before(expiry.Add(-10 * time.Second)); calls++ {
					before := time.Now()
					_, err := get(t, source, apiURL)
					require.NoError(t, err, time.Since(start))
					require.Equal(t, before, time.Now(), "it has waited for the key")
					pause(5 * time.Second)
				}
				require.Len(t, api.received(), calls)
				require.Positive(t, w.events.of(helseid.EventKeyFailed), "the renewals have failed")
				require.Positive(t, w.events.of(helseid.EventCacheStale))
				pause(time.Minute)
				_, err := get(t, source, apiURL)
				requireError(t, err, helseid.ErrKey)
				close(back)
				client.reset(nil)
				_, err = get(t, source, apiURL)
				require.NoError(t, err)
			})
		})
	}
}

// A signer with a context knows when its signature is of no use any more: when the
// request's deadline has passed, or Config.RequestTimeout. A token is fetched for all
// callers, and for no longer than that.
func TestSignerGetsTheDeadline(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		client := &contextSigner{failingSigner: failingSigner{Signer: rsa2048(), good: 1000}}
		proofs := &contextSigner{failingSigner: failingSigner{Signer: rsa2048(), good: 1000}}
		w := newLoginWorld(t, worldOptions{})
		config := w.server.NewClient(helseidtest.SigningKey(client, clientassertion.KeyOptions{}),
			helseidtest.RedirectURI(redirectURI), helseidtest.Scopes(testScope, journalScope))
		w.config.ClientID, w.config.Key, w.config.RequestTimeout = config.ClientID, config.Key, 7*time.Second
		w.config.DPoPKey = mustDPoPKey(t, proofs)
		w.client = newClient(t, w.config)
		w.api(apiHost, good)
		within := func(signer *contextSigner, want time.Duration) {
			t.Helper()
			require.NotEmpty(t, signer.contexts)
			for _, ctx := range signer.contexts {
				deadline, limited := ctx.Deadline()
				require.True(t, limited)
				require.Equal(t, want, time.Until(deadline))
			}
			signer.contexts = nil
		}
		for given, want := range map[time.Duration]time.Duration{3 * time.Second: 3 * time.Second, time.Minute: 7 * time.Second} {
			ctx, cancel := context.WithTimeout(t.Context(), given)
			_, err := send(t, w.client.HTTPClient(apiRequest), newRequest(t, http.MethodGet, apiURL, nil).WithContext(ctx))
			require.NoError(t, err)
			require.Len(t, client.contexts, 1)
			within(client, 7*time.Second)
			require.Len(t, proofs.contexts, 2)
			proofs.contexts = proofs.contexts[1:] // the first is the token's
			within(proofs, want)
			w.client.TokenSource(apiRequest).Forget(ctx)

			login, err := w.client.StartLogin(ctx, loginRequest())
			require.NoError(t, err)
			within(client, want)
			target, err := w.server.LogIn(login.URL)
			require.NoError(t, err)
			_, err = w.client.FinishLogin(ctx, login.State, target.Query())
			require.NoError(t, err)
			within(client, want)
			within(proofs, want)
			cancel()
		}
	})
}

// A key that hangs ends a FinishLogin when its caller does. The code has not been sent:
// the login can be finished later.
func TestSignerThatHangsInFinishLogin(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newLoginWorld(t, worldOptions{server: demanding})
		client, proofs := &kms{Signer: rsa2048()}, &kms{Signer: rsa2048()}
		config := w.server.NewClient(helseidtest.SigningKey(client, clientassertion.KeyOptions{}),
			helseidtest.RedirectURI(redirectURI), helseidtest.Scopes(testScope, journalScope))
		w.config.ClientID, w.config.Key, w.config.DPoPKey = config.ClientID, config.Key, mustDPoPKey(t, proofs)
		w.client = newClient(t, w.config)
		state, answer := w.callback(t, loginRequest())
		back := make(chan struct{})
		hang := func(int) error { <-back; return nil }
		for name, key := range map[string]*kms{"assertion": client, "proof": proofs} {
			key.reset(hang)
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			_, err := w.client.FinishLogin(ctx, state, answer)
			cancel()
			require.Equal(t, 2*time.Second, time.Since(start), name)
			for _, target := range []error{helseid.ErrLogin, helseid.ErrKey, context.DeadlineExceeded} {
				require.ErrorIs(t, err, target, name)
			}
			require.NotErrorIs(t, err, helseid.ErrUnavailable, name)

			start = time.Now()
			ctx, cancel = context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err = w.client.FinishLogin(ctx, state, answer)
			require.Equal(t, time.Second, time.Since(start), name)
			require.ErrorIs(t, err, helseid.ErrLogin, name)
			require.ErrorIs(t, err, context.Canceled, name)
			require.NotErrorIs(t, err, helseid.ErrKey, name)
			key.reset(nil)
		}
		require.Zero(t, w.tokenRequests())

		// The code has been sent, and a nonce is demanded: nobody is asked any more.
		w.server.DemandNewNonceEachTime(true)
		client.reset(func(call int) error {
			if call > 1 {
				pause(3 * time.Second)
			}
			return nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := w.client.FinishLogin(ctx, state, answer)
		require.NoError(t, err)
		require.Equal(t, 2, w.tokenRequests())
		require.Equal(t, 2, client.count())
		close(back)
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
