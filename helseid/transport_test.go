package helseid_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
)

var apiRequest = helseid.TokenRequest{Scopes: []string{testScope}}

func newRequest(t testing.TB, method, target string, body io.Reader) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, target, body)
	require.NoError(t, err)
	return request
}

func TestT049HeadersOfACall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	api := w.api(apiHost, good)
	token := w.token(t)
	for range 3 {
		request := newRequest(t, http.MethodGet, apiURL+"?page=2", nil)
		request.Header.Set("Accept", "application/fhir+json")
		response, err := w.client.HTTPClient(apiRequest).Do(request)
		require.NoError(t, err)
		_ = response.Body.Close()
	}
	for _, call := range api.received() {
		require.Equal(t, "DPoP "+token.Access.Reveal(), call.request.Header.Get("Authorization"))
		claims := proofClaims(t, w, call.request, apiURL)
		require.Len(t, claims, 5, "jti, htm, htu, iat and ath")
		require.Equal(t, "page=2", call.request.URL.RawQuery)
		require.Equal(t, "application/fhir+json", call.request.Header.Get("Accept"))
	}
	require.Len(t, api.received(), 3)
	requireDistinctIDs(t, w, api)
	require.Equal(t, 1, w.tokenRequests())
}

func TestProofIsForExactlyThisRequest(t *testing.T) {
	t.Parallel()
	for target, htu := range map[string]string{
		"https://api.example.no":                            "https://api.example.no/",
		"https://api.example.no/":                           "https://api.example.no/",
		"https://api.example.no?a=b":                        "https://api.example.no/",
		"https://api.example.no/things?a=b#c":               "https://api.example.no/things",
		"https://api.example.no/things#c":                   "https://api.example.no/things",
		"https://api.example.no/things?":                    "https://api.example.no/things",
		"https://api.example.no:443/things":                 "https://api.example.no/things",
		"https://api.example.no:8443/things":                "https://api.example.no:8443/things",
		"https://api.example.no:80/things":                  "https://api.example.no:80/things",
		"https://API.Example.NO/Things":                     "https://api.example.no/Things",
		"https://api.example.no/a%20b":                      "https://api.example.no/a%20b",
		"https://api.example.no/a%2Fb/c":                    "https://api.example.no/a%2Fb/c",
		"https://api.example.no/a%2fb/c":                    "https://api.example.no/a%2fb/c",
		"https://api.example.no/bl%C3%A5b%C3%A6r":           "https://api.example.no/bl%C3%A5b%C3%A6r",
		"https://api.example.no/blåbær":                     "https://api.example.no/bl%C3%A5b%C3%A6r",
		"https://api.example.no/a;b=1,c/$x":                 "https://api.example.no/a;b=1,c/$x",
		"https://api.example.no//a/../b/./c":                "https://api.example.no//a/../b/./c",
		"https://[2001:db8::1]/x":                           "https://[2001:db8::1]/x",
		"https://[2001:DB8::1]:8443/x":                      "https://[2001:db8::1]:8443/x",
		"https://[2001:db8::1]:443/x?y":                     "https://[2001:db8::1]/x",
		"http://127.0.0.1:8080/x":                           "http://127.0.0.1:8080/x",
		"http://localhost:80/x":                             "http://localhost/x",
		"http://[::1]:8080/x":                               "http://[::1]:8080/x",
		"https://api.example.no/fhir/Patient/$everything?x": "https://api.example.no/fhir/Patient/$everything",
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			for _, method := range []string{"GET", "POST", "DELETE", "PATCH", ""} {
				request := newRequest(t, http.MethodGet, target, nil)
				request.Method = method
				api := w.api(request.URL.Host, good)
				response, err := w.client.HTTPClient(apiRequest).Do(request)
				require.NoError(t, err)
				_ = response.Body.Close()
				_, claims := jws(t, api.received()[0].request.Header.Get("DPoP"))
				require.Equal(t, htu, claims["htu"])
				if method == "" {
					method = "GET"
				}
				require.Equal(t, method, claims["htm"])
			}
		})
	}
	t.Run("another host in the Host header", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		api := w.api("10.0.0.1", good)
		request := newRequest(t, http.MethodGet, "https://10.0.0.1/things", nil)
		request.Host = "API.example.no:443"
		response, err := w.client.HTTPClient(apiRequest).Do(request)
		require.NoError(t, err)
		_ = response.Body.Close()
		proofClaims(t, w, api.received()[0].request, "https://api.example.no/things")
	})
}

func TestRequestIsNotMutated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.api(apiHost, inTurn(nonceDemand("one")))
	body := &trackedBody{Reader: strings.NewReader("text")}
	request := newRequest(t, http.MethodPost, apiURL, body)
	request.GetBody = func() (io.ReadCloser, error) { return &trackedBody{Reader: strings.NewReader("text")}, nil }
	request.Header.Set("Authorization", "Basic mine")
	request.Header.Set("DPoP", "mine")
	header, target := request.Header.Clone(), *request.URL
	response, err := w.client.Transport(apiRequest).RoundTrip(request)
	require.NoError(t, err)
	_ = response.Body.Close()
	require.Equal(t, header, request.Header)
	require.Equal(t, &target, request.URL)
	require.Equal(t, io.ReadCloser(body), request.Body)
	require.Same(t, request, response.Request, "the response belongs to the caller's request, which holds no token")
}

// One request may be sent by many at once, if it has no body.
func TestRequestMayBeShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	api := w.api(apiHost, good)
	request := newRequest(t, http.MethodGet, apiURL, nil)
	request.Header = nil
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			response, err := w.client.Transport(apiRequest).RoundTrip(request)
			if assert.NoError(t, err) {
				_ = response.Body.Close()
			}
		})
	}
	group.Wait()
	require.Nil(t, request.Header)
	requireDistinctIDs(t, w, api)
}

// trackedBody tells whether it was closed.
type trackedBody struct {
	io.Reader
	closed atomic.Int64
}

func (b *trackedBody) Close() error { b.closed.Add(1); return nil }

