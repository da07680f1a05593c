package helseid_test

import (
	"context"
	"encoding/json"
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

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/identity"
)

// fastHelseID answers token requests without checking them, so that tests with
// tens of thousands of tokens take seconds. Its tokens are opaque, as long as
// HelseID's, and start with the organisation that they are for.
type fastHelseID struct {
	lifetime time.Duration
	latency  time.Duration
	broken   func(*http.Request) (*http.Response, error) // if set, in place of the token endpoint
	requests atomic.Int64                                // to the token endpoint
	seen     sync.Map                                    // jti
	twice    atomic.Int64                                // jti that came twice
	mu       sync.Mutex
}

const fastIssuer = "https://fast.helseid.test"

func (f *fastHelseID) breakDown(how func(*http.Request) (*http.Response, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = how
}

func (f *fastHelseID) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body == nil {
		return jsonAnswer(http.StatusOK, `{"issuer":"`+fastIssuer+`","token_endpoint":"`+fastIssuer+`/connect/token","jwks_uri":"`+fastIssuer+`/jwks"}`), nil
	}
	form, err := io.ReadAll(request.Body)
	_ = request.Body.Close()
	if err != nil {
		return nil, err
	}
	f.requests.Add(1)
	values, err := url.ParseQuery(string(form))
	if err != nil {
		return nil, err
	}
	assertion := values.Get("client_assertion")
	var claims struct {
		JTI     string          `json:"jti"`
		Details json.RawMessage `json:"assertion_details"`
	}
	if err := decodePayload(assertion, &claims); err != nil {
		return nil, err
	}
	if _, again := f.seen.LoadOrStore(claims.JTI, true); again {
		f.twice.Add(1)
	}
	f.mu.Lock()
	broken := f.broken
	f.mu.Unlock()
	if broken != nil {
		return broken(request)
	}
	if f.latency > 0 && !sleepFor(request.Context(), f.latency) {
		return nil, request.Context().Err()
	}
	organization := "none"
	if _, after, ok := strings.Cut(string(claims.Details), "NO:ORGNR:"); ok {
		organization = after[:9]
	}
	token := organization + "." + strings.Repeat("x", 1100)
	return jsonAnswer(http.StatusOK, fmt.Sprintf(`{"access_token":%q,"token_type":"DPoP","expires_in":%d}`, token, int(f.lifetime/time.Second))), nil
}

func jsonAnswer(status int, body string) *http.Response {
	response := answer(status, "Content-Type", "application/json")
	response.Body = io.NopCloser(strings.NewReader(body))
	return response
}

func decodePayload(token string, target any) error {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	data, err := b64decode(payload)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, target)
}

func sleepFor(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// fastClient is a client of a fast HelseID.
func fastClient(t testing.TB, server *fastHelseID, change func(*helseid.Config)) *helseid.Client {
	t.Helper()
	config := helseid.Config{
		Issuer: fastIssuer, ClientID: "fast", Key: testKey(t), HTTPClient: &http.Client{Transport: server},
	}
	if change != nil {
		change(&config)
	}
	return newClient(t, config)
}

func organizationNumber(i int) identity.OrganizationNumber {
	return identity.OrganizationNumber(fmt.Sprintf("9%08d", i))
}

func forNth(i int) helseid.TokenRequest {
	return helseid.TokenRequest{Organization: clientassertion.Organization{Parent: organizationNumber(i)}}
}

var outages = map[string]func(*http.Request) (*http.Response, error){
	"503":      func(*http.Request) (*http.Response, error) { return answer(http.StatusServiceUnavailable), nil },
	"refused":  func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") },
	"hanging":  func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() },
	"too many": func(*http.Request) (*http.Response, error) { return answer(http.StatusTooManyRequests), nil },
	"slow 503": func(r *http.Request) (*http.Response, error) {
		if !sleepFor(r.Context(), 200*time.Millisecond) {
			return nil, r.Context().Err()
		}
		return answer(http.StatusServiceUnavailable), nil
	},
}

