package helseid_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
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
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/helseid/identity"
)

func b64decode(text string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(text) }

// T074 T082: ten thousand goroutines that want tokens which nobody has cause one
// request for each distinct token, and whoever gives up disturbs nobody.
func TestT082ColdTokensForThousands(t *testing.T) {
	t.Parallel()
	const callers = 10_000
	for _, organizations := range []int{1, 100} {
		for _, cancelled := range []bool{false, true} {
			t.Run(fmt.Sprintf("organisations=%d cancelled=%v", organizations, cancelled), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T) {
					server := &fastHelseID{lifetime: time.Hour, latency: time.Second}
					client := fastClient(t, server, nil)
					var group sync.WaitGroup
					var good, gaveUp, wrong atomic.Int64
					for i := range callers {
						group.Go(func() {
							ctx := t.Context()
							if cancelled && i%2 == 0 { // the first to come is one of them
								var cancel context.CancelFunc
								ctx, cancel = context.WithTimeout(ctx, 500*time.Millisecond)
								defer cancel()
							}
							organization := i / 2 % organizations
							token, err := client.Token(ctx, forNth(organization))
							switch {
							case err != nil:
								assertError(t, err, context.DeadlineExceeded)
								gaveUp.Add(1)
							case !strings.HasPrefix(token.Access.Reveal(), string(organizationNumber(organization))):
								wrong.Add(1)
							default:
								good.Add(1)
							}
						})
					}
					group.Wait()
					require.EqualValues(t, organizations, server.requests.Load())
					require.Zero(t, wrong.Load(), "tokens of another organisation")
					want := int64(callers)
					if cancelled {
						want /= 2
					}
					require.Equal(t, want, good.Load())
					require.Equal(t, callers-want, gaveUp.Load())
					// T074: from memory, without another request.
					for i := range organizations {
						_, err := client.Token(t.Context(), forNth(i))
						require.NoError(t, err)
					}
					require.EqualValues(t, organizations, server.requests.Load())
				})
			})
		}
	}
}

// T080: six distinct requests in ten shuffled rounds are six token requests.
func TestT080ShuffledRounds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.become(t, multiTenant(), nil)
	var requests []helseid.TokenRequest
	for _, organization := range []identity.OrganizationNumber{parentOrg, childOrg, otherOrg} {
		for _, scope := range []string{testScope, otherScope} {
			request := helseid.TokenRequest{Scopes: []string{scope}}
			request.Organization.Parent = organization
			requests = append(requests, request)
		}
	}
	for range 10 {
		rand.Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
		for _, request := range requests {
			token, err := w.client.Token(t.Context(), request)
			require.NoError(t, err)
			_, claims := jws(t, token.Access.Reveal())
			require.Equal(t, string(request.Organization.Parent), claims[claimParentOrg])
			require.Equal(t, request.Scopes, token.Scopes)
		}
	}
	require.Equal(t, 6, w.tokenRequests())
}

// T077 T078 T086 T092, with the life of a token in the time of a bubble.
func TestTokenCacheOverTime(t *testing.T) {
	t.Parallel()
	t.Run("T077 T078 a token of a minute is gone two minutes later", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{server: []helseidtest.Option{helseidtest.Relaxed(rule.Nonce), helseidtest.TokenLifetime(time.Minute)}})
			first := w.token(t)
			pause(30 * time.Second)
			require.Same(t, first, w.token(t), "the very same")
			pause(90 * time.Second)
			second := w.token(t)
			require.NotSame(t, first, second)
			require.Equal(t, 2, w.tokenRequests())
			require.Equal(t, 2, w.events.of(helseid.EventCacheMiss))
		})
	})
	t.Run("T086 without expires_in it is used once and not kept", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.server.Inject(helseidtest.Fault{Times: -1, Body: w.tokenAnswer(t, map[string]any{"expires_in": nil})})
		for i := range 5 {
			token := w.token(t)
			require.True(t, token.Expiry.IsZero())
			require.Equal(t, i+1, w.tokenRequests())
		}
	})
	t.Run("T086 callers share it all the same", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			w.server.Inject(helseidtest.Fault{Times: -1, Body: w.tokenAnswer(t, map[string]any{"expires_in": nil})})
			w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Delay: time.Second})
			var group sync.WaitGroup
			for range 100 {
				group.Go(func() {
					_, err := w.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{testScope}})
					assert.NoError(t, err)
				})
			}
			group.Wait()
			require.Equal(t, 1, w.events.of(helseid.EventTokenRequest))
		})
	})
	t.Run("T092 two sources of one request have one token", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		request := helseid.TokenRequest{Scopes: []string{testScope, otherScope}}
		first, err := w.client.TokenSource(request).Token(t.Context())
		require.NoError(t, err)
		second, err := w.client.TokenSource(helseid.TokenRequest{Scopes: []string{otherScope, testScope, testScope}}).Token(t.Context())
		require.NoError(t, err)
		require.Same(t, first, second)
		require.Equal(t, 1, w.tokenRequests())
	})
}