func TestBodyIsClosed(t *testing.T) {
	t.Parallel()
	closedContext, cancel := context.WithCancel(context.Background())
	cancel()
	tests := map[string]struct {
		target  string
		request helseid.TokenRequest
		ctx     context.Context
		prepare func(*world)
		fails   bool
	}{
		"good":                     {apiURL, apiRequest, nil, func(*world) {}, false},
		"API unreachable":          {"https://nobody.example.no/", apiRequest, nil, func(*world) {}, true},
		"API breaks off":           {apiURL, apiRequest, nil, func(w *world) { w.api(apiHost, func(*http.Request) *http.Response { return nil }) }, true},
		"no https":                 {"http://api.example.no/", apiRequest, nil, func(*world) {}, true},
		"origin refused":           {apiURL, helseid.TokenRequest{AllowedOrigins: []string{"https://other.example.no"}}, nil, func(*world) {}, true},
		"mistake in token request": {apiURL, helseid.TokenRequest{Scopes: []string{""}}, nil, func(*world) {}, true},
		"no token":                 {apiURL, apiRequest, nil, func(w *world) { w.server.Inject(helseidtest.Fault{Status: 400, Times: -1}) }, true},
		"client closed":            {apiURL, apiRequest, nil, func(w *world) { w.client.Close() }, true},
		"caller gone":              {apiURL, apiRequest, closedContext, func(*world) {}, true},
		"host that has no proof":   {"https://blåbær.example.no/", apiRequest, nil, func(*world) {}, true},
		"nonce":                    {apiURL, apiRequest, nil, func(w *world) { w.api(apiHost, inTurn(nonceDemand("one"))) }, false},
		"nonce, then breaks off":   {apiURL, apiRequest, nil, func(w *world) { w.api(apiHost, inTurn(nonceDemand("one"), nil)) }, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			w.api(apiHost, good)
			test.prepare(w)
			var bodies []*trackedBody
			newBody := func() *trackedBody {
				body := &trackedBody{Reader: strings.NewReader("text")}
				bodies = append(bodies, body)
				return body
			}
			request := newRequest(t, http.MethodPost, test.target, nil)
			request.Body = newBody()
			request.GetBody = func() (io.ReadCloser, error) { return newBody(), nil }
			if test.ctx != nil {
				request = request.WithContext(test.ctx)
			}
			response, err := w.client.Transport(test.request).RoundTrip(request)
			require.Equal(t, test.fails, err != nil, "%v", err)
			if err != nil {
				require.Nil(t, response)
				requireNoSecret(t, err)
			}
			for i, body := range bodies {
				require.NotZero(t, body.closed.Load(), "body %d stays open", i)
			}
		})
	}
	t.Run("the proof for the second attempt fails", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.api(apiHost, inTurn(nonceDemand("one")))
		signer := &failingSigner{Signer: rsa2048(), good: 2, err: errors.New("the KMS is on fire")} // one for the token, one for the API
		var err error
		w.config.DPoPKey, err = dpop.NewKey(signer, dpop.KeyOptions{Algorithm: "RS256"})
		require.NoError(t, err)
		first, second := &trackedBody{Reader: strings.NewReader("text")}, &trackedBody{Reader: strings.NewReader("text")}
		request := newRequest(t, http.MethodPost, apiURL, first)
		request.GetBody = func() (io.ReadCloser, error) { return second, nil }
		_, err = newClient(t, w.config).Transport(apiRequest).RoundTrip(request)
		require.ErrorContains(t, err, "on fire")
		require.NotZero(t, first.closed.Load())
		require.NotZero(t, second.closed.Load(), "the rewound body stays open")
	})
	t.Run("GetBody fails", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.api(apiHost, inTurn(nonceDemand("one")))
		body := &trackedBody{Reader: strings.NewReader("text")}
		request := newRequest(t, http.MethodPost, apiURL, body)
		request.GetBody = func() (io.ReadCloser, error) { return nil, errors.New("the tape is torn") }
		_, err := w.client.Transport(apiRequest).RoundTrip(request)
		require.ErrorContains(t, err, "the tape is torn")
		require.NotZero(t, body.closed.Load())
	})
	t.Run("no URL", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		body := &trackedBody{Reader: strings.NewReader("text")}
		_, err := w.client.Transport(apiRequest).RoundTrip(&http.Request{Method: "POST", Body: body})
		require.Error(t, err)
		require.NotZero(t, body.closed.Load())
	})
}

// The answers that are not handed out are closed too, so that their connections
// are not lost.
func TestResponsesAreClosed(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{})
		w.token(t)
		pause(time.Minute)
		var bodies []*trackedBody
		tracked := func(response *http.Response) *http.Response {
			body := &trackedBody{Reader: strings.NewReader("the body")}
			bodies = append(bodies, body)
			response.Body = body
			return response
		}
		w.api(apiHost, inTurn(tracked(nonceDemand("one")), tracked(tokenRefused()), tracked(answer(200))))
		response, err := w.client.HTTPClient(apiRequest).Do(newRequest(t, http.MethodGet, apiURL, nil))
		require.NoError(t, err)
		require.Equal(t, 200, response.StatusCode)
		require.EqualValues(t, 1, bodies[0].closed.Load())
		require.EqualValues(t, 1, bodies[1].closed.Load())
		require.Zero(t, bodies[2].closed.Load(), "this one is the caller's")
	})
}

func TestBodyIsReplayed(t *testing.T) {
	t.Parallel()
	t.Run("with GetBody", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		api := w.api(apiHost, inTurn(nonceDemand("one")))
		request := newRequest(t, http.MethodPost, apiURL, strings.NewReader("the whole text"))
		response, err := w.client.HTTPClient(apiRequest).Do(request)
		require.NoError(t, err)
		_ = response.Body.Close()
		require.Equal(t, 200, response.StatusCode)
		calls := api.received()
		require.Len(t, calls, 2)
		require.Equal(t, "the whole text", calls[0].body)
		require.Equal(t, "the whole text", calls[1].body)
		require.EqualValues(t, 14, calls[1].request.ContentLength)
		requireDistinctIDs(t, w, api)
	})
	t.Run("not without", func(t *testing.T) {
		t.Parallel()
		for name, response := range map[string]*http.Response{"nonce": nonceDemand("one"), "token": tokenRefused()} {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{})
				w.token(t)
				pause(time.Minute)
				api := w.api(apiHost, inTurn(response))
				request := newRequest(t, http.MethodPost, apiURL, io.NopCloser(strings.NewReader("the whole text")))
				require.Nil(t, request.GetBody)
				got, err := w.client.HTTPClient(apiRequest).Do(request)
				require.NoError(t, err)
				require.Equal(t, http.StatusUnauthorized, got.StatusCode, name)
				body, err := io.ReadAll(got.Body)
				require.NoError(t, err)
				require.Equal(t, "the body", string(body), "the refusal is the caller's to read")
				require.Len(t, api.received(), 1)
				require.Equal(t, 1, w.tokenRequests(), "no token is fetched for a request that cannot be repeated")
			})
		}
	})
	t.Run("a body that is none needs no GetBody", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		api := w.api(apiHost, inTurn(nonceDemand("one")))
		request := newRequest(t, http.MethodPost, apiURL, http.NoBody)
		request.GetBody = nil
		response, err := w.client.HTTPClient(apiRequest).Do(request)
		require.NoError(t, err)
		require.Equal(t, 200, response.StatusCode)
		require.Len(t, api.received(), 2)
	})
}

