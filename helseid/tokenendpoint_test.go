package helseid_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

// demanding is a server that wants a nonce, as HelseID does.
var demanding = []helseidtest.Option{}

func proofNonce(t testing.TB, request helseidtest.Request) any {
	t.Helper()
	var claims map[string]any
	require.NoError(t, json.Unmarshal([]byte(request.Proof), &claims))
	return claims["nonce"]
}

func TestNonceRoundTrip(t *testing.T) {
	t.Parallel()
	t.Run("T053 challenge, then token", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{server: demanding})
		w.token(t)
		requests := w.server.Requests(helseidtest.EndpointToken)
		require.Len(t, requests, 2)
		require.Nil(t, proofNonce(t, requests[0]))
		require.NotEmpty(t, proofNonce(t, requests[1]))
		require.Equal(t, 1, w.events.of(helseid.EventNonceChallenge))
		require.Zero(t, w.events.of(helseid.EventRetry), "a nonce round trip is no retry")
		t.Run("T020 T068 with another assertion and another proof", func(t *testing.T) {
			requireDistinctIDs(t, w)
			require.NotEqual(t, requests[0].Form.Get("client_assertion"), requests[1].Form.Get("client_assertion"))
		})
		// The next token needs one round trip: the nonce is known.
		_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
		require.NoError(t, err)
		require.Equal(t, 3, w.tokenRequests())
	})
	t.Run("T053 no challenge, token at once", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.token(t)
		require.Equal(t, 1, w.tokenRequests())
	})
	t.Run("T067 the header's name in any case", func(t *testing.T) {
		t.Parallel()
		for _, name := range []string{"dpop-nonce", "DPOP-NONCE", "DPoP-Nonce", "Dpop-Nonce"} {
			server, config := realServer(t, func(w http.ResponseWriter, nth int64, token func() string) {
				if nth == 1 {
					w.Header()[name] = []string{"fresh-nonce"}
					writeError(w, http.StatusBadRequest, "use_dpop_nonce")
					return
				}
				_, _ = io.WriteString(w, token())
			})
			_, err := newClient(t, config).Token(t.Context(), helseid.TokenRequest{})
			require.NoError(t, err, name)
			require.EqualValues(t, 2, server.count.Load())
		}
	})
	challenge := func(nonces ...string) helseidtest.Fault {
		return helseidtest.Fault{Status: http.StatusBadRequest, Body: `{"error":"use_dpop_nonce"}`, Header: http.Header{"Dpop-Nonce": nonces}}
	}
	t.Run("T054 challenge without a nonce", func(t *testing.T) {
		t.Parallel()
		for name, fault := range map[string]helseidtest.Fault{
			"none": challenge(), "empty": challenge(""), "two": challenge("one", "two"), "with space": challenge("a b"),
			"with quote": challenge(`a"b`), "with backslash": challenge(`a\b`), "huge": challenge(strings.Repeat("n", 1025)),
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, worldOptions{})
				w.server.Inject(fault)
				_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
				requireError(t, err, helseid.ErrInvalidResponse)
				require.ErrorContains(t, err, "nonce")
				require.Equal(t, 1, w.tokenRequests())
			})
		}
	})
	t.Run("the same nonce again", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.server.Inject(challenge("always"), challenge("always"), challenge("always"))
		_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
		requireRefusal(t, err, "use_dpop_nonce")
		require.Equal(t, 2, w.tokenRequests())
		_, err = w.client.Token(t.Context(), helseid.TokenRequest{}) // starts with the nonce it knows
		requireRefusal(t, err, "use_dpop_nonce")
		require.Equal(t, 3, w.tokenRequests(), "the nonce that was just refused is not tried again")
	})
	t.Run("T057 the second answer's error counts", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.server.Inject(challenge("fresh"), helseidtest.Fault{Status: http.StatusBadRequest, Body: `{"error":"invalid_scope","error_description":"nope"}`})
		_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
		refusal := refusalOf(t, err, "invalid_scope")
		require.Equal(t, "nope", refusal.Description)
		require.Equal(t, 2, w.tokenRequests())
	})
	t.Run("never a third time", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.server.Inject(challenge("one"), challenge("two"), challenge("three"), challenge("four"))
		_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
		requireRefusal(t, err, "use_dpop_nonce")
		require.Equal(t, 2, w.tokenRequests())
		// What was learnt last is what the next request starts with.
		w.server.ClearFaults()
		_, _ = w.client.Token(t.Context(), helseid.TokenRequest{})
		require.Equal(t, "two", proofNonce(t, w.server.Requests(helseidtest.EndpointToken)[2]))
	})
	t.Run("a nonce in a good answer is learnt", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.server.Inject(helseidtest.Fault{Body: w.tokenAnswer(t, nil), Header: http.Header{"Dpop-Nonce": {"for-the-next"}}})
		w.token(t)
		w.server.Inject(helseidtest.Fault{Body: w.tokenAnswer(t, nil)})
		_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
		require.NoError(t, err)
		require.Equal(t, "for-the-next", proofNonce(t, w.server.Requests(helseidtest.EndpointToken)[1]))
	})
	t.Run("T066 nonces are kept by origin", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{server: demanding})
		api := w.api(apiHost, good)
		for range 2 {
			_, err := get(t, w.client.HTTPClient(helseid.TokenRequest{Scopes: []string{testScope}}), apiURL)
			require.NoError(t, err)
		}
		for _, call := range api.received() {
			require.NotContains(t, proofClaims(t, w, call.request, apiURL), "nonce", "HelseID's nonce is not for the API")
		}
	})
}

