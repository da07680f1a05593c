package middleware_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/middleware"
)

// requireRefused serves a request that must be refused for a reason.
func (w *world) requireRefused(request *http.Request, reason string) (*http.Response, challenge) {
	w.Helper()
	reached := w.reached()
	response := w.serve(request)
	document, found := refusal(w, request, response)
	require.Equal(w, reason, document.Reason)
	require.Equal(w, reached, w.reached())
	return response, found
}

func (w *world) requireOK(request *http.Request) *http.Response {
	w.Helper()
	response := w.serve(request)
	require.Equal(w, http.StatusOK, response.StatusCode, response.Header.Get("WWW-Authenticate"))
	return response
}

// A proof is accepted once, however it is spelled the second time.
func TestReplay(t *testing.T) {
	t.Parallel()
	start := func(t *testing.T) *world {
		w := newWorld(t, worldOptions{cold: true})
		w.publishForge()
		return w
	}
	t.Run("T135 T148 the same request twice", func(t *testing.T) {
		t.Parallel()
		w := start(t)
		request := w.genuine()
		w.requireOK(request)
		w.requireRefused(request, "proof_replayed")
		w.requireRefused(request, "proof_replayed")
		w.requireOK(w.genuine())
	})
	again := map[string]func(w *world, token string) *http.Request{
		"the same jti, signed again": func(w *world, token string) *http.Request {
			return plain("DPoP "+token, w.proof(token, nil, with("jti", `"the-jti"`)))
		},
		"the same jti, written with escapes": func(w *world, token string) *http.Request {
			return plain("DPoP "+token, w.proof(token, nil, with("jti", `"the\u002djti"`)))
		},
		"the same jti, another iat": func(w *world, token string) *http.Request {
			return plain("DPoP "+token, w.proof(token, nil, both(with("jti", `"the-jti"`), at("iat", 3))))
		},
		"the same jti, another spelling of the URL": func(w *world, token string) *http.Request {
			return plain("DPoP "+token, w.proof(token, nil, both(with("jti", `"the-jti"`), with("htu", `"HTTPS://api.example.no:443/journal/%31?x"`))))
		},
		"the same jti, extra members": func(w *world, token string) *http.Request {
			return plain("DPoP "+token, w.proof(token, also(`"x":1`), both(with("jti", `"the-jti"`), also(`"y":2`))))
		},
		"the same jti, another token": func(w *world, _ string) *http.Request {
			token := w.token(nil, nil)
			return plain("DPoP "+token, w.proof(token, nil, with("jti", `"the-jti"`)))
		},
		"the same jti, another method": func(w *world, token string) *http.Request {
			request := plain("DPoP "+token, w.proof(token, nil, both(with("jti", `"the-jti"`), with("htm", `"POST"`))))
			request.Method = http.MethodPost
			return request
		},
	}
	for name, repeat := range again {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			token := w.token(nil, nil)
			w.requireOK(plain("DPoP "+token, w.proof(token, nil, with("jti", `"the-jti"`))))
			w.requireRefused(repeat(w, token), "proof_replayed")
			w.requireLetIn(false)
		})
	}
	t.Run("the same jwk written with a zero before the modulus", func(t *testing.T) {
		t.Parallel()
		w := start(t)
		w.key = newKey(w, theForge().rsa, jose.RS256)
		token := w.token(nil, nil)
		claims := w.proofClaims(token)
		sign := pkcs1(theForge().rsa, crypto.SHA256)
		w.requireOK(plain("DPoP "+token, compact(w.proofHeader(), claims, sign)))
		n := b64(theForge().rsa.N.Bytes())
		other := replace(n, b64(append([]byte{0}, theForge().rsa.N.Bytes()...)))(w.proofHeader())
		w.requireRefused(plain("DPoP "+token, compact(other, claims, sign)), "proof_replayed")
		w.requireRefused(plain("DPoP "+token, compact(replace("AQAB", "AAEAAQ")(w.proofHeader()), claims, sign)), "proof_replayed")
	})
	t.Run("the other signature of ECDSA", func(t *testing.T) {
		t.Parallel()
		w := start(t)
		w.key = newKey(w, theForge().ec["P-256"], "")
		token := w.token(nil, nil)
		claims := w.proofClaims(token)
		var turned []byte
		first := compact(w.proofHeader(), claims, func(input []byte) []byte {
			good := ecdsaRaw(theForge().ec["P-256"], crypto.SHA256, nil)(input)
			s := new(big.Int).SetBytes(good[32:])
			turned = append(good[:32:32], s.Sub(theForge().ec["P-256"].Params().N, s).FillBytes(make([]byte, 32))...)
			return good
		})
		w.requireOK(plain("DPoP "+token, first))
		w.requireRefused(plain("DPoP "+token, first[:strings.LastIndexByte(first, '.')+1]+b64(turned)), "proof_replayed")
	})
	t.Run("another key may use the same jti", func(t *testing.T) {
		t.Parallel()
		w := start(t)
		for range 2 {
			var err error
			w.key, err = jose.GenerateKey()
			require.NoError(t, err)
			token := w.token(nil, nil)
			w.requireOK(plain("DPoP "+token, w.proof(token, nil, with("jti", `"the-jti"`))))
		}
	})
	t.Run("jti is compared exactly", func(t *testing.T) {
		t.Parallel()
		w := start(t)
		for _, jti := range []string{`"a"`, `"A"`, `"a "`, `"\u0430"`} {
			token := w.token(nil, nil)
			w.requireOK(plain("DPoP "+token, w.proof(token, nil, with("jti", jti))))
		}
	})
	t.Run("a refused proof does not spend its jti", func(t *testing.T) {
		t.Parallel()
		w := start(t)
		token := w.token(nil, nil)
		proof := w.proof(token, nil, with("jti", `"the-jti"`))
		wrong := plain("DPoP "+token, proof)
		wrong.Method = http.MethodPost
		w.requireRefused(wrong, "proof_htm")
		broken := compact(w.proofHeader(), with("jti", `"the-jti"`)(w.proofClaims(token)), constant(make([]byte, 64)))
		w.requireRefused(plain("DPoP "+token, broken), "proof_signature")
		w.requireOK(plain("DPoP "+token, proof))
	})
	t.Run("a request that a requirement refuses spends its proof", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{requirements: []middleware.Requirement{middleware.User()}, cold: true})
		request := w.genuine()
		w.requireRefused(request, "user")
		w.requireRefused(request, "proof_replayed")
	})
}