func TestAPINonces(t *testing.T) {
	t.Parallel()
	unauthorized := func(nonces []string, challenges ...string) *http.Response {
		response := answer(http.StatusUnauthorized)
		response.Header["Dpop-Nonce"] = nonces
		response.Header["Www-Authenticate"] = challenges
		return response
	}
	one := []string{"one"}
	t.Run("T069 one retry with the new nonce", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		api := w.api(apiHost, inTurn(nonceDemand("one")))
		response, err := get(t, w.client.HTTPClient(apiRequest), apiURL)
		require.NoError(t, err)
		require.Equal(t, 200, response.StatusCode)
		calls := api.received()
		require.Len(t, calls, 2)
		require.NotContains(t, proofClaims(t, w, calls[0].request, apiURL), "nonce")
		require.Equal(t, "one", proofClaims(t, w, calls[1].request, apiURL)["nonce"])
		require.Equal(t, calls[0].request.Header.Get("Authorization"), calls[1].request.Header.Get("Authorization"))
		requireDistinctIDs(t, w, api)
		require.Equal(t, 1, w.tokenRequests())
	})
	for name, response := range map[string]*http.Response{
		"scheme in small letters":         unauthorized(one, `dpop error="use_dpop_nonce"`),
		"scheme in capitals":              unauthorized(one, `DPOP error="use_dpop_nonce"`),
		"scheme as the OIDF has it":       unauthorized(one, `dPoP error="use_dpop_nonce"`),
		"name in capitals":                unauthorized(one, `DPoP ERROR="use_dpop_nonce"`),
		"value without quotes":            unauthorized(one, `DPoP error=use_dpop_nonce`),
		"after another challenge":         unauthorized(one, `Bearer realm="a, b", error="x", DPoP algs="ES256 PS256", error="use_dpop_nonce"`),
		"before another challenge":        unauthorized(one, `DPoP error="use_dpop_nonce", Bearer error="invalid_token"`),
		"in the second header":            unauthorized(one, `Basic realm="x"`, `DPoP error="use_dpop_nonce"`),
		"after a token68":                 unauthorized(one, `Negotiate YWJjZGVmZw==, DPoP error="use_dpop_nonce"`),
		"after a token68, one pad":        unauthorized(one, `Negotiate YWJjZGVmZ2g=, DPoP error="use_dpop_nonce"`),
		"after a token68 with slash":      unauthorized(one, `Negotiate YW/jZGVm, DPoP error="use_dpop_nonce"`),
		"after a token68 with plus":       unauthorized(one, `Negotiate YW+jZGVm, DPoP error="use_dpop_nonce"`),
		"after a bare scheme":             unauthorized(one, `Negotiate, DPoP error="use_dpop_nonce"`),
		"in the second DPoP challenge":    unauthorized(one, `DPoP algs="ES256", DPoP error="use_dpop_nonce"`),
		"with tabs and empty elements":    unauthorized(one, ",\t, DPoP\terror = \"use_dpop_nonce\" ,,"),
		"with an escape in the value":     unauthorized(one, `DPoP error="use\_dpop_nonce"`),
		"after a comma in a description":  unauthorized(one, `DPoP error_description="a, DPoP error=\"invalid_token\"", error="use_dpop_nonce"`),
		"in a header before a broken one": unauthorized(one, `DPoP error="use_dpop_nonce"`, `Bearer realm="`),
		"in a header after a broken one":  unauthorized(one, `Bearer realm="`, `DPoP error="use_dpop_nonce"`),
		"of another scheme":               unauthorized(one, `Bearer error="use_dpop_nonce"`),
		"of a scheme that nobody knows":   unauthorized(one, `Custom error="use_dpop_nonce"`),
		"with status 400":                 {StatusCode: 400, Body: http.NoBody, Header: nonceDemand("one").Header},
		"in JSON":                         withBody(answer(401, "DPoP-Nonce", "one", "Content-Type", "application/json"), `{"error":"use_dpop_nonce"}`),
		"in JSON, with status 400":        withBody(answer(400, "DPoP-Nonce", "one", "Content-Type", "application/json"), `{"error":"use_dpop_nonce"}`),
		"in JSON beside another one": withBody(answer(401, "DPoP-Nonce", "one", "Content-Type", "application/problem+json",
			"WWW-Authenticate", `Bearer error="invalid_token"`), `{"error":"use_dpop_nonce"}`),
	} {
		t.Run("the challenge "+name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			api := w.api(apiHost, inTurn(response))
			got, err := get(t, w.client.HTTPClient(apiRequest), apiURL)
			require.NoError(t, err)
			require.Equal(t, 200, got.StatusCode)
			require.Len(t, api.received(), 2)
		})
	}
	for name, response := range map[string]*http.Response{
		"nonce without challenge":           unauthorized(one),
		"another error":                     unauthorized(one, `DPoP error="invalid_dpop_proof"`),
		"no error":                          unauthorized(one, `DPoP algs="ES256"`),
		"error in a description":            unauthorized(one, `DPoP error_description="error=use_dpop_nonce"`),
		"error in another scheme's value":   unauthorized(one, `Bearer realm="DPoP error=\"use_dpop_nonce\""`),
		"another case of the error":         unauthorized(one, `DPoP error="USE_DPOP_NONCE"`),
		"challenge without nonce":           unauthorized(nil, `DPoP error="use_dpop_nonce"`),
		"challenge with empty nonce":        unauthorized([]string{""}, `DPoP error="use_dpop_nonce"`),
		"challenge with two nonces":         unauthorized([]string{"one", "two"}, `DPoP error="use_dpop_nonce"`),
		"challenge with a nonce of spaces":  unauthorized([]string{"a b"}, `DPoP error="use_dpop_nonce"`),
		"challenge with 403":                {StatusCode: 403, Body: http.NoBody, Header: nonceDemand("one").Header},
		"T073 an API that knows Bearer":     unauthorized(nil, `Bearer realm="x"`),
		"T073 an API that wants Bearer":     unauthorized(nil, `Bearer error="invalid_token"`),
		"T073 both, and the wrong token":    unauthorized(nil, `Bearer, DPoP error="invalid_token"`),
		"error twice in one challenge":      unauthorized(one, `DPoP error="use_dpop_nonce", error="x"`),
		"a challenge that is never closed":  unauthorized(one, `DPoP error="use_dpop_nonce`),
		"a header of 20 000 bytes":          unauthorized(one, `Bearer realm="`+strings.Repeat("x", 20_000)+`", DPoP error="use_dpop_nonce"`),
		"a challenge in place of a request": unauthorized(one, `error="use_dpop_nonce"`),
		"400 with a nonce":                  answer(400, "DPoP-Nonce", "one"),
		"JSON without nonce":                withBody(answer(401, "Content-Type", "application/json"), `{"error":"use_dpop_nonce"}`),
		"JSON with 403":                     withBody(answer(403, "DPoP-Nonce", "one", "Content-Type", "application/json"), `{"error":"use_dpop_nonce"}`),
		"JSON with another error":           withBody(answer(400, "DPoP-Nonce", "one", "Content-Type", "application/json"), `{"error":"invalid_request"}`),
		"JSON that is text":                 withBody(answer(400, "DPoP-Nonce", "one", "Content-Type", "text/plain"), `{"error":"use_dpop_nonce"}`),
		"JSON that is too large":            withBody(answer(400, "DPoP-Nonce", "one"), `{"error":"use_dpop_nonce","x":"`+strings.Repeat("x", 1<<20)+`"}`),
	} {
		t.Run("no retry: "+name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			api := w.api(apiHost, inTurn(response))
			got, err := get(t, w.client.HTTPClient(apiRequest), apiURL)
			require.NoError(t, err)
			require.Equal(t, response.StatusCode, got.StatusCode)
			require.Len(t, api.received(), 1)
			require.Zero(t, w.events.of(helseid.EventTokenDropped))
			require.True(t, strings.HasPrefix(api.received()[0].request.Header.Get("Authorization"), "DPoP "))
		})
	}
	t.Run("never a second nonce", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		api := w.api(apiHost, inTurn(nonceDemand("one"), nonceDemand("two"), nonceDemand("three")))
		got, err := get(t, w.client.HTTPClient(apiRequest), apiURL)
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, got.StatusCode)
		require.Len(t, api.received(), 2)
		// What was learnt last is what the next request starts with.
		_, err = get(t, w.client.HTTPClient(apiRequest), apiURL)
		require.NoError(t, err)
		require.Equal(t, "two", proofClaims(t, w, api.received()[2].request, apiURL)["nonce"])
	})
	t.Run("never the same nonce", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		api := w.api(apiHost, func(*http.Request) *http.Response { return nonceDemand("one") })
		for _, calls := range []int{2, 3} { // the second request starts with it
			got, err := get(t, w.client.HTTPClient(apiRequest), apiURL)
			require.NoError(t, err)
			require.Equal(t, http.StatusUnauthorized, got.StatusCode)
			require.Len(t, api.received(), calls)
		}
	})
	t.Run("a nonce in any answer is learnt", func(t *testing.T) {
		t.Parallel()
		for _, status := range []int{200, 204, 403, 404, 500} {
			w := newWorld(t, worldOptions{})
			api := w.api(apiHost, inTurn(answer(status, "DPoP-Nonce", "learnt")))
			for range 2 {
				_, err := get(t, w.client.HTTPClient(apiRequest), apiURL)
				require.NoError(t, err)
			}
			require.Equal(t, "learnt", proofClaims(t, w, api.received()[1].request, apiURL)["nonce"])
			require.Len(t, api.received(), 2)
		}
	})
	t.Run("T066 by origin", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		withNonce := func(*http.Request) *http.Response { return answer(200, "DPoP-Nonce", "learnt") }
		apis := map[string]*stubAPI{}
		for _, host := range []string{apiHost, apiHost + ":443", apiHost + ":8443", "other.example.no"} {
			apis[host] = w.api(host, withNonce)
		}
		call := func(target string) {
			_, err := get(t, w.client.HTTPClient(apiRequest), target)
			require.NoError(t, err)
		}
		call(apiURL)
		call("https://api.example.no/other?path=1") // same origin
		call("https://api.example.no:443/things")   // same origin
		call("https://api.example.no:8443/things")
		call("https://other.example.no/things")
		require.Contains(t, proofClaims(t, w, apis[apiHost].received()[1].request, "https://api.example.no/other"), "nonce")
		require.Contains(t, proofClaims(t, w, apis[apiHost+":443"].received()[0].request, apiURL), "nonce")
		require.NotContains(t, proofClaims(t, w, apis[apiHost+":8443"].received()[0].request, "https://api.example.no:8443/things"), "nonce")
		require.NotContains(t, proofClaims(t, w, apis["other.example.no"].received()[0].request, "https://other.example.no/things"), "nonce")
	})
	t.Run("not for a caller who has left", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		api := w.api(apiHost, func(*http.Request) *http.Response { cancel(); return nonceDemand("one") })
		response, err := w.client.Transport(apiRequest).RoundTrip(newRequest(t, "GET", apiURL, nil).WithContext(ctx))
		require.NoError(t, err)
		require.Equal(t, 401, response.StatusCode)
		require.Len(t, api.received(), 1)
	})
}