func requireRefusal(t testing.TB, err error, code string) {
	t.Helper()
	require.Equal(t, code, refusalOf(t, err, code).Code)
}

// refusalOf requires the same, and gives the refusal.
func refusalOf(t testing.TB, err error, code string) *helseid.TokenError {
	t.Helper()
	requireNoSecret(t, err)
	var refusal *helseid.TokenError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, code, refusal.Code)
	return refusal
}

// countingServer is a real HelseID on loopback whose token endpoint is a
// function.
type countingServer struct{ count atomic.Int64 }

func realServer(t testing.TB, token func(w http.ResponseWriter, nth int64, token func() string)) (*countingServer, helseid.Config) {
	t.Helper()
	counting := &countingServer{}
	minter := helseidtest.NewServer(t, helseidtest.InMemory())
	key, err := dpop.GenerateKey(dpop.KeyOptions{})
	require.NoError(t, err)
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"issuer":"`+server.URL+`","token_endpoint":"`+server.URL+`/connect/token"}`)
	})
	mux.HandleFunc("/connect/token", func(w http.ResponseWriter, r *http.Request) {
		secrets.add("client assertion", r.FormValue("client_assertion"))
		secrets.add("proof", r.Header.Get("DPoP"))
		w.Header().Set("Content-Type", "application/json")
		token(w, counting.count.Add(1), func() string {
			access := minter.Token(mint.Claim("cnf", map[string]string{"jkt": key.Thumbprint()}))
			secrets.add("access token", access)
			return `{"access_token":"` + access + `","token_type":"DPoP","expires_in":600}`
		})
	})
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return counting, helseid.Config{
		Issuer: server.URL, ClientID: "client", Key: testKey(t), DPoPKey: key, TokenRetries: -1,
		HTTPClient: &http.Client{Transport: transport},
	}
}

func writeError(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"error":"`+code+`"}`)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("x", 10_000)
	tests := map[string]struct {
		status int
		body   string
		want   helseid.TokenError
		says   string
	}{
		"T055 another error at once":       {400, `{"error":"invalid_client"}`, helseid.TokenError{Code: "invalid_client"}, "public key"},
		"T056 a 401":                       {401, `{"error":"invalid_client","error_description":"gone"}`, helseid.TokenError{Code: "invalid_client", Description: "gone"}, "gone"},
		"T059 a 418":                       {418, `{"error":"i_am_a_teapot"}`, helseid.TokenError{Code: "i_am_a_teapot"}, "418"},
		"T063 member in another case":      {400, `{"error":"invalid_scope","Error_Description":"ignored"}`, helseid.TokenError{Code: "invalid_scope"}, "identity scope"},
		"T063 description in another case": {400, `{"error":"invalid_scope","ERROR_DESCRIPTION":"ignored","Error":"x"}`, helseid.TokenError{Code: "invalid_scope"}, "identity scope"},
		"HelseID's own number":             {400, `{"error":"invalid_request","error_description":"HID-1001: not whitelisted"}`, helseid.TokenError{Code: "invalid_request", Description: "HID-1001: not whitelisted", HID: "HID-1001"}, "HID-1001"},
		"not quite HelseID's number":       {400, `{"error":"invalid_request","error_description":"HID-10011 XHID-1001 HID-DOUBLE-STRUCTURE"}`, helseid.TokenError{Code: "invalid_request", Description: "HID-10011 XHID-1001 HID-DOUBLE-STRUCTURE"}, ""},
		"description with a person":        {400, `{"error":"invalid_request","error_description":"unknown person 06828399789"}`, helseid.TokenError{Code: "invalid_request", Description: "unknown person [redacted]"}, ""},
		"description with a token":         {400, `{"error":"invalid_request","error_description":"bad eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJlc2lnbmF0dXJl"}`, helseid.TokenError{Code: "invalid_request", Description: "bad [redacted]"}, ""},
		"description with line breaks":     {400, `{"error":"invalid_request","error_description":"a\nb\u0000c\u001b[31m"}`, helseid.TokenError{Code: "invalid_request", Description: "a b c [31m"}, ""},
		"description of another type":      {400, `{"error":"invalid_request","error_description":{"a":1}}`, helseid.TokenError{Code: "invalid_request"}, ""},
		"description without end":          {400, `{"error":"invalid_request","error_description":"` + strings.Repeat("no ", 5000) + `"}`, helseid.TokenError{Code: "invalid_request", Description: strings.TrimSpace(strings.Repeat("no ", 100))}, ""},
		"grant not allowed":                {400, `{"error":"unauthorized_client"}`, helseid.TokenError{Code: "unauthorized_client"}, "grant type"},
		"clock":                            {400, `{"error":"invalid_dpop_proof"}`, helseid.TokenError{Code: "invalid_dpop_proof"}, "clock"},
		"target":                           {400, `{"error":"invalid_target"}`, helseid.TokenError{Code: "invalid_target"}, "resource"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			w.server.Inject(helseidtest.Fault{Status: test.status, Body: test.body})
			_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
			refusal := refusalOf(t, err, test.want.Code)
			test.want.StatusCode = test.status
			require.Equal(t, test.want, *refusal)
			require.ErrorContains(t, err, test.says)
			require.NotErrorIs(t, err, helseid.ErrUnavailable)
			require.NotErrorIs(t, err, helseid.ErrInvalidResponse)
			require.Equal(t, 1, w.tokenRequests(), "a refusal is not asked for twice")
		})
	}
	noCode := map[string]string{
		"T062 no member error":   `{"message":"` + huge + `"}`,
		"T063 Error":             `{"Error":"invalid_client"}`,
		"error twice":            `{"error":"invalid_client","error":"x"}`,
		"error is an object":     `{"error":{"code":"invalid_client"}}`,
		"error is empty":         `{"error":""}`,
		"error is a text":        `{"error":"Fødselsnummer"}`,
		"error is huge":          `{"error":"` + huge + `"}`,
		"error is a person":      `{"error":"06828399789"}`,
		"error has a quote":      `{"error":"a\"b"}`,
		"not an object":          `["invalid_client"]`,
		"T061 not JSON":          `not json: ` + huge,
		"HTML":                   `<html><body>06828399789</body></html>`,
		"empty":                  ``,
		"JSON cut off":           `{"error":"invalid_cl`,
		"text after the object":  `{"error":"invalid_client"} and more`,
		"a token with the error": `{"error":"", "access_token":"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"}`,
	}
	for name, body := range noCode {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for status, category := range map[int]error{400: helseid.ErrInvalidResponse, 403: helseid.ErrInvalidResponse, 404: helseid.ErrInvalidResponse, 500: helseid.ErrUnavailable, 429: helseid.ErrUnavailable} {
				w := newWorld(t, worldOptions{config: noRetries})
				w.server.Inject(helseidtest.Fault{Status: status, Body: body})
				_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
				requireError(t, err, category)
				var refusal *helseid.TokenError
				require.NotErrorAs(t, err, &refusal)
				require.ErrorContains(t, err, strconv.Itoa(status))
				require.Less(t, len(err.Error()), 300, "a body is quoted")
			}
		})
	}
	t.Run("T065 a 500 with an error, retries off", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{config: noRetries})
		w.server.Inject(helseidtest.Fault{Status: 500, Body: `{"error":"server_error","error_description":"later"}`, Times: -1})
		_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
		require.Equal(t, 500, refusalOf(t, err, "server_error").StatusCode)
		require.ErrorIs(t, err, helseid.ErrUnavailable, "an outage is one, also with an OAuth error")
		require.Equal(t, 1, w.tokenRequests())
	})
}