// HelseID is down for ten minutes, with a thousand organisations: those with a
// valid token notice nothing, the others do not storm it, and the first call
// after the recovery succeeds.
func TestOutageOfTenMinutes(t *testing.T) {
	t.Parallel()
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				server := &fastHelseID{lifetime: time.Hour}
				client := fastClient(t, server, nil)
				const warm, all = 500, 1000
				for i := range warm {
					_, err := client.Token(t.Context(), forNth(i))
					require.NoError(t, err)
				}
				before := server.requests.Load()
				server.breakDown(outage)
				start := time.Now()
				var group sync.WaitGroup
				var lost, got atomic.Int64
				for second := range 600 {
					at(start, time.Duration(second)*time.Second)
					for i := range 10 {
						group.Go(func() {
							if _, err := client.Token(t.Context(), forNth((second*10+i)%warm)); err != nil {
								lost.Add(1)
							}
						})
						group.Go(func() {
							ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
							defer cancel()
							token, err := client.Token(ctx, forNth(warm+(second*10+i)%(all-warm)))
							if token != nil || err == nil {
								got.Add(1)
							}
							if !errors.Is(err, context.DeadlineExceeded) {
								assertError(t, err, helseid.ErrUnavailable)
							}
						})
					}
				}
				at(start, 600*time.Second)
				during := server.requests.Load() - before
				t.Logf("%s: %d requests reached HelseID in ten minutes of outage", name, during)
				require.Zero(t, lost.Load(), "a call with a valid token failed")
				require.Zero(t, got.Load(), "a token out of nothing")
				// One request with its two retries per second is the pace of the
				// callers here; 32 at once the most before the outage is known.
				require.LessOrEqual(t, during, int64(600*3+32*3))
				require.GreaterOrEqual(t, during, int64(10), "nobody found out about a recovery")
				group.Wait()
				server.breakDown(nil)
				_, err := client.Token(t.Context(), forNth(all))
				require.NoError(t, err, "the first call after the recovery")
				require.Zero(t, server.twice.Load(), "an assertion was sent twice")
			})
		})
	}
}

// All organisations become active at the moment in which HelseID goes down: as
// soon as one request has failed, the rest must not try each for itself.
func TestOutageIsKnownToThoseInTheQueue(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"503", "refused", "slow 503", "hanging"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				server := &fastHelseID{lifetime: time.Hour}
				client := fastClient(t, server, nil)
				server.breakDown(outages[name])
				var group sync.WaitGroup
				errs := make([]error, 1000)
				for i := range errs {
					group.Go(func() { _, errs[i] = client.Token(t.Context(), forNth(i)) })
				}
				group.Wait()
				t.Logf("%s: %d requests of 1000 organisations that asked at once", name, server.requests.Load())
				for _, err := range errs {
					requireError(t, err, helseid.ErrUnavailable)
				}
				// 32 are under way when the first fails, each with two retries;
				// behind them a probe at a time.
				require.LessOrEqual(t, server.requests.Load(), int64(2*32*3))
			})
		})
	}
}

// The pace of the probes is bounded also where retries, and with them their
// waits, are switched off and callers ask as fast as they can.
func TestOutageWithEagerCallers(t *testing.T) {
	t.Parallel()
	for _, retries := range []int{-1, 2} {
		t.Run(fmt.Sprintf("retries=%d", retries), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				server := &fastHelseID{lifetime: time.Hour}
				client := fastClient(t, server, func(c *helseid.Config) { c.TokenRetries = retries })
				server.breakDown(outages["refused"])
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				var group sync.WaitGroup
				for i := range 100 {
					group.Go(func() {
						for ctx.Err() == nil {
							_, _ = client.Token(ctx, forNth(i))
							sleepFor(ctx, 100*time.Millisecond) // between a caller's calls
						}
					})
				}
				group.Wait()
				t.Logf("retries=%d: %d requests in ten seconds", retries, server.requests.Load())
				// Ten a second, for a hundred callers who try ten times a second.
				require.LessOrEqual(t, server.requests.Load(), int64(10*10+32*3))
			})
		})
	}
}