// Design decision 16.
func TestT070RefusedTokens(t *testing.T) {
	t.Parallel()
	call := func(t *testing.T, w *world) int {
		t.Helper()
		response, err := get(t, w.client.HTTPClient(apiRequest), apiURL)
		require.NoError(t, err)
		return response.StatusCode
	}
	always := func(*http.Request) *http.Response { return tokenRefused() }
	t.Run("a new token and one retry", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			api := w.api(apiHost, inTurn(tokenRefused()))
			first := w.token(t)
			pause(30 * time.Second)
			require.Equal(t, 200, call(t, w))
			require.Equal(t, 2, w.tokenRequests())
			require.Equal(t, 1, w.events.of(helseid.EventTokenDropped))
			calls := api.received()
			require.Len(t, calls, 2)
			require.Equal(t, "DPoP "+first.Access.Reveal(), calls[0].request.Header.Get("Authorization"))
			require.Equal(t, "DPoP "+w.token(t).Access.Reveal(), calls[1].request.Header.Get("Authorization"))
			requireDistinctIDs(t, w, api)
		})
	})
	for name, challenge := range map[string]string{
		"of a bearer scheme (RFC 6750)": `Bearer error="invalid_token", error_description="The token expired"`,
		"of a scheme in small letters":  `bearer error=invalid_token`,
		"of a scheme that nobody knows": `Custom error="invalid_token"`,
		"beside another one":            `Basic realm="x", Bearer error="invalid_token"`,
	} {
		t.Run("a new token, by a challenge "+name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{})
				api := w.api(apiHost, inTurn(answer(401, "WWW-Authenticate", challenge), answer(401, "WWW-Authenticate", challenge)))
				w.token(t)
				pause(30 * time.Second)
				require.Equal(t, 401, call(t, w), "one new token, not two")
				require.Len(t, api.received(), 2)
				require.Equal(t, 2, w.tokenRequests())
				require.Equal(t, 200, call(t, w))
				require.Equal(t, 1, w.events.of(helseid.EventTokenDropped))
			})
		})
	}
	t.Run("a request that cannot be repeated leaves a new token to the next one", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			api := w.api(apiHost, inTurn(tokenRefused()))
			w.token(t)
			pause(time.Minute)
			for _, want := range []int{401, 200} {
				request := newRequest(t, http.MethodPost, apiURL, io.NopCloser(strings.NewReader("text")))
				response, err := w.client.HTTPClient(apiRequest).Do(request)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				require.Equal(t, want, response.StatusCode)
			}
			require.Len(t, api.received(), 2)
			require.Equal(t, 2, w.tokenRequests())
		})
	})
	t.Run("never two", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			api := w.api(apiHost, always)
			w.token(t)
			pause(time.Minute)
			require.Equal(t, 401, call(t, w))
			require.Len(t, api.received(), 2)
			require.Equal(t, 2, w.tokenRequests())
		})
	})
	t.Run("not a token that is younger than 30 seconds", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			api := w.api(apiHost, always)
			first := w.token(t)
			pause(30*time.Second - 1)
			require.Equal(t, 401, call(t, w))
			require.Len(t, api.received(), 1)
			require.Same(t, first, w.token(t))
			pause(1)
			require.Equal(t, 401, call(t, w))
			require.Len(t, api.received(), 3)
			require.NotSame(t, first, w.token(t))
		})
	})
	t.Run("an API that refuses everything costs a token per 30 seconds at most", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{server: []helseidtest.Option{helseidtest.Relaxed(rule.Nonce), helseidtest.TokenLifetime(time.Hour)}})
			w.api(apiHost, always)
			start := time.Now()
			for time.Since(start) < 10*time.Minute {
				require.Equal(t, 401, call(t, w))
				pause(time.Second)
			}
			require.LessOrEqual(t, w.tokenRequests(), 21)
			require.GreaterOrEqual(t, w.tokenRequests(), 20)
		})
	})
	t.Run("once per 30 seconds, also if the new token was on its way already", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			w.api(apiHost, always)
			start := time.Now()
			w.token(t)
			at(start, 570*time.Second)
			w.server.Inject(helseidtest.Fault{Delay: 8 * time.Second})
			w.token(t) // stale: a new one is under way from here on
			at(start, 571*time.Second)
			require.Equal(t, 401, call(t, w)) // drops the old one, and waits for the new one
			require.Equal(t, 1, w.events.of(helseid.EventTokenDropped))
			at(start, 600500*time.Millisecond)
			require.Equal(t, 401, call(t, w))
			require.Equal(t, 1, w.events.of(helseid.EventTokenDropped), "29.5 seconds after the last one")
			at(start, 601*time.Second)
			require.Equal(t, 401, call(t, w))
			require.Equal(t, 2, w.events.of(helseid.EventTokenDropped))
		})
	})
	t.Run("only the token that was sent", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{config: func(c *helseid.Config) { c.APIHeaderTimeout = -1 }})
			start := time.Now()
			first := w.token(t)
			w.api(apiHost, func(*http.Request) *http.Response {
				at(start, 596*time.Second) // the token died on the way, and another took its place
				w.token(t)
				return tokenRefused()
			})
			pause(time.Minute)
			call(t, w)
			require.NotSame(t, first, w.token(t))
			require.Equal(t, 2, w.tokenRequests())
			require.Zero(t, w.events.of(helseid.EventTokenDropped))
		})
	})
	t.Run("other tokens stay", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			w.api(apiHost, always)
			other, err := w.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{otherScope}})
			require.NoError(t, err)
			w.token(t)
			pause(time.Minute)
			call(t, w)
			again, err := w.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{otherScope}})
			require.NoError(t, err)
			require.Same(t, other, again)
		})
	})
	for name, response := range map[string]func() *http.Response{
		"invalid_dpop_proof": func() *http.Response { return answer(401, "WWW-Authenticate", `DPoP error="invalid_dpop_proof"`) },
		"no challenge":       func() *http.Response { return answer(401) },
		"a wrong proof beside it": func() *http.Response {
			return answer(401, "WWW-Authenticate", `Bearer error="invalid_token", DPoP error="invalid_dpop_proof"`)
		},
		"insufficient scope": func() *http.Response { return answer(403, "WWW-Authenticate", `DPoP error="insufficient_scope"`) },
		"403 that says so":   func() *http.Response { return answer(403, "WWW-Authenticate", `DPoP error="invalid_token"`) },
		"insufficient user": func() *http.Response {
			return answer(401, "WWW-Authenticate", `DPoP error="insufficient_user_authentication"`)
		},
		"invalid_token in a realm": func() *http.Response { return answer(401, "WWW-Authenticate", `DPoP realm="error=invalid_token"`) },
	} {
		t.Run("not for "+name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{})
				api := w.api(apiHost, func(*http.Request) *http.Response { return response() })
				first := w.token(t)
				pause(time.Minute)
				require.Equal(t, response().StatusCode, call(t, w))
				require.Len(t, api.received(), 1)
				require.Same(t, first, w.token(t))
			})
		})
	}
	t.Run("three sends at most: nonce, token", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			for _, order := range [][]func() *http.Response{
				{func() *http.Response { return nonceDemand("one") }, tokenRefused},
				{tokenRefused, func() *http.Response { return nonceDemand("one") }},
			} {
				w := newWorld(t, worldOptions{})
				api := w.api(apiHost, inTurn(order[0](), order[1](), nonceDemand("two"), tokenRefused()))
				w.token(t)
				pause(time.Minute)
				require.Equal(t, 401, call(t, w))
				require.Len(t, api.received(), 3)
				requireDistinctIDs(t, w, api)
			}
		})
	})
	t.Run("the refusal is handed out if no new token can be had", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{config: noRetries})
			w.api(apiHost, always)
			w.token(t)
			pause(time.Minute)
			w.server.Inject(helseidtest.Fault{Status: 503, Times: -1})
			response, err := w.client.HTTPClient(apiRequest).Do(newRequest(t, "GET", apiURL, nil))
			require.NoError(t, err)
			require.Equal(t, 401, response.StatusCode)
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.Equal(t, "the body", string(body))
		})
	})
}

