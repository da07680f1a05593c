package helseidtest_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/internal/testkit"
)

func getJSON(t testing.TB, server *helseidtest.Server, path string) map[string]any {
	t.Helper()
	response, err := server.HTTPClient().Get(server.Issuer() + path)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Contains(t, response.Header.Get("Content-Type"), "application/json")
	var document map[string]any
	require.NoError(t, json.NewDecoder(response.Body).Decode(&document))
	return document
}

func TestServerListensOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.168.0.1:0", "8.8.8.8:0", "LOCALHOST.:0", "localhost", "example.com:0", "127.0.0.1", "", "nonsense"} {
		server, err := helseidtest.Start(helseidtest.ListenOn(address))
		require.Error(t, err, address)
		require.Nil(t, server, address)
	}
	for _, address := range []string{"127.0.0.1:0", "127.0.0.2:0", "localhost:0"} {
		server, err := helseidtest.Start(helseidtest.ListenOn(address))
		require.NoError(t, err)
		u, err := url.Parse(server.Issuer())
		require.NoError(t, err)
		require.Equal(t, strings.TrimSuffix(address, ":0"), u.Hostname())
		require.Equal(t, server.Issuer(), getJSON(t, server, "/.well-known/openid-configuration")["issuer"])
		server.Close()
		server.Close()
		_, err = net.Dial("tcp", u.Host)
		require.Error(t, err, "it still listens")
	}
}

// A name that somebody has made lead to this machine reaches nothing.
func TestServerRefusesOtherNames(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.Selvbetjening{})
	for host, status := range map[string]int{
		"": 200, "localhost": 200, "localhost:1": 200, "127.0.0.1": 200, "[::1]:8080": 200, "127.9.9.9:1": 200,
		"evil.example": 421, "evil.example:80": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "10.0.0.1": 421, "[::]": 421,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.Issuer()+string(helseidtest.EndpointMetadata), nil)
		require.NoError(t, err)
		request.Host = host
		response, err := http.DefaultClient.Do(request) //nolint:forbidigo // to loopback, and the test has a deadline
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, status, response.StatusCode, host)
	}
}

func TestServerInMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // which fails if a goroutine stays behind
		server := helseidtest.NewServer(t, helseidtest.InMemory())
		require.Equal(t, "https://helseid.test", server.Issuer())
		response, err := server.HTTPClient().Get(server.Issuer() + "/.well-known/openid-configuration")
		require.NoError(t, err)
		_ = response.Body.Close()
		require.Equal(t, "200 OK", response.Status, "as net/http writes it")
		require.Equal(t, time.Now().UTC().Format(http.TimeFormat), response.Header.Get("Date"))
		response, err = server.HTTPClient().Get(server.Issuer() + "/nowhere")
		require.NoError(t, err)
		_ = response.Body.Close()
		require.Equal(t, http.StatusNotFound, response.StatusCode)
	})
}

// Only the server's own host is in memory. Another one, such as an API's, must
// not be answered by HelseID.
func TestServerInMemoryAnswersForItselfOnly(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	response, err := server.HTTPClient().Get("https://elsewhere.example.no/.well-known/openid-configuration")
	if err == nil {
		_ = response.Body.Close()
		require.NotEqual(t, http.StatusOK, response.StatusCode)
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "/session/1"} {
		server := helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.Path(path))
		document := getJSON(t, server, "/.well-known/openid-configuration")
		require.Equal(t, server.Issuer(), document["issuer"])
		require.Equal(t, server.Issuer()+"/connect/token", document["token_endpoint"])
		require.Equal(t, server.Issuer()+"/.well-known/openid-configuration/jwks", document["jwks_uri"])
		// More than a client may use, as in production.
		require.Contains(t, document["grant_types_supported"], "implicit")
		require.Contains(t, document["code_challenge_methods_supported"], "plain")
		require.Contains(t, document["token_endpoint_auth_methods_supported"], "client_secret_post")
		require.Contains(t, document["request_object_signing_alg_values_supported"], "HS256")
		require.Equal(t, false, document["require_pushed_authorization_requests"])
		require.Equal(t, true, document["frontchannel_logout_supported"])
		require.Len(t, document["dpop_signing_alg_values_supported"], 9)
	}
}