// Whoever asks after the recovery gets a token, also if an older request is
// still waiting for its answer from before.
func TestFirstCallAfterRecovery(t *testing.T) {
	t.Parallel()
	for _, retries := range []int{-1, 2} {
		t.Run(fmt.Sprintf("retries=%d", retries), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				server := &fastHelseID{lifetime: time.Hour}
				client := fastClient(t, server, func(c *helseid.Config) { c.TokenRetries = retries })
				server.breakDown(outages["hanging"])
				_, err := client.Token(t.Context(), forNth(1))
				requireError(t, err, helseid.ErrUnavailable)

				start := time.Now()
				var group sync.WaitGroup
				group.Go(func() { _, _ = client.Token(t.Context(), forNth(2)) }) // the probe
				last := 5 * time.Second                                          // its only attempt is under way
				if retries > 0 {
					last = 25 * time.Second // its last
				}
				at(start, last)
				server.breakDown(nil)
				pause(time.Second)
				_, err = client.Token(t.Context(), forNth(3))
				require.NoError(t, err, "the first call after the recovery")
				group.Wait()
			})
		})
	}
}

// A refusal is final: only the nonce challenge is answered, with one new attempt. What
// may pass by itself is retried.
func TestRetryRule(t *testing.T) {
	t.Parallel()
	const retries = 2
	type fault = helseidtest.Fault
	refusal := func(status int, code string) fault { return fault{Status: status, Body: `{"error":"` + code + `"}`} }
	for name, test := range map[string]struct {
		fault    fault
		requests int
	}{
		"invalid_client":            {refusal(401, "invalid_client"), 1},
		"unauthorized_client":       {refusal(400, "unauthorized_client"), 1},
		"invalid_scope":             {refusal(400, "invalid_scope"), 1},
		"invalid_grant":             {refusal(400, "invalid_grant"), 1},
		"invalid_target":            {refusal(400, "invalid_target"), 1},
		"invalid_request":           {refusal(400, "invalid_request"), 1},
		"invalid_dpop_proof":        {refusal(400, "invalid_dpop_proof"), 1},
		"temporarily_unavailable":   {refusal(400, "temporarily_unavailable"), 1},
		"an unknown code":           {refusal(400, "slow_down"), 1},
		"403":                       {refusal(403, "access_denied"), 1},
		"404":                       {fault{Status: 404}, 1},
		"408":                       {fault{Status: 408}, 1},
		"a redirect":                {fault{Status: 307}, 1},
		"use_dpop_nonce":            {fault{Status: 400, Body: `{"error":"use_dpop_nonce"}`, Header: http.Header{"Dpop-Nonce": {"a-nonce"}}}, 2},
		"use_dpop_nonce without it": {refusal(400, "use_dpop_nonce"), 1},
		"429":                       {fault{Status: 429}, 1 + retries},
		"429 with a code":           {refusal(429, "invalid_client"), 1 + retries},
		"500":                       {fault{Status: 500}, 1 + retries},
		"502":                       {fault{Status: 502}, 1 + retries},
		"503 with a code":           {refusal(503, "invalid_client"), 1 + retries},
		"a broken connection":       {fault{Cut: true}, 1 + retries},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{config: func(c *helseid.Config) { c.TokenRetries = retries }})
				test.fault.Endpoint, test.fault.Times = helseidtest.EndpointToken, -1
				w.server.Inject(test.fault)
				_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
				require.Error(t, err)
				require.Equal(t, test.requests, w.tokenRequests())
			})
		})
	}
}