// What can fail on the way is tried again, three times in all, and each time
// with nothing of what was sent before.
func TestRetries(t *testing.T) {
	t.Parallel()
	faults := map[string]helseidtest.Fault{
		"503":            {Status: 503},
		"500":            {Status: 500, Body: `{"error":"server_error"}`},
		"429":            {Status: 429},
		"cut connection": {Cut: true},
		"half a body":    {HalfBody: true},
		"no answer":      {Delay: time.Hour},
	}
	for name, fault := range faults {
		for _, nonces := range []string{"without nonces", "with nonces", "with a new nonce each time"} {
			t.Run("T018 "+name+" "+nonces, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T) {
					options := worldOptions{server: demanding}
					if nonces == "without nonces" {
						options.server = nil
					}
					w := newWorld(t, options)
					w.server.DemandNewNonceEachTime(nonces == "with a new nonce each time")
					twice := fault
					twice.Times = 2
					w.server.Inject(twice)
					w.token(t)
					require.Equal(t, 2, w.events.of(helseid.EventRetry))
					requireDistinctIDs(t, w)
					pause(595 * time.Second)
					w.server.Inject(helseidtest.Fault{Status: 503})
					w.token(t)
					requireDistinctIDs(t, w)
				})
			})
		}
		t.Run("give up after "+name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				for retries, sends := range map[int]int{-1: 1, 0: 3, 1: 2, 2: 3, 4: 5} {
					w := newWorld(t, worldOptions{config: func(c *helseid.Config) {
						c.TokenRetries = retries
						c.RequestTimeout = 2 * time.Second
					}})
					always := fault
					always.Times = -1
					w.server.Inject(always)
					_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
					requireError(t, err, helseid.ErrUnavailable)
					require.Equal(t, sends, w.tokenRequests())
					requireDistinctIDs(t, w)
				}
			})
		})
	}
	t.Run("the wait grows, and obeys Retry-After up to four seconds", func(t *testing.T) {
		t.Parallel()
		for _, test := range []struct {
			header      string
			least, most time.Duration
		}{
			{"", 125*time.Millisecond + 250*time.Millisecond, 750 * time.Millisecond},
			{"1", 2 * time.Second, 2 * time.Second},
			{"3", 6 * time.Second, 6 * time.Second},
			{"86400", 8 * time.Second, 8 * time.Second},
			{"99999999999999999999", 375 * time.Millisecond, 750 * time.Millisecond},
			{"-1", 375 * time.Millisecond, 750 * time.Millisecond},
			{"Wed, 21 Oct 2099 07:28:00 GMT", 375 * time.Millisecond, 750 * time.Millisecond},
		} {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{})
				w.server.Inject(helseidtest.Fault{Status: 503, Times: 2, Header: http.Header{"Retry-After": {test.header}}})
				start := time.Now()
				w.token(t)
				require.GreaterOrEqual(t, time.Since(start), test.least, test.header)
				require.LessOrEqual(t, time.Since(start), test.most, test.header)
			})
		}
	})
	t.Run("within a time limit for all attempts", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{config: func(c *helseid.Config) { c.TokenRetries = 1000 }})
			w.server.Inject(helseidtest.Fault{Delay: time.Hour, Times: -1})
			start := time.Now()
			_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
			requireError(t, err, helseid.ErrUnavailable)
			require.LessOrEqual(t, time.Since(start), time.Minute)
		})
	})
	t.Run("what cannot get better is not tried again", func(t *testing.T) {
		t.Parallel()
		for _, fault := range []helseidtest.Fault{
			{Status: 400}, {Status: 404}, {Status: 302, Header: http.Header{"Location": {"/"}}}, {Status: 204},
			{Body: "<html>", Header: http.Header{"Content-Type": {"text/html"}}}, {Body: `{"access_token":`},
		} {
			w := newWorld(t, worldOptions{})
			w.server.Inject(fault)
			_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
			requireError(t, err, helseid.ErrInvalidResponse)
			require.Equal(t, 1, w.tokenRequests())
		}
	})
}