// keySet reads the published keys by kid.
func keySet(t testing.TB, server *helseidtest.Server) map[string]*rsa.PublicKey {
	t.Helper()
	keys := make(map[string]*rsa.PublicKey)
	for _, entry := range getJSON(t, server, "/.well-known/openid-configuration/jwks")["keys"].([]any) {
		jwk := entry.(map[string]any)
		require.Equal(t, "RSA", jwk["kty"])
		require.Equal(t, "sig", jwk["use"])
		require.Equal(t, "RS256", jwk["alg"])
		for _, name := range []string{"d", "p", "q", "dp", "dq", "qi"} {
			require.NotContains(t, jwk, name, "a private key is published")
		}
		n, err := base64.RawURLEncoding.DecodeString(jwk["n"].(string))
		require.NoError(t, err)
		require.Regexp(t, `^[0-9A-F]{40}$`, jwk["kid"])
		keys[jwk["kid"].(string)] = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}
	}
	return keys
}

// verifies checks a token with the key that it names.
func verifies(t testing.TB, keys map[string]*rsa.PublicKey, token string) bool {
	t.Helper()
	header, _ := jws(t, token)
	key, ok := keys[header["kid"].(string)]
	if !ok {
		return false
	}
	dot := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	require.NoError(t, err)
	digest := sha256.Sum256([]byte(token[:dot]))
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
}

func TestKeyRotation(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	old := server.Token()
	require.Len(t, keySet(t, server), 1)
	require.True(t, verifies(t, keySet(t, server), old))

	require.NoError(t, server.RotateKey())
	renewed := server.Token()
	keys := keySet(t, server)
	require.Len(t, keys, 2)
	require.True(t, verifies(t, keys, old))
	require.True(t, verifies(t, keys, renewed))
	oldHeader, _ := jws(t, old)
	newHeader, _ := jws(t, renewed)
	require.NotEqual(t, oldHeader["kid"], newHeader["kid"])

	server.RetireKeys()
	keys = keySet(t, server)
	require.Len(t, keys, 1)
	require.False(t, verifies(t, keys, old))
	require.True(t, verifies(t, keys, renewed))
}