func TestBurstsWithinTheRetryBudget(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ configured, budget int }{{0, 2}, {-1, 0}, {1, 1}, {4, 4}} {
		for burst := range 6 {
			t.Run(fmt.Sprintf("TokenRetries=%d burst=%d", test.configured, burst), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T) {
					w := newWorld(t, worldOptions{config: func(c *helseid.Config) { c.TokenRetries = test.configured }})
					if burst > 0 {
						w.server.Inject(helseidtest.Fault{Status: http.StatusServiceUnavailable, Times: burst})
					}
					_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
					require.Equal(t, min(burst, test.budget)+1, w.tokenRequests())
					require.Equal(t, min(burst, test.budget), w.events.of(helseid.EventRetry))
					requireDistinctIDs(t, w)
					if burst <= test.budget {
						require.NoError(t, err)
						return
					}
					requireError(t, err, helseid.ErrUnavailable)
				})
			})
		}
	}
}

// Retry-After is honoured and capped at four seconds, but that of an answer of 429
// counts for longer; without it the wait is random between half and all of 250 ms,
// 500 ms, and so on.
func TestWaitsBetweenAttempts(t *testing.T) {
	t.Parallel()
	for wish, bounds := range map[string][2][2]time.Duration{
		"":      {{125 * time.Millisecond, 250 * time.Millisecond}, {250 * time.Millisecond, 500 * time.Millisecond}},
		"0":     {{125 * time.Millisecond, 250 * time.Millisecond}, {250 * time.Millisecond, 500 * time.Millisecond}},
		"1":     {{time.Second, time.Second}, {time.Second, time.Second}},
		"3":     {{3 * time.Second, 3 * time.Second}, {3 * time.Second, 3 * time.Second}},
		"3600":  {{4 * time.Second, 4 * time.Second}, {4 * time.Second, 4 * time.Second}},
		"never": {{125 * time.Millisecond, 250 * time.Millisecond}, {250 * time.Millisecond, 500 * time.Millisecond}},
	} {
		for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
			t.Run(fmt.Sprintf("%d %s", status, wish), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T) {
					server := &fastHelseID{lifetime: time.Hour}
					client := fastClient(t, server, nil)
					var times []time.Time
					server.breakDown(func(*http.Request) (*http.Response, error) {
						times = append(times, time.Now())
						response := answer(status)
						if wish != "" {
							response.Header.Set("Retry-After", wish)
						}
						return response, nil
					})
					_, err := client.Token(t.Context(), helseid.TokenRequest{})
					requireError(t, err, helseid.ErrUnavailable)
					if status == http.StatusTooManyRequests && wish == "3600" {
						require.Len(t, times, 1, "nobody waits for so long, and nothing is sent before")
						return
					}
					require.Len(t, times, 3)
					for i, bound := range bounds {
						wait := times[i+1].Sub(times[i])
						require.GreaterOrEqual(t, wait, bound[0])
						require.LessOrEqual(t, wait, bound[1])
					}
				})
			})
		}
	}
}

// Many clients that are refused at the same moment do not come back together.
func TestJitter(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		server := &fastHelseID{lifetime: time.Hour}
		var mu sync.Mutex
		waits := map[time.Duration]int{}
		start := time.Now()
		server.breakDown(func(*http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			waits[time.Since(start)]++
			return answer(http.StatusServiceUnavailable), nil
		})
		var group sync.WaitGroup
		for range 30 {
			client := fastClient(t, server, func(c *helseid.Config) { c.TokenRetries = 1 })
			group.Go(func() { _, _ = client.Token(t.Context(), helseid.TokenRequest{}) })
		}
		group.Wait()
		require.Equal(t, 30, waits[0])
		require.Greater(t, len(waits), 25)
	})
}