func TestNewNonceEachTime(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{server: demanding})
		w.server.DemandNewNonceEachTime(true)
		for range 20 {
			w.token(t)
			pause(595 * time.Second)
		}
		requireDistinctIDs(t, w)
		require.Equal(t, 21, w.tokenRequests(), "the nonce of each answer is good for the next request")
	})
}

func TestTokenAnswers(t *testing.T) {
	t.Parallel()
	html := http.Header{"Content-Type": {"text/html; charset=utf-8"}}
	type caseOf struct {
		fault  func(t *testing.T, w *world) helseidtest.Fault
		accept bool
		says   string
	}
	body := func(text string) func(*testing.T, *world) helseidtest.Fault {
		return func(*testing.T, *world) helseidtest.Fault { return helseidtest.Fault{Body: text} }
	}
	change := func(name string, value any) func(*testing.T, *world) helseidtest.Fault {
		return func(t *testing.T, w *world) helseidtest.Fault {
			return helseidtest.Fault{Body: w.tokenAnswer(t, map[string]any{name: value})}
		}
	}
	access := func(make func(w *world) string) func(*testing.T, *world) helseidtest.Fault {
		return func(t *testing.T, w *world) helseidtest.Fault {
			return helseidtest.Fault{Body: w.tokenAnswer(t, map[string]any{"access_token": make(w)})}
		}
	}
	// edit changes the text of a good answer.
	edit := func(old, replacement string) func(*testing.T, *world) helseidtest.Fault {
		return func(t *testing.T, w *world) helseidtest.Fault {
			answer := w.tokenAnswer(t, nil)
			require.Contains(t, answer, old)
			return helseidtest.Fault{Body: strings.Replace(answer, old, replacement, 1)}
		}
	}
	with := func(header http.Header) func(*testing.T, *world) helseidtest.Fault {
		return func(t *testing.T, w *world) helseidtest.Fault {
			return helseidtest.Fault{Body: w.tokenAnswer(t, nil), Header: header}
		}
	}
	tests := map[string]caseOf{
		"good": {change("unknown", map[string]any{"a": 1}), true, ""},
		"HTML": {func(*testing.T, *world) helseidtest.Fault {
			return helseidtest.Fault{Body: "<html>06828399789", Header: html}
		}, false, "text/html"},
		"a good answer that says HTML": {with(html), false, "text/html"},
		"a type that is an injection":  {with(http.Header{"Content-Type": {"text/06828399789"}}), false, ""},
		"no type":                      {with(http.Header{"Content-Type": nil}), false, "content type"},
		"a type that is none":          {with(http.Header{"Content-Type": {"a/b/c; ="}}), false, "content type"},
		"type json":                    {with(http.Header{"Content-Type": {"application/json"}}), true, ""},
		"type json with parameters":    {with(http.Header{"Content-Type": {`Application/JSON; charset="utf-8"`}}), true, ""},
		"type of the family":           {with(http.Header{"Content-Type": {"application/oauth+json"}}), true, ""},
		"T060 empty":                   {func(*testing.T, *world) helseidtest.Fault { return helseidtest.Fault{Status: 200} }, false, "0 bytes"},
		"T058 half a document": {func(t *testing.T, w *world) helseidtest.Fault {
			text := w.tokenAnswer(t, nil)
			return helseidtest.Fault{Body: text[:len(text)/2]}
		}, false, "bytes"},
		"two documents": {func(t *testing.T, w *world) helseidtest.Fault {
			return helseidtest.Fault{Body: w.tokenAnswer(t, nil) + w.tokenAnswer(t, nil)}
		}, false, "after the object"},
		"an array":              {body(`[]`), false, "object"},
		"null":                  {body(`null`), false, "object"},
		"an empty object":       {body(`{}`), false, "access_token"},
		"an error with 200":     {body(`{"error":"invalid_client","error_description":"06828399789"}`), false, "access_token"},
		"deep":                  {body(`{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`), false, "deep"},
		"duplicate token":       {edit(`"access_token"`, `"access_token":"other","access_token"`), false, "duplicate"},
		"duplicate type":        {edit(`"token_type"`, `"token_type":"DPoP","token_type"`), false, "duplicate"},
		"duplicate by escape":   {edit(`"token_type"`, `"token\u005ftype":"Bearer","token_type"`), false, "duplicate"},
		"duplicate of no use":   {edit(`"token_type"`, `"x":1,"x":1,"token_type"`), false, "duplicate"},
		"duplicate deep inside": {edit(`"token_type"`, `"x":{"y":[{"z":1,"z":2}]},"token_type"`), false, "duplicate"},
		"folded token":          {edit(`"access_token"`, `"Access_Token":"other","access_token"`), false, "case"},
		"folded type":           {edit(`"token_type"`, `"Token_type":"Bearer","token_type"`), false, "case"},
		"folded expiry":         {edit(`"expires_in"`, `"EXPIRES_IN":999999,"expires_in"`), false, "case"},
		"folded scope":          {edit(`"scope"`, `"Scope":"everything","scope"`), false, "case"},
		"folded rejected scope": {edit(`"scope"`, `"Rejected_Scope":"x","scope"`), false, "case"},
		"folded by Kelvin sign": {edit(`"access_token"`, `"access_to\u212aen":"other","access_token"`), false, "case"},
		"only folded":           {edit(`"access_token"`, `"Access_token"`), false, "case"},

		"token_type missing":   {change("token_type", nil), false, "token_type"},
		"token_type a number":  {change("token_type", 1), false, "token_type"},
		"token_type Bearer":    {change("token_type", "Bearer"), false, "DPoP"},
		"token_type bearer":    {change("token_type", "bearer"), false, "DPoP"},
		"token_type empty":     {change("token_type", ""), false, "DPoP"},
		"token_type N_A":       {change("token_type", "N_A"), false, "DPoP"},
		"token_type two words": {change("token_type", "DPoP Bearer"), false, "DPoP"},
		"token_type dpop":      {change("token_type", "dpop"), true, ""},
		"token_type dPoP":      {change("token_type", "dPoP"), true, ""},

		"access_token missing":         {change("access_token", nil), false, "access_token"},
		"access_token null":            {change("access_token", literal("null")), false, "access_token"},
		"access_token empty":           {change("access_token", ""), false, "access_token"},
		"access_token a number":        {change("access_token", 7), false, "access_token"},
		"access_token with space":      {change("access_token", "a b"), false, "access_token"},
		"access_token with newline":    {change("access_token", "abc\r\nX-Injected: 1"), false, "access_token"},
		"access_token ends in newline": {change("access_token", "abc\n"), false, "access_token"},
		"access_token with NUL":        {change("access_token", "a\x00b"), false, "access_token"},
		"access_token with comma":      {change("access_token", "abc,def"), false, "access_token"},
		"access_token with quote":      {change("access_token", `a"b`), false, "access_token"},
		"access_token beyond ASCII":    {change("access_token", "tøken"), false, "access_token"},
		"access_token only padding":    {change("access_token", "=="), false, "access_token"},
		"access_token padded inside":   {change("access_token", "a=b"), false, "access_token"},
		"access_token of 64 KiB":       {change("access_token", strings.Repeat("a", 64<<10)), true, ""},
		"access_token of more":         {change("access_token", strings.Repeat("a", 64<<10+1)), false, "access_token"},
		"opaque access_token":          {change("access_token", "opaque-._~+/token=="), true, ""},
		"opaque with two dots":         {change("access_token", "not.a.jws"), true, ""},

		"bound to another key":    {access(func(w *world) string { return w.boundToken(mint.BoundToAnotherKey()) }), false, "cnf.jkt"},
		"a JWT that is not bound": {access(func(w *world) string { return w.boundToken(mint.Unbound()) }), false, "cnf.jkt"},
		"cnf is a text":           {access(func(w *world) string { return w.boundToken(mint.Claim("cnf", w.key.Thumbprint())) }), false, "cnf.jkt"},
		"cnf.jkt is a number":     {access(func(w *world) string { return w.boundToken(mint.Claim("cnf", map[string]any{"jkt": 1})) }), false, "cnf.jkt"},
		"cnf.jkt in another case": {access(func(w *world) string {
			return w.boundToken(mint.Claim("cnf", map[string]any{"JKT": w.key.Thumbprint()}))
		}), false, "cnf.jkt"},
		"cnf.jkt padded": {access(func(w *world) string {
			return w.boundToken(mint.Claim("cnf", map[string]any{"jkt": w.key.Thumbprint() + "="}))
		}), false, "cnf.jkt"},
		"cnf by certificate":       {access(func(w *world) string { return w.boundToken(mint.Claim("cnf", map[string]any{"x5t#S256": "x"})) }), false, "cnf.jkt"},
		"bound, broken signature":  {access(func(w *world) string { return w.boundToken(mint.BrokenSignature()) }), true, ""},
		"bound, expired by itself": {access(func(w *world) string { return w.boundToken(mint.Expired()) }), true, ""},

		"scope a number":       {change("scope", 1), false, "scope"},
		"scope a mixed array":  {change("scope", []any{"a", 1}), false, "scope"},
		"rejected_scope false": {change("rejected_scope", false), false, "rejected_scope"},

		"204": {func(*testing.T, *world) helseidtest.Fault { return helseidtest.Fault{Status: 204} }, false, "204"},
		"201": {func(t *testing.T, w *world) helseidtest.Fault {
			return helseidtest.Fault{Status: 201, Body: w.tokenAnswer(t, nil)}
		}, false, "201"},
		"206": {func(t *testing.T, w *world) helseidtest.Fault {
			return helseidtest.Fault{Status: 206, Body: w.tokenAnswer(t, nil)}
		}, false, "206"},
		"2 MiB": {body(`{"a":"` + strings.Repeat("x", 2<<20) + `"}`), false, "1 MiB"},
		"redirect": {func(t *testing.T, w *world) helseidtest.Fault {
			return helseidtest.Fault{Status: 307, Body: w.tokenAnswer(t, nil)}
		}, false, "redirect"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{config: noRetries})
			w.server.Inject(test.fault(t, w))
			token, err := w.client.Token(t.Context(), helseid.TokenRequest{})
			require.Equal(t, 1, w.tokenRequests())
			if test.accept {
				require.NoError(t, err)
				require.Equal(t, "DPoP", token.Type)
				require.NotEmpty(t, token.Access.Reveal())
				return
			}
			require.Nil(t, token)
			requireNoSecret(t, err)
			require.ErrorContains(t, err, test.says)
			require.Less(t, len(err.Error()), 400)
			require.ErrorIs(t, err, helseid.ErrInvalidResponse)
			require.NotErrorIs(t, err, helseid.ErrUnavailable, "trying later cannot help")
		})
	}
}