func TestTokenOptions(t *testing.T) {
	t.Parallel()
	const claim = "helseid://claims/"
	server := helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.TokenLifetime(20*time.Minute))
	minted := func(options ...mint.TokenOption) (header, claims map[string]any) {
		token := server.Token(options...)
		require.True(t, verifies(t, keySet(t, server), token))
		return jws(t, token)
	}
	list := func(values ...any) []any { return values }

	header, system := minted()
	require.Equal(t, "at+jwt", header["typ"])
	require.Equal(t, server.Issuer(), system["iss"])
	require.Equal(t, mint.DefaultAudience, system["aud"])
	require.Equal(t, list(mint.DefaultAudience+"/read"), system["scope"])
	require.InDelta(t, time.Now().Unix(), system["iat"], 5)
	require.Equal(t, system["iat"], system["nbf"])
	require.InDelta(t, 1200, system["exp"].(float64)-system["iat"].(float64), 0)
	require.NotContains(t, system, "sub")
	require.NotContains(t, system, claim+"identity/pid")
	require.NotEmpty(t, system["cnf"].(map[string]any)["jkt"])
	_, again := minted()
	require.NotEqual(t, system["jti"], again["jti"])

	_, clinician := minted(mint.Clinician())
	require.NotEmpty(t, clinician["sub"])
	require.Equal(t, mint.DefaultPersonalIdentityNumber, clinician[claim+"identity/pid"])
	require.Equal(t, mint.DefaultHPRNumber, clinician[claim+"hpr/hpr_number"])
	require.Equal(t, "4", clinician[claim+"identity/security_level"], "a string, as HelseID writes it")
	require.Equal(t, "high", clinician[claim+"identity/assurance_level"])
	require.InDelta(t, clinician["iat"].(float64), clinician["auth_time"], 0)

	for name, test := range map[string]struct {
		option mint.TokenOption
		claim  string
		want   any // nil: absent
	}{
		"Audience":             {mint.Audience("nhn:a"), "aud", "nhn:a"},
		"Audience of two":      {mint.Audience("nhn:a", "nhn:b"), "aud", list("nhn:a", "nhn:b")},
		"Scopes":               {mint.Scopes("a", "b"), "scope", list("a", "b")},
		"ClientID":             {mint.ClientID("c"), "client_id", "c"},
		"SecurityLevel":        {mint.SecurityLevel(3), claim + "identity/security_level", "3"},
		"AssuranceLevel":       {mint.AssuranceLevel("low"), claim + "identity/assurance_level", "low"},
		"HPRNumber":            {mint.HPRNumber("123"), claim + "hpr/hpr_number", "123"},
		"no HPRNumber":         {mint.HPRNumber(""), claim + "hpr/hpr_number", nil},
		"Organization, parent": {mint.Organization("1", "", ""), claim + "client/claims/orgnr_parent", "1"},
		"Organization, child":  {mint.Organization("1", "2", ""), claim + "client/claims/orgnr_child", "2"},
		"Organization, none":   {mint.Organization("", "", ""), claim + "client/claims/orgnr_parent", nil},
		"supplier":             {mint.Organization("1", "2", "3"), claim + "client/claims/orgnr_supplier", "3"},
		"supplier's tenancy":   {mint.Organization("1", "2", "3"), claim + "client/client_tenancy", "multi-tenant"},
		"Claim":                {mint.Claim("x", 1), "x", 1.0},
		"Claim taken out":      {mint.Claim("exp", nil), "exp", nil},
		"Unbound":              {mint.Unbound(), "cnf", nil},
	} {
		_, claims := minted(mint.Clinician(), test.option)
		if test.want == nil {
			require.NotContains(t, claims, test.claim, name)
			continue
		}
		require.Equal(t, test.want, claims[test.claim], name)
	}
	_, bound := minted(mint.BoundToAnotherKey())
	require.NotEqual(t, system["cnf"], bound["cnf"])
	_, expired := minted(mint.Expired())
	require.Less(t, expired["exp"].(float64), float64(time.Now().Add(-time.Minute).Unix()))
	require.Less(t, expired["nbf"].(float64), expired["exp"].(float64))
	require.Equal(t, expired["iat"], expired["nbf"])
	_, brief := minted(mint.ExpiresIn(7 * time.Second))
	require.InDelta(t, 7, brief["exp"].(float64)-brief["iat"].(float64), 0)
	_, past := minted(mint.ExpiresIn(-7 * time.Second))
	require.InDelta(t, -7, past["exp"].(float64)-past["iat"].(float64), 0)
	header, _ = minted(mint.Header("typ", "JWT"))
	require.Equal(t, "JWT", header["typ"])
	token := server.Token(mint.Header("kid", nil))
	header, _ = jws(t, token)
	require.NotContains(t, header, "kid")

	for name, option := range map[string]mint.TokenOption{"unknown key": mint.SignedWithUnknownKey(), "broken": mint.BrokenSignature()} {
		token := server.Token(option)
		header, claims := jws(t, token)
		require.Contains(t, keySet(t, server), header["kid"], "under the kid of a published key")
		require.False(t, verifies(t, keySet(t, server), token), name)
		require.Equal(t, server.Issuer(), claims["iss"])
	}
	require.Panics(t, func() { server.Token(mint.Claim("x", func() {})) })
}