func TestDeadlinesDuringAnOutage(t *testing.T) {
	t.Parallel()
	t.Run("while somebody else finds out", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			server := &fastHelseID{lifetime: time.Hour}
			client := fastClient(t, server, nil)
			server.breakDown(outages["hanging"])
			_, err := client.Token(t.Context(), forNth(1))
			requireError(t, err, helseid.ErrUnavailable)
			var group sync.WaitGroup
			group.Go(func() { _, _ = client.Token(t.Context(), forNth(2)) })
			synctest.Wait()
			for i := range 20 {
				group.Go(func() {
					patience := time.Duration(i+1) * 100 * time.Millisecond
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					start := time.Now()
					_, err := client.Token(ctx, forNth(3+i))
					assertError(t, err, context.DeadlineExceeded)
					assert.Equal(t, patience, time.Since(start))
				})
			}
			group.Wait()
		})
	})
	t.Run("behind a full queue", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			server := &fastHelseID{lifetime: time.Hour}
			client := fastClient(t, server, nil)
			server.breakDown(outages["hanging"])
			var group sync.WaitGroup
			for i := range 100 {
				group.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
					defer cancel()
					start := time.Now()
					_, err := client.Token(ctx, forNth(i))
					assertError(t, err, context.DeadlineExceeded)
					assert.Equal(t, 2*time.Second, time.Since(start))
				})
			}
			group.Wait()
			require.EqualValues(t, 32, server.requests.Load(), "so many token requests at most are under way")
		})
	})
}

func TestCloseDuringAnOutage(t *testing.T) {
	t.Parallel()
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				server := &fastHelseID{lifetime: time.Hour}
				client := fastClient(t, server, nil)
				_, err := client.Token(t.Context(), forNth(0))
				require.NoError(t, err)
				server.breakDown(outage)
				_, err = client.Token(t.Context(), forNth(1))
				requireError(t, err, helseid.ErrUnavailable)
				var group sync.WaitGroup
				for i := range 100 {
					group.Go(func() {
						_, err := client.Token(t.Context(), forNth(2+i))
						if !errors.Is(err, helseid.ErrUnavailable) {
							assertError(t, err, helseid.ErrClosed)
						}
					})
				}
				pause(100 * time.Millisecond)
				start := time.Now()
				client.Close()
				require.Zero(t, time.Since(start), "Close waits for nothing but what it has ended")
				group.Wait()
				require.Zero(t, time.Since(start))
				before := server.requests.Load()
				_, err = client.Token(t.Context(), forNth(200))
				requireError(t, err, helseid.ErrClosed)
				_, err = client.Token(t.Context(), forNth(0))
				require.NoError(t, err, "what is in memory can be used")
				require.Equal(t, before, server.requests.Load())
			})
		})
	}
}