func TestInsecureTargets(t *testing.T) {
	t.Parallel()
	for _, target := range []string{
		"http://api.example.no/", "http://10.0.0.1/", "http://192.168.0.1:8080/", "http://localhost.example.no/", "http://127.0.0.1.example.no/",
		"http://[::ffff:127.0.0.1]/", "http://LOCALHOST/", "http://localhost./", "http://2130706433/", "http://0.0.0.0/", "http://[::]/", "ftp://api.example.no/", "ws://api.example.no/",
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			request := newRequest(t, "GET", target, nil)
			w.net.inspect = func(r *http.Request) { assert.Fail(t, "something was sent to "+r.URL.Host) }
			_, err := w.client.HTTPClient(apiRequest).Do(request)
			require.ErrorIs(t, err, helseid.ErrInsecureURL)
			require.ErrorIs(t, w.client.TokenSource(apiRequest).Authorize(t.Context(), request), helseid.ErrInsecureURL)
			require.Empty(t, request.Header)
		})
	}
}

func TestAllowedOrigins(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		origins []string
		target  string
		allowed bool
	}{
		"the one":              {[]string{"https://api.example.no"}, apiURL, true},
		"with slash":           {[]string{"https://api.example.no/"}, apiURL, true},
		"port written out":     {[]string{"https://api.example.no:443"}, apiURL, true},
		"port left out":        {[]string{"https://api.example.no"}, "https://api.example.no:443/things", true},
		"in capitals":          {[]string{"HTTPS://API.EXAMPLE.NO"}, apiURL, true},
		"one of two":           {[]string{"https://other.example.no", "https://api.example.no"}, apiURL, true},
		"loopback over http":   {[]string{"http://127.0.0.1:8080"}, "http://127.0.0.1:8080/x", true},
		"another host":         {[]string{"https://api.example.no"}, "https://other.example.no/", false},
		"a longer host":        {[]string{"https://api.example.no"}, "https://api.example.no.evil.example/", false},
		"a subdomain":          {[]string{"https://example.no"}, "https://api.example.no/", false},
		"another port":         {[]string{"https://api.example.no"}, "https://api.example.no:8443/", false},
		"http in place of it":  {[]string{"https://127.0.0.1:8080"}, "http://127.0.0.1:8080/x", false},
		"a user that looks it": {[]string{"https://api.example.no"}, "https://api.example.no@other.example.no/", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			request := newRequest(t, "GET", test.target, nil)
			api := w.api(request.URL.Host, good)
			tokenRequest := helseid.TokenRequest{Scopes: []string{testScope}, AllowedOrigins: test.origins}
			_, err := get(t, w.client.HTTPClient(tokenRequest), test.target)
			authorized := w.client.TokenSource(tokenRequest).Authorize(t.Context(), request)
			if test.allowed {
				require.NoError(t, err)
				require.NoError(t, authorized)
				return
			}
			require.ErrorIs(t, err, helseid.ErrOriginRefused)
			require.ErrorIs(t, authorized, helseid.ErrOriginRefused)
			requireNoSecret(t, err)
			require.Empty(t, api.received())
			require.Zero(t, w.tokenRequests(), "a token was fetched for nothing")
		})
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	redirect := func(status int, location string) *http.Response { return answer(status, "Location", location) }
	t.Run("same origin: a new proof for the new URL", func(t *testing.T) {
		t.Parallel()
		for _, location := range []string{"/elsewhere?x=1", "https://api.example.no/elsewhere", "https://API.example.no:443/elsewhere"} {
			w := newWorld(t, worldOptions{})
			api := w.api(apiHost, inTurn(redirect(302, location)))
			w.net.hosts["API.example.no:443"] = api
			response, err := get(t, w.client.HTTPClient(apiRequest), apiURL)
			require.NoError(t, err)
			require.Equal(t, 200, response.StatusCode)
			require.Equal(t, "/elsewhere", response.Request.URL.Path)
			calls := api.received()
			require.Len(t, calls, 2)
			proofClaims(t, w, calls[1].request, "https://api.example.no/elsewhere")
			requireDistinctIDs(t, w, api)
		}
	})
	t.Run("same origin: 307 with its body", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		api := w.api(apiHost, inTurn(redirect(307, "/elsewhere")))
		response, err := w.client.HTTPClient(apiRequest).Do(newRequest(t, "PUT", apiURL, strings.NewReader("text")))
		require.NoError(t, err)
		_ = response.Body.Close()
		calls := api.received()
		require.Len(t, calls, 2)
		require.Equal(t, "text", calls[1].body)
		require.Equal(t, "PUT", proofClaims(t, w, calls[1].request, "https://api.example.no/elsewhere")["htm"])
	})
	t.Run("same origin: 303 makes a GET of it", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		api := w.api(apiHost, inTurn(redirect(303, "/elsewhere")))
		response, err := w.client.HTTPClient(apiRequest).Do(newRequest(t, "POST", apiURL, strings.NewReader("text")))
		require.NoError(t, err)
		_ = response.Body.Close()
		require.Equal(t, "GET", proofClaims(t, w, api.received()[1].request, "https://api.example.no/elsewhere")["htm"])
	})
	t.Run("in a circle it ends", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		api := w.api(apiHost, func(*http.Request) *http.Response { return redirect(302, "/again") })
		_, err := get(t, w.client.HTTPClient(apiRequest), apiURL)
		require.Error(t, err)
		require.LessOrEqual(t, len(api.received()), 10)
		requireDistinctIDs(t, w, api)
	})
	for name, location := range map[string]string{
		"another host":         "https://evil.example/x",
		"another port":         "https://api.example.no:8443/x",
		"http":                 "http://api.example.no/x",
		"http on loopback":     "http://127.0.0.1/x",
		"a host below":         "https://sub.api.example.no/x",
		"without scheme":       "//evil.example/x",
		"a user that looks it": "https://api.example.no@evil.example/x",
	} {
		for _, status := range []int{302, 307, 308} {
			t.Run("refused: "+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, worldOptions{})
				w.api(apiHost, inTurn(redirect(status, location)))
				trap := &stubAPI{handler: good}
				for _, host := range []string{"evil.example", "api.example.no:8443", "127.0.0.1", "sub.api.example.no"} {
					w.net.hosts[host] = trap
				}
				request := newRequest(t, "POST", apiURL, strings.NewReader("a secret body"))
				response, err := w.client.HTTPClient(apiRequest).Do(request)
				if response != nil {
					_ = response.Body.Close()
				}
				if location == "http://api.example.no/x" {
					require.ErrorIs(t, err, helseid.ErrInsecureURL)
				} else {
					require.ErrorIs(t, err, helseid.ErrOriginRefused)
				}
				requireNoSecret(t, err)
				require.Empty(t, trap.received(), "the other server got something")
				require.Equal(t, 1, w.tokenRequests())
			})
		}
	}
	t.Run("refused after a redirect within the origin", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.api(apiHost, inTurn(redirect(302, "/one"), redirect(302, "/two"), redirect(302, "https://evil.example/")))
		trap := w.api("evil.example", good)
		_, err := get(t, w.client.HTTPClient(apiRequest), apiURL)
		require.ErrorIs(t, err, helseid.ErrOriginRefused)
		require.Empty(t, trap.received())
	})
	t.Run("allowed by name", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.api(apiHost, inTurn(redirect(307, "https://other.example.no/x?y")))
		other := w.api("other.example.no", good)
		request := helseid.TokenRequest{Scopes: []string{testScope}, AllowedOrigins: []string{"https://api.example.no", "https://other.example.no"}}
		response, err := w.client.HTTPClient(request).Do(newRequest(t, "POST", apiURL, strings.NewReader("text")))
		require.NoError(t, err)
		_ = response.Body.Close()
		require.Len(t, other.received(), 1)
		proofClaims(t, w, other.received()[0].request, "https://other.example.no/x")
	})
	t.Run("a list of one stops a redirect", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.api(apiHost, inTurn(redirect(302, "https://other.example.no/")))
		other := w.api("other.example.no", good)
		request := helseid.TokenRequest{Scopes: []string{testScope}, AllowedOrigins: []string{"https://api.example.no"}}
		_, err := get(t, w.client.HTTPClient(request), apiURL)
		require.ErrorIs(t, err, helseid.ErrOriginRefused)
		require.Empty(t, other.received())
	})
	t.Run("a caller that follows none", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.api(apiHost, inTurn(redirect(302, "https://evil.example/")))
		response, err := w.client.Transport(apiRequest).RoundTrip(newRequest(t, "GET", apiURL, nil))
		require.NoError(t, err)
		require.Equal(t, 302, response.StatusCode)
	})
}