func TestProofs(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	token := server.Token()
	_, claims := jws(t, token)
	jkt := claims["cnf"].(map[string]any)["jkt"].(string)
	verifier, err := dpop.NewVerifier(dpop.VerifierConfig{})
	require.NoError(t, err)
	check := func(proof string) error {
		_, err := verifier.Verify(t.Context(), proof, dpop.Expectation{
			Method: "GET", URI: "https://api.example.no/a%20b", AccessToken: token, Thumbprint: jkt,
		})
		return err
	}
	const target = "https://api.example.no/a%20b?x=1#y"
	require.NoError(t, check(server.Proof("GET", target, token)))
	require.NoError(t, check(server.Proof("GET", target, token)), "each proof is another")
	_, claims = jws(t, server.Proof("POST", target, ""))
	require.NotContains(t, claims, "ath")
	require.Equal(t, "https://api.example.no/a%20b", claims["htu"])

	for name, test := range map[string]struct {
		option mint.ProofOption
		reason dpop.Reason
	}{
		"htm":            {mint.ProofClaim("htm", "POST"), dpop.ReasonMethod},
		"htu":            {mint.ProofClaim("htu", "https://x.example.no/"), dpop.ReasonURI},
		"ath":            {mint.ProofClaim("ath", nil), dpop.ReasonTokenHash},
		"jti":            {mint.ProofClaim("jti", nil), dpop.ReasonID},
		"old":            {mint.ProofClaim("iat", time.Now().Add(-time.Minute).Unix()), dpop.ReasonTime},
		"typ":            {mint.ProofHeader("typ", "JWT"), dpop.ReasonType},
		"no key":         {mint.ProofHeader("jwk", nil), dpop.ReasonKey},
		"private key":    {mint.PrivateKeyInProof(), dpop.ReasonKey},
		"another key":    {mint.ProofWithAnotherKey(), dpop.ReasonBinding},
		"broken":         {mint.BrokenProofSignature(), dpop.ReasonSignature},
		"another's sign": {mint.ProofHeader("jwk", publicJWK(t, newKey(t))), dpop.ReasonBinding},
	} {
		var reason *dpop.ProofError
		require.ErrorAs(t, check(server.Proof("GET", target, token, test.option)), &reason, name)
		require.Equal(t, test.reason, reason.Reason, name)
	}
	t.Run("the other key's proof is good in itself", func(t *testing.T) {
		proof := server.Proof("GET", target, token, mint.ProofWithAnotherKey())
		_, err := verifier.Verify(t.Context(), proof, dpop.Expectation{Method: "GET", URI: target, AccessToken: token})
		require.NoError(t, err)
	})
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	token := server.Token()
	for _, test := range []struct{ target, htu string }{
		{"/things?x=1", "http://example.com/things"},
		{"http://example.com/things", "http://example.com/things"},
		{"https://api.example.no:8443/a%2Fb?x", "https://api.example.no:8443/a%2Fb"},
	} {
		request := httptest.NewRequest("DELETE", test.target, nil)
		request.Header.Set("Authorization", "Bearer old")
		request.Header.Set("DPoP", "old")
		server.Authorize(request, token)
		require.Equal(t, []string{"DPoP " + token}, request.Header.Values("Authorization"))
		require.Len(t, request.Header.Values("DPoP"), 1)
		_, claims := jws(t, request.Header.Get("DPoP"))
		require.Equal(t, "DELETE", claims["htm"])
		require.Equal(t, test.htu, claims["htu"])
	}
	request := httptest.NewRequest("GET", "/", nil)
	server.Authorize(request, token, mint.ProofClaim("nonce", "n"))
	_, claims := jws(t, request.Header.Get("DPoP"))
	require.Equal(t, "n", claims["nonce"])
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"in memory", "on loopback"} {
		start := func(t *testing.T) (*helseidtest.Server, func(path string) (*http.Response, string, error)) {
			var options []helseidtest.Option
			if kind == "in memory" {
				options = append(options, helseidtest.InMemory())
			}
			server := helseidtest.NewServer(t, options...)
			return server, func(path string) (*http.Response, string, error) {
				response, err := server.HTTPClient().Get(server.Issuer() + path)
				if err != nil {
					return nil, "", err
				}
				defer response.Body.Close()
				body, err := io.ReadAll(response.Body)
				return response, string(body), err
			}
		}
		const path = "/.well-known/openid-configuration"
		at := helseidtest.EndpointMetadata
		t.Run(kind+": status, header and body", func(t *testing.T) {
			t.Parallel()
			server, get := start(t)
			server.Inject(
				helseidtest.Fault{Endpoint: at, Status: 503, Times: 2},
				helseidtest.Fault{Endpoint: at, Body: "<html>", Header: http.Header{"Content-Type": {"text/html"}, "X-Test": {"1"}}},
				helseidtest.Fault{Endpoint: at, Status: 418, Body: `{}`},
			)
			for _, want := range []int{503, 503, 200, 418, 200} {
				response, _, err := get(path)
				require.NoError(t, err)
				require.Equal(t, want, response.StatusCode)
			}
			server.Inject(helseidtest.Fault{Endpoint: at, Body: "<html>", Header: http.Header{"Content-Type": {"text/html"}, "X-Test": {"1"}}})
			response, body, err := get(path)
			require.NoError(t, err)
			require.Equal(t, "<html>", body)
			require.Equal(t, "text/html", response.Header.Get("Content-Type"))
			require.Equal(t, "1", response.Header.Get("X-Test"))
			require.Len(t, server.Requests(at), 6)
		})
		t.Run(kind+": cut", func(t *testing.T) {
			t.Parallel()
			server, get := start(t)
			server.Inject(helseidtest.Fault{Endpoint: at, Cut: true, Times: -1})
			for range 3 {
				_, _, err := get(path)
				require.Error(t, err)
			}
			server.ClearFaults()
			_, _, err := get(path)
			require.NoError(t, err)
		})
		t.Run(kind+": half a body", func(t *testing.T) {
			t.Parallel()
			server, get := start(t)
			server.Inject(helseidtest.Fault{Endpoint: at, HalfBody: true})
			response, body, err := get(path)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.Equal(t, 200, response.StatusCode)
			require.NotEmpty(t, body)
			require.Greater(t, response.ContentLength, int64(len(body)))
		})
		t.Run(kind+": at another endpoint", func(t *testing.T) {
			t.Parallel()
			server, get := start(t)
			server.Inject(helseidtest.Fault{Status: 500, Times: -1})
			_, _, err := get(path)
			require.NoError(t, err)
			response, _, err := get("/connect/token")
			require.NoError(t, err)
			require.Equal(t, 500, response.StatusCode)
		})
		t.Run(kind+": at all endpoints", func(t *testing.T) {
			t.Parallel()
			server, get := start(t)
			server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointAll, Status: 503, Times: -1})
			for _, path := range []string{path, "/connect/token", "/connect/par", "/connect/authorize", "/connect/availableidps"} {
				response, _, err := get(path)
				require.NoError(t, err)
				require.Equal(t, 503, response.StatusCode, path)
			}
			require.Len(t, server.Requests(helseidtest.EndpointAll), 5)
			server.ClearFaults()
			response, _, err := get(path)
			require.NoError(t, err)
			require.Equal(t, 200, response.StatusCode)
		})
	}
}