// Firm refusals back off: of one token for that token, of the client for all.
func TestRefusalsBackOff(t *testing.T) {
	t.Parallel()
	for code, whole := range map[string]bool{
		"invalid_scope": false, "invalid_request": false, "access_denied": false, "invalid_target": false,
		"invalid_client": true, "unauthorized_client": true,
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				server := &fastHelseID{lifetime: time.Hour}
				client := fastClient(t, server, nil)
				server.breakDown(func(*http.Request) (*http.Response, error) {
					return jsonAnswer(http.StatusBadRequest, `{"error":"`+code+`","error_description":"HID-1001: no"}`), nil
				})
				start := time.Now()
				for time.Since(start) < 10*time.Minute {
					_, err := client.Token(t.Context(), forNth(1))
					var refusal *helseid.TokenError
					require.ErrorAs(t, err, &refusal)
					require.Equal(t, code, refusal.Code, "the answer that stands is HelseID's own")
					pause(100 * time.Millisecond)
				}
				requests := server.requests.Load()
				t.Logf("%s: %d requests in ten minutes by a caller who asks ten times a second", code, requests)
				require.LessOrEqual(t, requests, int64(7+600/30))
				require.GreaterOrEqual(t, requests, int64(600/31))

				server.breakDown(nil) // the refusal is the other's, unless it is the client's
				_, err := client.Token(t.Context(), forNth(2))
				require.Equal(t, whole, err != nil)
				_, err = client.Token(t.Context(), forNth(1))
				require.Error(t, err)
				pause(31 * time.Second)
				for i := range 3 {
					_, err = client.Token(t.Context(), forNth(i))
					require.NoError(t, err)
				}
			})
		})
	}
}

// This test is not parallel: it measures the heap. The documentation of
// Config.MaxTokens promises about 3 KiB for each token.
func TestMaxTokensBoundsTheMemory(t *testing.T) {
	for _, test := range []struct{ maximum, entries, organizations int }{{0, 20_000, 50_000}, {1000, 1000, 5000}} {
		t.Run(fmt.Sprintf("MaxTokens=%d", test.maximum), func(t *testing.T) {
			organizations := test.organizations
			server := &fastHelseID{lifetime: time.Hour}
			client := fastClient(t, server, func(c *helseid.Config) {
				c.MaxTokens = test.maximum
				c.HTTPClient = &http.Client{Transport: forgetful{server}}
			})
			_, err := client.Token(t.Context(), forNth(organizations))
			require.NoError(t, err)
			before := heap()
			var group sync.WaitGroup
			for worker := range 4 {
				group.Go(func() {
					for i := worker; i < organizations; i += 4 {
						_, err := client.Token(t.Context(), forNth(i))
						assert.NoError(t, err)
					}
				})
			}
			group.Wait()
			used := heap() - before
			each := used / int64(test.entries)
			t.Logf("%d organisations, %d kept: %d KiB, %d bytes each", organizations, test.entries, used>>10, each)
			require.LessOrEqual(t, each, int64(3<<10))
			// The bound is kept: of the first ones next to nothing is left.
			requests := server.requests.Load()
			for i := range 1000 {
				_, err := client.Token(t.Context(), forNth(organizations-1-i*organizations/1000))
				require.NoError(t, err)
			}
			kept := 1000 - int(server.requests.Load()-requests)
			t.Logf("of 1000 over all, %d were still there", kept)
			require.Less(t, kept, 1000*test.entries*3/2/organizations)
			runtime.KeepAlive(client)
		})
	}
}

// forgetful lets go of what a fast HelseID remembers for other tests.
type forgetful struct{ server *fastHelseID }

func (f forgetful) RoundTrip(request *http.Request) (*http.Response, error) {
	defer f.server.seen.Clear()
	return f.server.RoundTrip(request)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// What is used stays while others come and go.
func TestEvictionKeepsTheHotOnes(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		const capacity, hot, cold = 500, 50, 5000
		server := &fastHelseID{lifetime: time.Hour}
		client := fastClient(t, server, func(c *helseid.Config) { c.MaxTokens = capacity })
		fetch := func(i int) (fetched bool) {
			before := server.requests.Load()
			_, err := client.Token(t.Context(), forNth(i))
			require.NoError(t, err)
			return server.requests.Load() > before
		}
		for i := range hot {
			fetch(i)
		}
		again := 0
		for i := range cold {
			fetch(hot + i)
			if i%25 == 0 { // a second has passed, and every hot one is called
				pause(time.Second)
				for j := range hot {
					if fetch(j) {
						again++
					}
				}
			}
		}
		t.Logf("%d hot organisations were called %d times each among %d cold ones: %d tokens fetched again", hot, cold/25, cold, again)
		// Without regard to use, about one in ten of all evictions would hit one.
		require.Less(t, again, cold/100)
		synctest.Wait()
	})
}
