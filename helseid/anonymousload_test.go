package helseid_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// codeFilter lets the token endpoint treat codes in its own way, while refreshes
// and systems are served as ever.
type codeFilter struct {
	next http.RoundTripper
	mu   sync.Mutex
	how  func(*http.Request) (*http.Response, error)
}

func (f *codeFilter) install(config *helseid.Config) {
	if config.HTTPClient.Transport != f {
		f.next = config.HTTPClient.Transport
		config.HTTPClient = &http.Client{Transport: f}
	}
}

func (f *codeFilter) breakDown(how func(*http.Request) (*http.Response, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.how = how
}

func (f *codeFilter) RoundTrip(request *http.Request) (*http.Response, error) {
	f.mu.Lock()
	how := f.how
	f.mu.Unlock()
	if how == nil || request.Body == nil {
		return f.next.RoundTrip(request)
	}
	body, err := io.ReadAll(request.Body)
	_ = request.Body.Close()
	if err != nil {
		return nil, err
	}
	request = request.Clone(request.Context())
	request.Body = io.NopCloser(bytes.NewReader(body))
	if strings.Contains(string(body), "grant_type=authorization_code") {
		return how(request)
	}
	return f.next.RoundTrip(request)
}

// Anybody can open login pages, and send callbacks with codes that they have made
// up. However HelseID reacts to that, it does not affect existing sessions.
func TestAnonymousLoadAndRefreshes(t *testing.T) {
	t.Parallel()
	par := func(fault helseidtest.Fault) []helseidtest.Fault {
		fault.Endpoint, fault.Times = helseidtest.EndpointPAR, -1
		return []helseidtest.Fault{fault}
	}
	pause := http.Header{"Retry-After": {"60"}}
	for name, test := range map[string]struct {
		par    []helseidtest.Fault
		starts int // in a second
		codes  func(*http.Request) (*http.Response, error)
	}{
		"PAR answers 429, 2 a second":               {par: par(helseidtest.Fault{Status: 429}), starts: 2},
		"PAR answers 429, 40 a second":              {par: par(helseidtest.Fault{Status: 429}), starts: 40},
		"PAR answers 429 with a pause, 2 a second":  {par: par(helseidtest.Fault{Status: 429, Header: pause}), starts: 2},
		"PAR answers 429 with a pause, 40 a second": {par: par(helseidtest.Fault{Status: 429, Header: pause}), starts: 40},
		"PAR answers 503, 2 a second":               {par: par(helseidtest.Fault{Status: 503}), starts: 2},
		"PAR answers 503, 40 a second":              {par: par(helseidtest.Fault{Status: 503}), starts: 40},
		"PAR answers 503 with a pause, 40 a second": {par: par(helseidtest.Fault{Status: 503, Header: pause}), starts: 40},
		"PAR breaks off, 40 a second":               {par: par(helseidtest.Fault{Cut: true}), starts: 40},
		"PAR is silent, 40 a second":                {par: par(helseidtest.Fault{Delay: time.Hour}), starts: 40},
		"PAR takes 8 s, 10 a second":                {par: par(helseidtest.Fault{Delay: 8 * time.Second}), starts: 10},
		"PAR takes 300 ms, 300 a second":            {par: par(helseidtest.Fault{Delay: 300 * time.Millisecond}), starts: 300},
		"codes get invalid_grant": {starts: 40, codes: func(*http.Request) (*http.Response, error) {
			return jsonAnswer(http.StatusBadRequest, `{"error":"invalid_grant"}`), nil
		}},
		"codes get 429":        {starts: 40, codes: outages["too many"]},
		"codes get 503":        {starts: 40, codes: outages["503"]},
		"codes get no answer":  {starts: 40, codes: outages["hanging"]},
		"codes are cut off":    {starts: 40, codes: outages["refused"]},
		"both get no answer":   {par: par(helseidtest.Fault{Delay: time.Hour}), starts: 300, codes: outages["hanging"]},
		"both get 429":         {par: par(helseidtest.Fault{Status: 429}), starts: 300, codes: outages["too many"]},
		"both are unavailable": {par: par(helseidtest.Fault{Status: 503}), starts: 300, codes: outages["503"]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				filter := &codeFilter{}
				w := newLoginWorld(t, worldOptions{config: filter.install})
				const seconds, callbacks = 10, 40 // callbacks in a second
				sessions := make([]*helseid.Session, 10)
				for i := range sessions {
					sessions[i] = w.logIn(t)
				}
				var states []*helseid.LoginState
				for test.codes != nil && len(states) < seconds*callbacks {
					login, err := w.client.StartLogin(t.Context(), loginRequest())
					require.NoError(t, err)
					states = append(states, login.State)
				}
				w.server.Inject(test.par...)
				filter.breakDown(test.codes)

				ctx, cancel := context.WithCancel(t.Context())
				var strangers, users sync.WaitGroup
				every := func(interval time.Duration, n int, what func(i int)) {
					strangers.Go(func() {
						for i := 0; i < n && sleepFor(ctx, interval); i++ {
							strangers.Go(func() { what(i) })
						}
					})
				}
				every(time.Second/time.Duration(test.starts), seconds*test.starts, func(int) {
					_, _ = w.client.StartLogin(ctx, loginRequest())
				})
				every(time.Second/callbacks, len(states), func(i int) {
					answer := url.Values{"state": {states[i].ID()}, "iss": {w.config.Issuer}, "code": {"made-up"}}
					_, err := w.client.FinishLogin(ctx, states[i], answer)
					assert.ErrorIs(t, err, helseid.ErrLogin)
				})
				var longest atomic.Int64
				for i := range 2 * seconds {
					users.Go(func() {
						pause := time.Duration(i) * 500 * time.Millisecond
						sleepFor(ctx, pause)
						session, request := sessions[i%len(sessions)], helseid.TokenRequest{Resource: journalResource}
						start := time.Now()
						session.TokenSource(request).Forget(ctx)
						_, err := session.Token(ctx, request)
						assert.NoError(t, err, "a refresh failed")
						for took := int64(time.Since(start)); ; {
							if old := longest.Load(); took <= old || longest.CompareAndSwap(old, took) {
								break
							}
						}
					})
				}
				users.Wait()
				cancel()
				strangers.Wait()
				require.LessOrEqual(t, time.Duration(longest.Load()), 2*time.Second, "a refresh had to wait")
			})
		})
	}
}