// A closed server answers nobody, however it was started. What is mounted beside it still
// answers.
func TestClose(t *testing.T) {
	t.Parallel()
	listener := testkit.Must(net.Listen("tcp", "127.0.0.1:0"))
	for name, option := range map[string]helseidtest.Option{
		"in memory":     helseidtest.InMemory(),
		"on loopback":   helseidtest.ListenOn("127.0.0.1:0"),
		"on a listener": helseidtest.ServeOn(listener, "http://"+listener.Addr().String()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := helseidtest.NewServer(t, option)
			server.Mount("api.example.no", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			get := func(url string) error {
				response, err := server.HTTPClient().Get(url)
				if err == nil {
					_ = response.Body.Close()
				}
				return err
			}
			metadata := server.Issuer() + string(helseidtest.EndpointMetadata)
			require.NoError(t, get(metadata))
			server.Close()
			var dial *net.OpError
			require.ErrorAs(t, get(metadata), &dial)
			require.Equal(t, "dial", dial.Op)
			_, err := server.LogIn(server.Issuer() + string(helseidtest.EndpointAuthorize))
			require.ErrorAs(t, err, &dial)
			if name == "in memory" {
				require.NoError(t, get("https://api.example.no/"))
			}
		})
	}
}

// A response that is under way when the server closes is lost.
func TestCloseDuringRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := helseidtest.NewServer(t, helseidtest.InMemory())
		server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Delay: time.Minute})
		time.AfterFunc(time.Second, server.Close)
		response, err := server.HTTPClient().Get(server.Issuer() + string(helseidtest.EndpointMetadata))
		if err == nil {
			_ = response.Body.Close()
		}
		require.Error(t, err)
	})
}

