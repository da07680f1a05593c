package helseid_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/middleware"
)

// localServer serves a handler on a loopback address.
func localServer(t testing.TB, handler http.Handler) *url.URL {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	require.NoError(t, err)
	return address
}

// faultRunTime is how long the run lasts: 20 seconds, or what the environment
// variable HELSEID_FAULT_RUN says ("5m").
func faultRunTime(t testing.TB) time.Duration {
	text := os.Getenv("HELSEID_FAULT_RUN")
	if text == "" {
		return 20 * time.Second
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err, "HELSEID_FAULT_RUN")
	return d
}

// faultRun is an API behind the middleware, over sockets, and what it saw.
type faultRun struct {
	server *helseidtest.Server
	client *helseid.Client

	proofs  sync.Map // jti
	replays atomic.Int64
	ended   atomic.Int64 // tokens that came after their end
	burst   time.Time    // when the last one was
	bursts  int

	mu       sync.Mutex
	calls    int
	outcomes map[string]int
	lost     []error
}

func (f *faultRun) arrive(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		var proof struct {
			JTI string
			IAT int64
		}
		if decodePayload(r.Header.Get("DPoP"), &proof) != nil {
			f.replays.Add(1)
		}
		if _, again := f.proofs.LoadOrStore(proof.JTI, true); again {
			f.replays.Add(1)
		}
		var token struct{ Exp int64 }
		_, access, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		// What a slow machine delays on the way is not the client's doing: the
		// token must have lived when its proof was made, but for a second that the
		// machine may stall for in between.
		if decodePayload(access, &token) != nil || !now.Before(time.Unix(token.Exp, 0)) && proof.IAT > token.Exp {
			f.ended.Add(1)
		}
		next.ServeHTTP(w, r)
	})
}

// note counts a call's outcome. These are the rules for a call that is lost:
//
// Failures that a retry cures (a bad status, a cut connection, half a body, HTML
// with status 502, silence) come in bursts of at most four, and seven seconds lie
// between two bursts, so that no token request meets two. TokenRetries is four,
// which covers a burst: no call may be lost to one. An answer that no retry cures
// may be handed out: HTML with status 200 is ErrInvalidResponse, a clock that is
// 30 seconds off is invalid_client with the difference in it, and a nonce that
// another request has used up is use_dpop_nonce. Everything else is a loss, also
// any answer of the API but 200.
func (f *faultRun) note(response *http.Response, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	var refusal *helseid.TokenError
	switch {
	case err == nil && response.StatusCode == http.StatusOK:
		f.outcomes["good"]++
	case err == nil:
		f.lost = append(f.lost, fmt.Errorf("the API answered %d %s", response.StatusCode, response.Header.Get("WWW-Authenticate")))
	case errors.Is(err, helseid.ErrInvalidResponse):
		f.outcomes["HTML"]++
	case errors.As(err, &refusal) && refusal.Code == "invalid_client" && refusal.ClockDifference != 0:
		f.outcomes["clock"]++
	case errors.As(err, &refusal) && refusal.Code == "use_dpop_nonce":
		f.outcomes["nonce"]++
	default:
		f.lost = append(f.lost, err)
	}
}

// betweenBursts is longer than a token request that met one takes.
const betweenBursts = 7 * time.Second

// episode lets one thing go wrong.
func (f *faultRun) episode(random *rand.Rand) {
	f.server.ClearFaults()
	f.server.DemandNewNonceEachTime(false)
	html := http.Header{"Content-Type": {"text/html"}}
	if time.Since(f.burst) > betweenBursts {
		fault := []helseidtest.Fault{
			{Status: http.StatusServiceUnavailable},
			{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}}},
			{Cut: true},
			{HalfBody: true},
			{Status: http.StatusBadGateway, Body: "<html>", Header: html},
			{Delay: time.Minute}, // longer than anyone waits
		}[random.IntN(6)]
		fault.Times = 1 + random.IntN(4)
		f.server.Inject(fault)
		f.bursts++
		f.burst = time.Now()
		return
	}
	switch random.IntN(5) {
	case 0:
		f.server.Inject(helseidtest.Fault{Body: "<html>", Header: html})
	case 1:
		f.server.Inject(helseidtest.Fault{Delay: 300 * time.Millisecond, Times: 4})
	case 2:
		f.server.DemandNewNonceEachTime(true)
	case 3:
		date := time.Now().Add(time.Duration(1-2*random.IntN(2)) * 30 * time.Second)
		f.server.Inject(helseidtest.Fault{
			Status: http.StatusBadRequest, Body: `{"error":"invalid_client"}`, Header: http.Header{"Date": {date.UTC().Format(http.TimeFormat)}},
		})
	}
}

// TestFaultRun lets everything go wrong at random for 20 seconds, or longer with
// HELSEID_FAULT_RUN=5m.
func TestFaultRun(t *testing.T) {
	t.Parallel()
	for _, lifetime := range []time.Duration{5 * time.Second, time.Minute} {
		t.Run(fmt.Sprintf("tokens of %v", lifetime), func(t *testing.T) {
			t.Parallel()
			label := "fault run " + lifetime.String()
			pprof.Do(context.Background(), pprof.Labels("run", label), func(context.Context) { runFaults(t, lifetime) })
			var left string
			for range 50 {
				if left = goroutinesOf(label); left == "" {
					return
				}
				time.Sleep(100 * time.Millisecond) //nolint:forbidigo // sockets close in real time
			}
			require.Empty(t, left, "goroutines are left")
		})
	}
}