// HelseID asks for a pause of a minute: of 200 who want tokens all the time, two
// requests at most reach it in that minute, and all others are told when to come
// back. Then one goes first.
func TestPauseAfterTooManyRequests(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", `{"error":"slow_down"}`} {
		for _, organizations := range []int{1, 200} {
			t.Run(fmt.Sprintf("organisations=%d body=%s", organizations, body), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T) {
					server := &fastHelseID{lifetime: time.Hour, latency: 100 * time.Millisecond}
					client := fastClient(t, server, nil)
					start := time.Now()
					var last atomic.Int64
					server.breakDown(func(r *http.Request) (*http.Response, error) {
						sleepFor(r.Context(), 100*time.Millisecond)
						last.Store(int64(time.Since(start)))
						response := jsonAnswer(http.StatusTooManyRequests, body)
						response.Header.Set("Retry-After", "60")
						return response, nil
					})
					var group sync.WaitGroup
					for i := range 200 {
						group.Go(func() {
							for time.Since(start) < 55*time.Second {
								_, err := client.Token(t.Context(), forNth(i%organizations))
								var refusal *helseid.TokenError
								if assert.ErrorAs(t, err, &refusal) {
									assert.ErrorIs(t, err, helseid.ErrUnavailable)
									assert.True(t, refusal.Temporary)
									assert.Equal(t, http.StatusTooManyRequests, refusal.StatusCode)
									assert.InDelta(t, 60-time.Since(start).Seconds(), refusal.RetryAfter.Seconds(), 0.2)
								}
								sleepFor(t.Context(), time.Second)
							}
						})
					}
					group.Wait()
					require.LessOrEqual(t, server.requests.Load(), int64(2))
					before := server.requests.Load()
					at(start, time.Duration(last.Load())+59*time.Second)
					for i := range 200 { // they wait for what is left, and then one of them goes
						group.Go(func() { _, _ = client.Token(t.Context(), forNth(i%organizations)) })
					}
					at(start, time.Duration(last.Load())+60*time.Second+50*time.Millisecond)
					require.Equal(t, before+1, server.requests.Load(), "one goes first")
					server.breakDown(nil)
					group.Wait()
					require.Equal(t, before+1, server.requests.Load(), "it was told to wait for another minute")
					at(start, 3*time.Minute)
					for i := range 200 {
						group.Go(func() {
							_, err := client.Token(t.Context(), forNth(i%organizations))
							assert.NoError(t, err)
						})
					}
					group.Wait()
					require.Equal(t, before+1+int64(organizations), server.requests.Load())
				})
			})
		}
	}
}