// A request is recorded with the status of its response, and printed without what it held.
func TestRequestStatus(t *testing.T) {
	t.Parallel()
	a := newAsker(t, helseidtest.NewServer(t, helseidtest.InMemory()))
	require.Empty(t, a.send(t, a.build(t, a.nonce(t))).Error)
	a.server.Inject(
		helseidtest.Fault{Status: 503},
		helseidtest.Fault{AfterProcessing: true, Body: "{}"},
		helseidtest.Fault{Cut: true},
	)
	for range 3 {
		response, err := a.http.Do(a.request(t, a.build(t, "")))
		if err == nil {
			_ = response.Body.Close()
		}
	}
	var status []int
	for _, request := range a.server.Requests(helseidtest.EndpointToken) {
		status = append(status, request.Status)
	}
	require.Equal(t, []int{400, 200, 503, 200, 0}, status)

	requests := a.server.Requests()
	want := []string{"POST /connect/token 400", "POST /connect/token 200", "POST /connect/token 503", "POST /connect/token 200", "POST /connect/token"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		var printed []string
		for _, request := range requests {
			printed = append(printed, fmt.Sprintf(verb, request))
		}
		require.Equal(t, want, printed, verb)
	}
	require.Equal(t, `"[redacted]"`, string(testkit.Must(json.Marshal(requests[0]))))
}

func TestDelay(t *testing.T) {
	t.Parallel()
	t.Run("is followed by the answer", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			a := newAsker(t, helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.Relaxed(rule.Nonce)))
			a.server.Inject(helseidtest.Fault{Delay: 3 * time.Second})
			start := time.Now()
			require.Empty(t, a.send(t, a.build(t, "")).Error)
			require.Equal(t, 3*time.Second, time.Since(start))
			require.Equal(t, 1, len(a.server.Requests(helseidtest.EndpointToken)), "one request is recorded once") // without showing what it held
		})
	})
	t.Run("ends when the client leaves", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			server := helseidtest.NewServer(t, helseidtest.InMemory())
			server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Delay: time.Hour})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			request, err := http.NewRequestWithContext(ctx, "GET", server.Issuer()+"/.well-known/openid-configuration", nil)
			require.NoError(t, err)
			start := time.Now()
			response, err := server.HTTPClient().Do(request)
			if err == nil {
				_ = response.Body.Close()
			}
			require.ErrorIs(t, err, context.DeadlineExceeded)
			synctest.Wait()
			require.Equal(t, time.Second, time.Since(start))
		})
	})
}

func TestClockSkew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAsker(t, helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.Relaxed(rule.Nonce)))
		right := a.build(t, "")
		a.server.SetClockSkew(time.Hour)
		require.Equal(t, time.Now().Add(time.Hour), a.server.Now())
		require.Equal(t, "invalid_client", a.send(t, right).Error)
		answer := a.send(t, a.build(t, "")) // which goes by the server's clock
		require.Empty(t, answer.Error)
		require.Equal(t, a.server.Now().UTC().Format(http.TimeFormat), answer.header.Get("Date"))
		_, claims := jws(t, answer.AccessToken)
		require.InDelta(t, a.server.Now().Unix(), claims["iat"], 0)
		_, claims = jws(t, a.server.Token())
		require.InDelta(t, a.server.Now().Unix(), claims["iat"], 0)
	})
}
