package apicall

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
)

// api answers one request after the other with what it is told to, the last one always.
type api struct {
	answers []*http.Response
	proofs  []string // what came
}

func (a *api) RoundTrip(request *http.Request) (*http.Response, error) {
	a.proofs = append(a.proofs, request.Header.Get(dpop.HeaderName))
	answer := *a.answers[min(len(a.proofs), len(a.answers))-1]
	answer.Body = io.NopCloser(strings.NewReader(""))
	return &answer, nil
}

func answer(status int, header ...string) *http.Response {
	response := &http.Response{StatusCode: status, Header: http.Header{}}
	for i := 0; i < len(header); i += 2 {
		response.Header.Set(header[i], header[i+1])
	}
	return response
}

func nonceDemand(nonce string) *http.Response {
	return answer(http.StatusUnauthorized, "WWW-Authenticate", `DPoP error="use_dpop_nonce"`, "DPoP-Nonce", nonce)
}

func tokenRefusal() *http.Response {
	return answer(http.StatusUnauthorized, "WWW-Authenticate", `DPoP error="invalid_token"`)
}

// numbered credentials have tokens 1, 2, 3: a proof is the token's number and the nonce.
type numbered struct {
	token     string
	bearer    bool
	young     bool // a token that is not replaced
	err       error
	forgotten int
}

func (n *numbered) Obtain(context.Context, *http.Request, bool) error {
	n.token += "1"
	return n.err
}

func (n *numbered) Bound() bool { return !n.bearer }

func (n *numbered) Authorize(_ context.Context, request *http.Request, nonce string) error {
	request.Header.Set(dpop.HeaderName, strings.TrimSpace(n.token+" "+nonce))
	return nil
}

func (n *numbered) Replaceable(*http.Request) bool {
	n.forgotten++
	return !n.young
}

// told is what was reported.
type told []string

func (r *told) Retry(*http.Request)                  { *r = append(*r, "retry") }
func (r *told) NonceChallenge(*http.Request)         { *r = append(*r, "nonce") }
func (r *told) Refusal(_ *http.Request, code string) { *r = append(*r, code) }

// A request goes out once more for a nonce and once more for a token, and no more.
func TestRepetitions(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answers     []*http.Response
		credentials numbered
		oneWay      bool // the body cannot be sent again
		sent        []string
		status      int
		told        told
	}{
		"a good answer":             {answers: []*http.Response{answer(200)}, sent: []string{"1"}, status: 200},
		"a nonce":                   {answers: []*http.Response{nonceDemand("a"), answer(200)}, sent: []string{"1", "1 a"}, status: 200, told: told{"nonce"}},
		"a nonce after the other":   {answers: []*http.Response{nonceDemand("a"), nonceDemand("b")}, sent: []string{"1", "1 a"}, status: 401, told: told{"nonce"}},
		"a nonce without a value":   {answers: []*http.Response{nonceDemand("")}, sent: []string{"1"}, status: 401, told: told{"nonce"}},
		"a nonce, without a proof":  {answers: []*http.Response{nonceDemand("a")}, credentials: numbered{bearer: true}, sent: []string{"1"}, status: 401},
		"a refusal":                 {answers: []*http.Response{tokenRefusal(), answer(200)}, sent: []string{"1", "11"}, status: 200, told: told{"invalid_token"}},
		"a refusal after the other": {answers: []*http.Response{tokenRefusal()}, sent: []string{"1", "11"}, status: 401, told: told{"invalid_token", "invalid_token"}},
		"a refusal of a young one":  {answers: []*http.Response{tokenRefusal()}, credentials: numbered{young: true}, sent: []string{"1"}, status: 401, told: told{"invalid_token"}},
		"a nonce and a refusal":     {answers: []*http.Response{nonceDemand("a"), tokenRefusal(), nonceDemand("b")}, sent: []string{"1", "1 a", "11 a"}, status: 401, told: told{"nonce", "invalid_token"}},
		"a body that is gone":       {answers: []*http.Response{nonceDemand("a")}, oneWay: true, sent: []string{"1"}, status: 401, told: told{"nonce"}},
		"a body, and a refusal":     {answers: []*http.Response{tokenRefusal()}, oneWay: true, sent: []string{"1"}, status: 401, told: told{"invalid_token"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var heard told
			base, caller := &api{answers: test.answers}, &Caller{Nonces: &dpop.Nonces{}, Report: &heard}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example.no/", strings.NewReader("x"))
			require.NoError(t, err)
			if test.oneWay {
				request.GetBody = nil
			}
			response, reached, err := caller.Do(base, request, &test.credentials)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.True(t, reached)
			require.Equal(t, test.status, response.StatusCode)
			require.Equal(t, test.sent, base.proofs)
			require.Equal(t, test.told, heard)
			require.Same(t, request, response.Request)
			require.Empty(t, request.Header, "the caller's request gets no token")
		})
	}
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

// Without a token nothing is sent. What an API has redirected has reached that API.
func TestNothingIsSentWithoutAToken(t *testing.T) {
	t.Parallel()
	for name, redirect := range map[string]*http.Response{"at first": nil, "after a redirect": answer(http.StatusFound)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var heard told
			base, caller, body := &api{}, &Caller{Nonces: &dpop.Nonces{}, Report: &heard}, &closing{Reader: strings.NewReader("x")}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example.no/", body)
			require.NoError(t, err)
			request.Response = redirect
			none := errors.New("none")
			_, reached, err := caller.Do(base, request, &numbered{err: none})
			require.Equal(t, none, err)
			require.Equal(t, redirect != nil, reached)
			require.True(t, body.closed)
			require.Empty(t, base.proofs)
		})
	}
}