// The pause is given in seconds or as a date, which is HelseID's if the answer has
// one, and lasts for five minutes at most.
func TestRetryAfterOfTooManyRequests(t *testing.T) {
	t.Parallel()
	date := func(after time.Duration) string { return time.Now().Add(after).UTC().Format(http.TimeFormat) }
	for name, test := range map[string]struct {
		header func() http.Header
		want   time.Duration
	}{
		"seconds":                     {func() http.Header { return http.Header{"Retry-After": {"90"}} }, 90 * time.Second},
		"many seconds":                {func() http.Header { return http.Header{"Retry-After": {"86400"}} }, 5 * time.Minute},
		"more than a number can hold": {func() http.Header { return http.Header{"Retry-After": {strings.Repeat("9", 40)}} }, 5 * time.Minute},
		"a date":                      {func() http.Header { return http.Header{"Retry-After": {date(90 * time.Second)}} }, 90 * time.Second},
		"a date of a clock that is an hour ahead": {func() http.Header {
			return http.Header{"Retry-After": {date(time.Hour + 90*time.Second)}, "Date": {date(time.Hour)}}
		}, 90 * time.Second},
		"a date of a clock that is an hour behind": {func() http.Header {
			return http.Header{"Retry-After": {date(90*time.Second - time.Hour)}, "Date": {date(-time.Hour)}}
		}, 90 * time.Second},
		"a date far ahead": {func() http.Header { return http.Header{"Retry-After": {"Wed, 21 Oct 2099 07:28:00 GMT"}} }, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{})
				w.server.Inject(helseidtest.Fault{Status: 429, Header: test.header()})
				_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
				var refusal *helseid.TokenError
				require.ErrorAs(t, err, &refusal)
				require.Equal(t, test.want, refusal.RetryAfter)
				require.ErrorContains(t, err, test.want.String())
				pause(test.want - 5*time.Second)
				_, err = w.client.Token(t.Context(), helseid.TokenRequest{})
				require.ErrorAs(t, err, &refusal)
				require.Equal(t, 5*time.Second, refusal.RetryAfter, "what is left of it")
				require.Equal(t, 1, w.tokenRequests())
				pause(time.Second)
				start := time.Now()
				_, err = w.client.Token(t.Context(), helseid.TokenRequest{}) // it waits for no longer than a retry
				require.NoError(t, err)
				require.Equal(t, 4*time.Second, time.Since(start))
				require.Equal(t, 2, w.tokenRequests())
			})
		})
	}
	for _, header := range []string{"", "0", "-1", "1.5", "soon", "Wed, 21 Oct 1999 07:28:00 GMT"} {
		t.Run("no pause: "+header, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{})
				w.server.Inject(helseidtest.Fault{Status: 429, Header: http.Header{"Retry-After": {header}}})
				start := time.Now()
				_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
				require.NoError(t, err)
				require.LessOrEqual(t, time.Since(start), 250*time.Millisecond)
			})
		})
	}
}

// The queue of logins is short: when it is full a login fails at once, and none waits in
// it for long.
func TestLineOfLogins(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newLoginWorld(t, worldOptions{})
		_, err := w.client.StartLogin(t.Context(), loginRequest())
		require.NoError(t, err)
		w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointPAR, Delay: time.Hour, Times: -1})
		before := len(w.server.Requests(helseidtest.EndpointPAR))
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		var group sync.WaitGroup
		var atOnce, later atomic.Int64
		for range 300 {
			group.Go(func() {
				_, err := w.client.StartLogin(ctx, loginRequest())
				switch busy := errorIsBusy(t, err); {
				case busy && time.Since(start) == 0:
					atOnce.Add(1)
				case busy:
					assert.Equal(t, 5*time.Second, time.Since(start))
					later.Add(1)
				}
			})
		}
		synctest.Wait()
		require.EqualValues(t, 220, atOnce.Load(), "80 are in the line")
		at(start, 6*time.Second)
		require.EqualValues(t, 64, later.Load(), "16 are under way")
		require.Len(t, w.server.Requests(helseidtest.EndpointPAR), before+16)
		cancel()
		group.Wait()
		w.server.ClearFaults()
		start = time.Now()
		_, err = w.client.StartLogin(t.Context(), loginRequest())
		require.NoError(t, err, "those who have given up leave nothing behind")
		require.Zero(t, time.Since(start))
	})
}

func errorIsBusy(t *testing.T, err error) bool {
	t.Helper()
	assertError(t, err, helseid.ErrUnavailable)
	return assert.Error(t, err) && isBusy(err)
}