// A token near its end is renewed before a request whose body cannot be sent
// twice; while HelseID is down the old one has to do, without storming HelseID
// and without making the call wait for longer than it can.
func TestBodyThatCannotBeSentTwice(t *testing.T) {
	t.Parallel()
	type setting struct {
		server *fastHelseID
		call   func(ctx context.Context) error
		start  time.Time
		sent   *[]string
	}
	setUp := func(t *testing.T) setting {
		server := &fastHelseID{lifetime: 10 * time.Minute}
		var sent []string
		issued := 0
		fetch := server.RoundTrip
		client := fastClient(t, server, func(c *helseid.Config) {
			c.HTTPClient = &http.Client{Transport: hop(func(request *http.Request) (*http.Response, error) {
				if "https://"+request.URL.Host != fastIssuer {
					_, _ = io.Copy(io.Discard, request.Body)
					_ = request.Body.Close()
					sent = append(sent, strings.TrimPrefix(request.Header.Get("Authorization"), "DPoP "))
					return answer(http.StatusOK), nil
				}
				response, err := fetch(request)
				if err == nil && request.Body != nil && response.StatusCode == http.StatusOK {
					issued++
					return jsonAnswer(http.StatusOK, fmt.Sprintf(`{"access_token":"token-%d","token_type":"DPoP","expires_in":600}`, issued)), nil
				}
				return response, err
			})}
		})
		api := client.HTTPClient(helseid.TokenRequest{})
		return setting{server: server, start: time.Now(), sent: &sent, call: func(ctx context.Context) error {
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, apiURL, io.MultiReader(strings.NewReader("a stream")))
			require.NoError(t, err)
			require.Nil(t, request.GetBody)
			response, err := api.Do(request)
			if err == nil {
				_ = response.Body.Close()
			}
			return err
		}}
	}
	t.Run("gets a new token first", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			s := setUp(t)
			require.NoError(t, s.call(t.Context()))
			at(s.start, 570*time.Second-1)
			require.NoError(t, s.call(t.Context()))
			at(s.start, 570*time.Second)
			require.NoError(t, s.call(t.Context()))
			require.Equal(t, []string{"token-1", "token-1", "token-2"}, *s.sent)
		})
	})
	t.Run("takes the old one if there is no other", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			s := setUp(t)
			require.NoError(t, s.call(t.Context()))
			at(s.start, 575*time.Second)
			s.server.breakDown(outages["503"])
			require.NoError(t, s.call(t.Context()))
			require.Equal(t, []string{"token-1", "token-1"}, *s.sent)
		})
	})
	t.Run("asks no more often than other calls do", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			s := setUp(t)
			require.NoError(t, s.call(t.Context()))
			at(s.start, 575*time.Second)
			s.server.breakDown(outages["503"])
			before := s.server.requests.Load()
			for range 15 {
				require.NoError(t, s.call(t.Context()))
				pause(time.Second)
				if time.Since(s.start) > 594*time.Second {
					break
				}
			}
			t.Logf("%d token requests by 15 calls in 20 seconds", s.server.requests.Load()-before)
			// A failed renewal is tried again after ten seconds: three times in
			// twenty, each with two retries.
			require.LessOrEqual(t, s.server.requests.Load()-before, int64(9))
		})
	})
	t.Run("goes on while HelseID does not answer", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			s := setUp(t)
			require.NoError(t, s.call(t.Context()))
			at(s.start, 575*time.Second)
			s.server.breakDown(outages["hanging"])
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			require.NoError(t, s.call(ctx), "the token is valid for another 20 seconds")
		})
	})
}

// A refusal that many requests get at the same moment is one refusal: when the
// cause is gone a second later, nobody waits for half a minute.
func TestRefusalsAtTheSameMomentCountOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		server := &fastHelseID{lifetime: time.Hour}
		client := fastClient(t, server, nil)
		server.breakDown(func(r *http.Request) (*http.Response, error) {
			sleepFor(r.Context(), 100*time.Millisecond)
			return jsonAnswer(http.StatusBadRequest, `{"error":"invalid_client"}`), nil
		})
		var group sync.WaitGroup
		for i := range 10 { // at start-up, with a key that is brand new
			group.Go(func() {
				_, err := client.Token(t.Context(), forNth(i))
				var refusal *helseid.TokenError
				assert.ErrorAs(t, err, &refusal)
			})
		}
		group.Wait()
		server.breakDown(nil)
		pause(3 * time.Second)
		_, err := client.Token(t.Context(), forNth(20))
		require.NoError(t, err)
	})
}

// If a caller's deadline passes while HelseID is silent, that counts as an outage; if a
// caller gives up, it does not.
func TestDeadlineInAnOutage(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{})
		w.server.Inject(helseidtest.Fault{Delay: time.Minute, Times: -1})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := w.client.Token(ctx, helseid.TokenRequest{Scopes: []string{testScope}})
		requireError(t, err, helseid.ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		gone, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, leave)
		_, err = w.client.Token(gone, helseid.TokenRequest{Scopes: []string{testScope}})
		requireError(t, err, context.Canceled)
		require.NotErrorIs(t, err, helseid.ErrUnavailable)
	})
}