// A credential follows no redirect, wherever it points.
func TestT019TokenEndpointRedirects(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			var trapped atomic.Int64
			trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { trapped.Add(1) }))
			defer trap.Close()
			server, config := realServer(t, func(w http.ResponseWriter, _ int64, _ func() string) {
				w.Header().Set("Location", trap.URL+"/connect/token")
				w.WriteHeader(status)
			})
			config.HTTPClient.CheckRedirect = func(*http.Request, []*http.Request) error { return nil }
			client := newClient(t, config)
			_, err := client.Token(t.Context(), helseid.TokenRequest{})
			requireError(t, err, helseid.ErrInvalidResponse)
			require.ErrorContains(t, err, "redirect")
			require.Zero(t, trapped.Load(), "the trap got something")
			require.EqualValues(t, 1, server.count.Load())
		})
	}
	t.Run("to the same origin", func(t *testing.T) {
		t.Parallel()
		server, config := realServer(t, func(w http.ResponseWriter, _ int64, _ func() string) {
			w.Header().Set("Location", "/connect/token")
			w.WriteHeader(http.StatusTemporaryRedirect)
		})
		_, err := newClient(t, config).Token(t.Context(), helseid.TokenRequest{})
		requireError(t, err, helseid.ErrInvalidResponse)
		require.EqualValues(t, 1, server.count.Load())
	})
	t.Run("to nowhere, with a person in it", func(t *testing.T) {
		t.Parallel()
		_, config := realServer(t, func(w http.ResponseWriter, _ int64, _ func() string) {
			w.Header().Set("Location", "http://%zz/?pid=06828399789")
			w.WriteHeader(http.StatusFound)
		})
		_, err := newClient(t, config).Token(t.Context(), helseid.TokenRequest{})
		requireError(t, err, helseid.ErrInvalidResponse)
	})
}