// A login that cannot be redeemed now is not spent: its state and its code are as
// good as before.
func TestBusyCallbackIsNotSpent(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		filter := &codeFilter{}
		w := newLoginWorld(t, worldOptions{config: filter.install})
		w.logIn(t)
		state, callback := w.callback(t, loginRequest())
		other, err := w.client.StartLogin(t.Context(), loginRequest())
		require.NoError(t, err)
		filter.breakDown(func(*http.Request) (*http.Response, error) {
			return answer(http.StatusTooManyRequests, "Retry-After", "30"), nil
		})
		madeUp := url.Values{"state": {other.State.ID()}, "iss": {w.config.Issuer}, "code": {"made-up"}}
		_, err = w.client.FinishLogin(t.Context(), other.State, madeUp)
		require.ErrorIs(t, err, helseid.ErrUnavailable)
		_, err = w.client.FinishLogin(t.Context(), state, callback)
		require.ErrorIs(t, err, helseid.ErrLogin)
		var refusal *helseid.TokenError
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, 30*time.Second, refusal.RetryAfter)
		filter.breakDown(nil)
		pause(30 * time.Second)
		_, err = w.client.FinishLogin(t.Context(), state, callback)
		require.NoError(t, err)
	})
}

// The same applies if the login gets no slot in time, or if HelseID rejects the request
// unprocessed, but not if the outcome is unknown.
func TestCallbackThatWasNotTaken(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		crowd  int
		codes  func(*http.Request) (*http.Response, error)
		reason error
		again  bool
	}{
		"no slot":   {16, outages["hanging"], helseid.ErrBusy, true},
		"503":       {0, outages["503"], helseid.ErrUnavailable, true},
		"429":       {0, outages["too many"], helseid.ErrUnavailable, true},
		"no answer": {0, outages["hanging"], helseid.ErrUnavailable, false},
		"500":       {0, func(*http.Request) (*http.Response, error) { return answer(500), nil }, helseid.ErrUnavailable, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				filter := &codeFilter{}
				w := newLoginWorld(t, worldOptions{config: filter.install})
				w.logIn(t)
				state, callback := w.callback(t, loginRequest())
				filter.breakDown(test.codes)
				var crowd sync.WaitGroup
				for range test.crowd {
					login, err := w.client.StartLogin(t.Context(), loginRequest())
					require.NoError(t, err)
					madeUp := url.Values{"state": {login.State.ID()}, "iss": {w.config.Issuer}, "code": {"made-up"}}
					crowd.Go(func() { _, _ = w.client.FinishLogin(t.Context(), login.State, madeUp) })
				}
				synctest.Wait()
				_, err := w.client.FinishLogin(t.Context(), state, callback)
				require.ErrorIs(t, err, helseid.ErrLogin)
				require.ErrorIs(t, err, test.reason)
				filter.breakDown(nil)
				crowd.Wait()
				_, err = w.client.FinishLogin(t.Context(), state, callback)
				if test.again {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, "finished before")
				}
			})
		})
	}
}

// A caller that gives up has learnt nothing about HelseID, and does not affect others.
func TestGivingUpIsNoEvidence(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newLoginWorld(t, worldOptions{})
		_, err := w.client.StartLogin(t.Context(), loginRequest())
		require.NoError(t, err)
		w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointPAR, Delay: time.Hour, Times: 3})
		for i := range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			if i == 1 {
				ctx, cancel = context.WithTimeout(t.Context(), time.Second)
			}
			time.AfterFunc(time.Second, cancel)
			_, err := w.client.StartLogin(ctx, loginRequest())
			requireError(t, err, helseid.ErrUnavailable)
		}
		start := time.Now()
		_, err = w.client.StartLogin(t.Context(), loginRequest())
		require.NoError(t, err)
		require.Zero(t, time.Since(start), "there is no outage to be careful about")
	})
}

// What systems have been refused does not stop logins and sessions, and these do
// not lift it.
func TestLoginStartDoesNotLiftARefusal(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newLoginWorld(t, worldOptions{})
		session := w.logIn(t)
		w.server.Inject(helseidtest.Fault{Status: 400, Body: `{"error":"unauthorized_client"}`, Times: -1})
		for range 10 {
			_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
			require.Error(t, err)
		}
		before := w.tokenRequests()
		w.server.ClearFaults()
		for range 3 {
			_, err := w.client.StartLogin(t.Context(), loginRequest())
			require.NoError(t, err)
			session.TokenSource(helseid.TokenRequest{Resource: journalResource}).Forget(t.Context())
			_, err = userToken(t, session, journalResource)
			require.NoError(t, err)
			before++
			_, err = w.client.Token(t.Context(), helseid.TokenRequest{})
			require.Error(t, err)
		}
		require.Equal(t, before, w.tokenRequests())
	})
}

func isBusy(err error) bool { return errors.Is(err, helseid.ErrBusy) }