// To package strings, some letters beyond ASCII are others in lower case. A host
// with one of them is neither called nor redirected to, nor allowed.
func TestHostsAreASCII(t *testing.T) {
	t.Parallel()
	requests := map[string]helseid.TokenRequest{"proof": apiRequest, "bearer": {Scopes: []string{testScope}, UnboundBearerToken: true}}
	for _, host := range []string{"ap\u0130.example.no", "api.example.no\u212a", "te\u017ft.example.no", "bl\u00e5b\u00e6r.example.no", "ap%C4%B0.example.no", "api.example.n\uff4f"} {
		for kind, tokenRequest := range requests {
			t.Run(kind+" "+host, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, worldOptions{})
				file := w.server.ConfigFile(helseidtest.Client{Scopes: []string{testScope}, AllowBearer: true})
				config, err := helseid.ParseConfig(file)
				require.NoError(t, err)
				config.HTTPClient = &http.Client{Transport: w.net}
				client := newClient(t, config)
				target := "https://" + host + "/x"
				trap := &stubAPI{handler: good}
				request := newRequest(t, "GET", target, nil)
				w.net.hosts[request.URL.Host] = trap

				_, err = get(t, client.HTTPClient(tokenRequest), target)
				require.ErrorContains(t, err, "ASCII")
				require.ErrorContains(t, client.TokenSource(tokenRequest).Authorize(t.Context(), request), "ASCII")
				require.Empty(t, request.Header)

				// The hosts that they would be in lower case, and their own.
				for _, first := range []string{"api.example.no", "api.example.nok", "test.example.no", strings.ToLower(request.URL.Host)} {
					w.api(first, func(*http.Request) *http.Response { return answer(307, "Location", target) })
					response, err := get(t, client.HTTPClient(tokenRequest), "https://"+first+"/x")
					if err == nil {
						require.NotEqual(t, 200, response.StatusCode)
					}
					require.Error(t, err)
				}
				require.Empty(t, trap.received())

				allowed := tokenRequest
				allowed.AllowedOrigins = []string{"https://" + host}
				require.ErrorIs(t, client.Validate(allowed), helseid.ErrConfig)
				require.ErrorContains(t, client.Validate(allowed), "ASCII")
			})
		}
	}
	for _, issuer := range []string{"https://helse\u0130d.example.no", "https://hel\u017feid.example.no"} {
		w := newWorld(t, worldOptions{})
		w.config.Issuer = issuer
		_, err := helseid.New(w.config)
		require.ErrorIs(t, err, helseid.ErrConfig)
		require.ErrorContains(t, err, "ASCII")
	}
}

func TestTokenRequestOfTheContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	api := w.api(apiHost, good)
	client := w.client.HTTPClient(apiRequest)
	other := helseid.TokenRequest{Scopes: []string{otherScope}}
	request := newRequest(t, "GET", apiURL, nil)
	response, err := client.Do(request.WithContext(helseid.WithTokenRequest(t.Context(), other)))
	require.NoError(t, err)
	_ = response.Body.Close()
	_, claims := jws(t, strings.TrimPrefix(api.received()[0].request.Header.Get("Authorization"), "DPoP "))
	require.Equal(t, []any{otherScope}, claims["scope"])
	require.Equal(t, 1, w.tokenRequests())

	bad := helseid.WithTokenRequest(t.Context(), helseid.TokenRequest{Scopes: []string{""}})
	_, err = client.Do(request.WithContext(bad))
	require.ErrorIs(t, err, helseid.ErrConfig)
}

func TestT072NoProofForStrangers(t *testing.T) {
	t.Parallel()
	// The client that fetches metadata, and the caller's own, carry no proof.
	w := newWorld(t, worldOptions{})
	api := w.api(apiHost, good)
	response, err := w.config.HTTPClient.Do(newRequest(t, "GET", apiURL, nil))
	require.NoError(t, err)
	_ = response.Body.Close()
	require.Empty(t, api.received()[0].request.Header)
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	ctx, source := t.Context(), w.client.TokenSource(apiRequest)
	request := newRequest(t, "DELETE", apiURL+"?x=1", nil)
	request.Header = nil
	t.Run("T050 twice replaces", func(t *testing.T) {
		require.NoError(t, source.Authorize(ctx, request))
		first := request.Header.Clone()
		require.Equal(t, "DELETE", proofClaims(t, w, request, apiURL)["htm"])
		require.NoError(t, source.Authorize(ctx, request))
		proofClaims(t, w, request, apiURL)
		require.NotEqual(t, first.Get("DPoP"), request.Header.Get("DPoP"))
	})
	t.Run("T051 the scheme is always DPoP", func(t *testing.T) {
		request.Header.Set("Authorization", "Bearer mine")
		require.NoError(t, source.Authorize(ctx, request))
		proofClaims(t, w, request, apiURL)
	})
	t.Run("nonces", func(t *testing.T) {
		response := nonceDemand("one")
		response.Request = request
		require.True(t, source.ObserveResponse(response))
		require.NoError(t, source.Authorize(ctx, request))
		require.Equal(t, "one", proofClaims(t, w, request, apiURL)["nonce"])
		for name, response := range map[string]*http.Response{
			"good answer": answer(200, "DPoP-Nonce", "two"), "another error": answer(401, "DPoP-Nonce", "two", "WWW-Authenticate", `DPoP error="invalid_token"`),
			"without nonce": answer(401, "WWW-Authenticate", `DPoP error="use_dpop_nonce"`), "403": answer(403, "DPoP-Nonce", "two", "WWW-Authenticate", `DPoP error="use_dpop_nonce"`),
			"alone": answer(401, "DPoP-Nonce", "two"), "400 alone": answer(400, "DPoP-Nonce", "two"),
		} {
			require.False(t, source.ObserveResponse(response), name) // without a request
			response.Request = request
			require.False(t, source.ObserveResponse(response), name)
		}
		require.NoError(t, source.Authorize(ctx, request))
		require.Equal(t, "two", proofClaims(t, w, request, apiURL)["nonce"])
	})
	t.Run("nonces under another scheme, with 400 and in JSON", func(t *testing.T) {
		const demand = `{"error":"use_dpop_nonce"}`
		for name, response := range map[string]*http.Response{
			"Bearer": answer(401, "DPoP-Nonce", "three", "WWW-Authenticate", `Bearer error="use_dpop_nonce"`),
			"400":    answer(400, "DPoP-Nonce", "three", "WWW-Authenticate", `DPoP error="use_dpop_nonce"`),
			"JSON":   withBody(answer(400, "DPoP-Nonce", "three", "Content-Type", "application/json"), demand),
		} {
			response.Request = request
			require.True(t, source.ObserveResponse(response), name)
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NotEmpty(t, body, "the body is the caller's to read")
			bearer := request.Clone(t.Context())
			bearer.Header.Set("Authorization", "Bearer x")
			response.Request = bearer
			require.False(t, source.ObserveResponse(response), "a bearer token has no proof for a nonce")
		}
	})
	t.Run("failures leave the request alone", func(t *testing.T) {
		fresh := newRequest(t, "GET", apiURL, nil)
		require.ErrorIs(t, source.Authorize(helseid.WithTokenRequest(ctx, helseid.TokenRequest{Scopes: []string{""}}), fresh), helseid.ErrConfig)
		w.server.Inject(helseidtest.Fault{Status: 400, Body: `{"error":"invalid_scope"}`})
		require.Error(t, source.Authorize(helseid.WithTokenRequest(ctx, helseid.TokenRequest{Resource: "other"}), fresh))
		require.Empty(t, fresh.Header)
		require.Error(t, source.Authorize(ctx, &http.Request{}))
	})
}