// Of twenty simultaneous copies of one request exactly one is accepted.
func TestReplayAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	for range 10 {
		request := w.genuine()
		var passed, replayed atomic.Int64
		var all sync.WaitGroup
		gate := make(chan struct{})
		for range 20 {
			all.Go(func() {
				<-gate
				recorder := httptest.NewRecorder()
				w.handler.ServeHTTP(recorder, request.Clone(request.Context()))
				switch {
				case recorder.Code == http.StatusOK:
					passed.Add(1)
				case strings.Contains(recorder.Body.String(), "proof_replayed"):
					replayed.Add(1)
				}
			})
		}
		close(gate)
		all.Wait()
		require.Equal(t, []int64{1, 19}, []int64{passed.Load(), replayed.Load()})
	}
}

// T144: many concurrent callers with their own keys, tokens and claims, valid and
// invalid, never get another caller's response.
func TestNoCrossTalk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true})
	w.publishForge()
	w.requireLetIn(false)
	guarded := w.auth.Require(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(rw, middleware.Claims(r.Context()).ClientID, " ", middleware.Token(r.Context()).Reveal())
	}, middleware.Scope(testScope))
	var all sync.WaitGroup
	for caller := range 24 {
		all.Go(func() {
			key, err := jose.GenerateKey()
			if err != nil {
				t.Error(err)
				return
			}
			own := &world{TB: t, server: w.server, key: key, htu: resource}
			for range 8 {
				id := fmt.Sprint("client-", caller)
				token := own.token(nil, with("client_id", quote(id)))
				proof, want := own.proof(token, nil, nil), id+" "+token
				if caller%3 == 0 {
					proof, want = w.proof(token, nil, nil), "proof_key_mismatch"
				}
				recorder := httptest.NewRecorder()
				guarded.ServeHTTP(recorder, plain("DPoP "+token, proof))
				if body := recorder.Body.String(); body != want && !strings.Contains(body, `"reason":"`+want+`"`) {
					t.Errorf("caller %d got somebody else's answer, status %d", caller, recorder.Code)
				}
			}
		})
	}
	all.Wait()
}

type brokenStore struct{ err error }

func (s brokenStore) Record(context.Context, dpop.Use) (bool, error) { return false, s.err }

// A replay store that cannot tell whether a proof was used causes a 503, not a 401.
func TestReplayStoreDown(t *testing.T) {
	t.Parallel()
	for _, err := range []error{errors.New("connection to 10.0.0.1 refused"), dpop.ErrReplayFull, context.DeadlineExceeded} {
		w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) { c.Proof.Replay = brokenStore{err} }})
		response, _ := w.requireRefused(w.genuine(), "replay_store_unavailable")
		require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	}
}