func runFaults(t *testing.T, lifetime time.Duration) {
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	f := &faultRun{outcomes: make(map[string]int)}
	var err error
	f.server, err = helseidtest.Start(helseidtest.TokenLifetime(lifetime))
	require.NoError(t, err)
	defer f.server.Close()
	nonces, err := dpop.NewNonceIssuer(dpop.NonceIssuerConfig{})
	require.NoError(t, err)
	auth, err := middleware.New(middleware.Config{
		Issuer: f.server.Issuer(), Audience: mint.DefaultAudience, Proof: dpop.VerifierConfig{Nonces: nonces},
	})
	require.NoError(t, err)
	defer auth.Close()
	api := httptest.NewServer(f.arrive(auth.Require(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}, middleware.Scope(testScope))))
	defer api.Close()
	organizations := make([]string, 400)
	for i := range organizations {
		organizations[i] = string(organizationNumber(i))
	}
	config := f.server.NewClient(helseidtest.Delegations(organizations...), helseidtest.Scopes(testScope))
	config.HTTPClient = nil
	config.TokenRetries = 4
	config.RequestTimeout = 3 * time.Second
	f.client, err = helseid.New(config)
	require.NoError(t, err)
	defer f.client.Close()

	caller := f.client.HTTPClient(helseid.TokenRequest{Scopes: []string{testScope}})
	stop, cancel := context.WithTimeout(context.Background(), faultRunTime(t))
	defer cancel()
	// Thirty organisations are active with tokens of seconds; with those of a
	// minute ten more come each second, so that tokens are wanted all the time.
	start := time.Now()
	active := func() int {
		if lifetime < time.Minute {
			return 30
		}
		return min(30+int(10*time.Since(start).Seconds()), len(organizations))
	}
	var group sync.WaitGroup
	for worker := range 25 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), uint64(lifetime)))
			for stop.Err() == nil {
				f.call(caller, api.URL, organizations[random.IntN(active())], random.IntN(3))
				sleepFor(stop, time.Duration(20+random.IntN(60))*time.Millisecond)
			}
		})
	}
	rotated := time.Now().Add(-27 * time.Second) // the first rotation comes after eight seconds
	for sleepFor(stop, time.Duration(300+random.IntN(600))*time.Millisecond) {
		f.episode(random)
		if time.Since(rotated) > 35*time.Second { // an API asks for new keys once in five seconds
			rotated = time.Now()
			require.NoError(t, f.server.RotateKey())
		}
	}
	f.server.ClearFaults()
	group.Wait()

	requests := f.server.Requests(helseidtest.EndpointToken)
	t.Logf("%d calls: %v; %d requests to the token endpoint, %d bursts of failures", f.calls, f.outcomes, len(requests), f.bursts)
	require.Empty(t, f.lost, "%d calls are lost", len(f.lost))
	require.Zero(t, f.replays.Load(), "proofs came to the API twice")
	require.Zero(t, f.ended.Load(), "tokens came after their end")
	seen := make(map[string]bool)
	for _, request := range requests {
		for _, text := range []string{request.Assertion, request.Proof} {
			var claims struct{ JTI string }
			require.NoError(t, json.Unmarshal([]byte(text), &claims))
			require.False(t, seen[claims.JTI], "a jti came to the token endpoint twice")
			seen[claims.JTI] = true
		}
	}
	require.Greater(t, f.outcomes["good"], f.calls/2)
	require.Greater(t, f.outcomes["good"], 500)
}

// call calls the API in one of the forms: without body, with one, or with one
// that cannot be sent twice.
func (f *faultRun) call(caller *http.Client, target, organization string, form int) (answered bool) {
	ctx := helseid.ForOrganization(context.Background(), identity.OrganizationNumber(organization), "")
	method, body := http.MethodGet, io.Reader(nil)
	if form > 0 {
		method, body = http.MethodPost, strings.NewReader("a body")
	}
	request, err := http.NewRequestWithContext(ctx, method, target+"/things?x=1", body)
	if err == nil && form == 2 && f.client != nil {
		request.GetBody = nil
		// An API's nonce challenge ends such a request: a call before it
		// learns the nonce, unless it fails at HelseID.
		if !f.call(caller, target, organization, 0) {
			return false
		}
	}
	if err != nil {
		f.note(nil, err)
		return false
	}
	response, err := caller.Do(request)
	if err == nil {
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	f.note(response, err)
	return err == nil
}

// goroutinesOf are the stacks of the goroutines that carry a label, which those
// that they start inherit.
func goroutinesOf(label string) string {
	var profile bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&profile, 1)
	var found []string
	for stack := range strings.SplitSeq(profile.String(), "\n\n") {
		if strings.Contains(stack, label) {
			found = append(found, stack)
		}
	}
	return strings.Join(found, "\n\n")
}