// A token that an API has refused is dropped as by HTTPClient, once, also if several
// callers have sent it. Answers that are about another token change nothing.
func TestObserveResponseDropsARefusedToken(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{})
		source := w.client.TokenSource(apiRequest)
		authorized := func() *http.Request {
			request := newRequest(t, http.MethodPost, apiURL, nil)
			require.NoError(t, source.Authorize(request.Context(), request))
			return request
		}
		refuses := func(request *http.Request) bool {
			response := tokenRefused()
			response.Request = request
			return source.ObserveResponse(response)
		}
		first, second := authorized(), authorized()
		require.False(t, refuses(first), "a token that is younger than 30 seconds stays")
		pause(30 * time.Second)

		anothers := first.Clone(t.Context())
		anothers.Header.Set("Authorization", "DPoP of.another.source")
		nobodys := newRequest(t, http.MethodPost, apiURL, nil)
		elsewhere := first.WithContext(helseid.ForOrganization(t.Context(), "994598759", ""))
		lost := first.WithContext(helseid.ForOrganization(t.Context(), "", ""))
		for _, request := range []*http.Request{anothers, nobodys, elsewhere, lost} {
			require.False(t, refuses(request))
		}
		for _, response := range []*http.Response{
			answer(403, "WWW-Authenticate", `DPoP error="invalid_token"`), answer(401, "WWW-Authenticate", `DPoP error="invalid_dpop_proof"`), answer(401),
		} {
			response.Request = first
			require.False(t, source.ObserveResponse(response))
		}
		require.Zero(t, w.events.of(helseid.EventTokenDropped))

		require.True(t, refuses(first))
		require.True(t, refuses(second), "it has been dropped before")
		require.Equal(t, 1, w.events.of(helseid.EventTokenDropped))
		third := authorized()
		require.NotEqual(t, first.Header.Get("Authorization"), third.Header.Get("Authorization"))
		require.False(t, refuses(third))
		require.True(t, refuses(first), "an answer that comes late")
		require.Equal(t, 2, w.tokenRequests())
	})
}

// The rejected response of net/http quotes the URL that was called; ours says
// nothing of paths and queries, where personal data sits.
func TestErrorsOfCallsQuoteNoPath(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.api(apiHost, func(*http.Request) *http.Response { return nil })
	const person = "/patient/06828399789?pid=06828399789"
	for _, target := range []string{"https://api.example.no" + person, "http://api.example.no" + person, "https://nobody.example.no" + person} {
		_, err := w.client.Transport(apiRequest).RoundTrip(newRequest(t, "GET", target, nil))
		require.Error(t, err)
		requireNoSecret(t, err)
	}
	refused := helseid.TokenRequest{Scopes: []string{testScope}, AllowedOrigins: []string{"https://other.example.no"}}
	_, err := w.client.Transport(refused).RoundTrip(newRequest(t, "GET", "https://api.example.no"+person, nil))
	requireError(t, err, helseid.ErrOriginRefused)
}

func TestHTTPClientKeepsTimeout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{config: func(c *helseid.Config) { c.HTTPClient.Timeout = 7 * time.Second }})
	require.Equal(t, 7*time.Second, w.client.HTTPClient(apiRequest).Timeout)
}

// A key in a KMS gets the context of the call it signs for.
func TestContextReachesTheProofsSigner(t *testing.T) {
	t.Parallel()
	type key struct{}
	signer := &contextSigner{failingSigner: failingSigner{Signer: rsa2048(), good: 100}}
	w := newWorld(t, worldOptions{config: func(c *helseid.Config) {
		var err error
		c.DPoPKey, err = dpop.NewKey(signer, dpop.KeyOptions{Algorithm: "PS256"})
		require.NoError(t, err)
		c.Key, err = clientassertion.NewKey(signer.Signer, clientassertion.KeyOptions{})
		require.NoError(t, err)
	}})
	config := w.server.NewClient(helseidtest.SigningKey(rsa2048(), clientassertion.KeyOptions{}), helseidtest.Scopes(testScope))
	w.config.ClientID = config.ClientID
	client := newClient(t, w.config)
	w.api(apiHost, good)
	ctx := context.WithValue(t.Context(), key{}, "caller")
	response, err := client.HTTPClient(apiRequest).Do(newRequest(t, "GET", apiURL, nil).WithContext(ctx))
	require.NoError(t, err)
	_ = response.Body.Close()
	require.Len(t, signer.contexts, 2)
	require.Nil(t, signer.contexts[0].Value(key{}), "the token is everybody's")
	require.Equal(t, "caller", signer.contexts[1].Value(key{}))
}