// recordingStore accepts every proof and records the calls.
type recordingStore struct {
	mu   sync.Mutex
	uses []dpop.Use
}

func (s *recordingStore) Record(_ context.Context, use dpop.Use) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uses = append(s.uses, use)
	return true, nil
}

// The store is called last, and only for proofs that are valid in all other respects,
// so strangers cannot fill it.
func TestReplayStoreIsWrittenLast(t *testing.T) {
	t.Parallel()
	store := &recordingStore{}
	w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) { c.Proof.Replay = store }})
	w.publishForge()
	for _, table := range [][]attack{proofHeaderAttacks(), proofClaimAttacks(), proofFormatAttacks(), bindingAttacks(), tokenClaimAttacks()} {
		for _, a := range table {
			serveOn(t, w.handler, a.send(w))
		}
	}
	// A key with an alg that the issuer's set does not have may slip through as
	// a good request; none of these may.
	require.Empty(t, store.uses)
	w.requireLetIn(false)
	require.Len(t, store.uses, 1)
	require.WithinDuration(t, time.Now().Add(12*time.Second), store.uses[0].Expiry, 2*time.Second)
}

// T141: the window of iat, to the second, and how long a proof is remembered.
func TestProofWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{})
		for seconds, reason := range map[int64]string{-11: "proof_iat", -10: "", -1: "", 0: "", 8: "", 9: "proof_iat"} {
			request := w.genuine()
			token := strings.TrimPrefix(request.Header.Get("Authorization"), "DPoP ")
			request.Header.Set("DPoP", w.server.Proof(http.MethodGet, resource, token, proofAt(seconds)))
			if reason == "" {
				w.requireOK(request)
				w.requireRefused(request, "proof_replayed")
				continue
			}
			w.requireRefused(request, reason)
		}
		// Dated as far ahead as may be, it lives longest, and is refused to the
		// end: first as used, then as old.
		request := w.genuine()
		token := strings.TrimPrefix(request.Header.Get("Authorization"), "DPoP ")
		request.Header.Set("DPoP", w.server.Proof(http.MethodGet, resource, token, proofAt(8)))
		w.requireOK(request)
		for second := range 25 {
			reason := "proof_replayed"
			if second > 18 {
				reason = "proof_iat"
			}
			w.requireRefused(request, reason)
			wait(time.Second)
		}
	})
}

// The API's own clock decides, also about which proofs are remembered.
func TestOwnClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		behind := func() time.Time { return time.Now().Add(-time.Minute) }
		w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) {
			c.Proof.Time, c.Token.Time = behind, behind
		}})
		w.requireRefused(w.genuine(), "token_not_yet_valid")
		w.server.SetClockSkew(-time.Minute)
		request := w.genuine()
		w.requireOK(request)
		for range 5 {
			wait(time.Second)
			w.requireRefused(request, "proof_replayed")
		}
	})
}

// The edges of a token's life, to the second.
func TestTokenWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{cold: true})
		w.publishForge()
		w.requireLetIn(false)
		for claim, cases := range map[string]map[int64]string{
			"exp": {-6: "token_expired", -5: "token_expired", -4: "", 0: "", 1: ""},
			"nbf": {-100: "", 0: "", 5: "", 6: "token_not_yet_valid"},
			"iat": {-100: "", 0: "", 5: "", 6: "token_not_yet_valid"},
		} {
			for seconds, reason := range cases {
				token := w.token(nil, at(claim, seconds))
				request := plain("DPoP "+token, w.proof(token, nil, nil))
				if reason == "" {
					w.requireOK(request)
					continue
				}
				w.requireRefused(request, reason)
			}
		}
	})
}

// A client that makes a key for every request gets no larger share of the store than
// one with a single key: other clients are still accepted.
func TestReplayShareIsTheClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) {
		c.Proof.Replay = dpop.NewMemoryReplay(dpop.MemoryReplayConfig{Capacity: 40})
	}})
	w.publishForge()
	call := func(client string) int {
		var err error
		w.key, err = jose.GenerateKey()
		require.NoError(t, err)
		token := w.token(nil, with("client_id", quote(client)))
		return w.serve(plain("DPoP "+token, w.proof(token, nil, nil))).StatusCode
	}
	for range 30 {
		require.Equal(t, http.StatusOK, call("busy"), "nobody else is there")
	}
	require.Equal(t, http.StatusServiceUnavailable, call("busy"))
	require.Equal(t, http.StatusOK, call("other"))
	require.Equal(t, http.StatusServiceUnavailable, call("busy"))
}