func TestTokenEndpointKeepsNoCookies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{server: demanding, config: func(c *helseid.Config) { c.HTTPClient.Jar = recordingJar{} }})
	w.token(t)
}

// Compression is undone by net/http, so the limit must count what comes out.
func TestCompressedAnswers(t *testing.T) {
	t.Parallel()
	compress := func(text string) []byte {
		var out bytes.Buffer
		writer := gzip.NewWriter(&out)
		_, _ = io.WriteString(writer, text)
		_ = writer.Close()
		return out.Bytes()
	}
	t.Run("good", func(t *testing.T) {
		t.Parallel()
		_, config := realServer(t, func(w http.ResponseWriter, _ int64, token func() string) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(compress(token()))
		})
		_, err := newClient(t, config).Token(t.Context(), helseid.TokenRequest{})
		require.NoError(t, err)
	})
	t.Run("a bomb", func(t *testing.T) {
		t.Parallel()
		bomb := compress(`{"a":"` + strings.Repeat("x", 4<<20) + `"}`)
		require.Less(t, len(bomb), 64<<10)
		server, config := realServer(t, func(w http.ResponseWriter, _ int64, _ func() string) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		})
		config.TokenRetries = 2
		_, err := newClient(t, config).Token(t.Context(), helseid.TokenRequest{})
		requireNoSecret(t, err)
		require.ErrorContains(t, err, "1 MiB")
		require.EqualValues(t, 1, server.count.Load(), "what is too large will be so again")
	})
}
