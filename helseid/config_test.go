package helseid_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

func testKey(t testing.TB) *clientassertion.Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	key, err := clientassertion.NewKey(private, clientassertion.KeyOptions{})
	require.NoError(t, err)
	return key
}

func TestNewReportsEveryMistakeAtOnce(t *testing.T) {
	t.Parallel()
	_, err := helseid.New(helseid.Config{AssertionLifetime: 61 * time.Second, RequestTimeout: -1})
	requireError(t, err, helseid.ErrConfig)
	for _, field := range []string{"Issuer", "ClientID", "Key", "AssertionLifetime", "RequestTimeout"} {
		require.ErrorContains(t, err, field)
	}
}

func TestNewChecksEachField(t *testing.T) {
	t.Parallel()
	key := testKey(t)
	tests := map[string]struct {
		change func(*helseid.Config)
		field  string // "" if good
	}{
		"as it should be":              {func(*helseid.Config) {}, ""},
		"no issuer":                    {func(c *helseid.Config) { c.Issuer = "" }, "Issuer"},
		"only a slash":                 {func(c *helseid.Config) { c.Issuer = "/" }, "Issuer"},
		"issuer without scheme":        {func(c *helseid.Config) { c.Issuer = "helseid-sts.nhn.no" }, "Issuer"},
		"issuer over http":             {func(c *helseid.Config) { c.Issuer = "http://helseid-sts.nhn.no" }, "Issuer"},
		"issuer over ftp":              {func(c *helseid.Config) { c.Issuer = "ftp://helseid-sts.nhn.no" }, "Issuer"},
		"issuer with query":            {func(c *helseid.Config) { c.Issuer = "https://helseid.example.no?x=1" }, "Issuer"},
		"issuer with empty query":      {func(c *helseid.Config) { c.Issuer = "https://helseid.example.no?" }, "Issuer"},
		"issuer with fragment":         {func(c *helseid.Config) { c.Issuer = "https://helseid.example.no#x" }, "Issuer"},
		"issuer with empty fragment":   {func(c *helseid.Config) { c.Issuer = "https://helseid.example.no#" }, "Issuer"},
		"issuer with user":             {func(c *helseid.Config) { c.Issuer = "https://me@helseid.example.no" }, "Issuer"},
		"issuer in the local network":  {func(c *helseid.Config) { c.Issuer = "http://10.0.0.1" }, "Issuer"},
		"issuer that sounds loopback":  {func(c *helseid.Config) { c.Issuer = "http://localhost.example.no" }, "Issuer"},
		"issuer mapped into IPv6":      {func(c *helseid.Config) { c.Issuer = "http://[::ffff:127.0.0.1]" }, "Issuer"},
		"issuer 127.0.0.1 over http":   {func(c *helseid.Config) { c.Issuer = "http://127.0.0.1:8080" }, ""},
		"issuer 127.8.8.8 over http":   {func(c *helseid.Config) { c.Issuer = "http://127.8.8.8:8080" }, ""},
		"issuer ::1 over http":         {func(c *helseid.Config) { c.Issuer = "http://[::1]:8080" }, ""},
		"issuer localhost over http":   {func(c *helseid.Config) { c.Issuer = "http://localhost" }, ""},
		"issuer with path":             {func(c *helseid.Config) { c.Issuer = "https://helseid.example.no/session/1" }, ""},
		"issuer with trailing slash":   {func(c *helseid.Config) { c.Issuer = "https://helseid.example.no/" }, ""},
		"no client id":                 {func(c *helseid.Config) { c.ClientID = "" }, "ClientID"},
		"blank client id":              {func(c *helseid.Config) { c.ClientID = " \t" }, "ClientID"},
		"no key":                       {func(c *helseid.Config) { c.Key = nil }, "Key"},
		"empty key":                    {func(c *helseid.Config) { c.Key = &clientassertion.Key{} }, "Key"},
		"empty DPoP key":               {func(c *helseid.Config) { c.DPoPKey = &dpop.Key{} }, "DPoPKey"},
		"negative timeout":             {func(c *helseid.Config) { c.RequestTimeout = -time.Second }, "RequestTimeout"},
		"T014 assertion for -10 s":     {func(c *helseid.Config) { c.AssertionLifetime = -10 * time.Second }, "AssertionLifetime"},
		"T014 assertion for 0 s":       {func(c *helseid.Config) { c.AssertionLifetime = 0 }, ""},
		"T014 assertion for 1 s":       {func(c *helseid.Config) { c.AssertionLifetime = time.Second }, ""},
		"T014 assertion for 60 s":      {func(c *helseid.Config) { c.AssertionLifetime = time.Minute }, ""},
		"T014 assertion for 61 s":      {func(c *helseid.Config) { c.AssertionLifetime = 61 * time.Second }, "AssertionLifetime"},
		"T014 assertion for 120 s":     {func(c *helseid.Config) { c.AssertionLifetime = 2 * time.Minute }, "AssertionLifetime"},
		"T014 assertion for 200 s":     {func(c *helseid.Config) { c.AssertionLifetime = 200 * time.Second }, "AssertionLifetime"},
		"T014 assertion for half a s":  {func(c *helseid.Config) { c.AssertionLifetime = time.Second / 2 }, "AssertionLifetime"},
		"T014 assertion for 1.5 s":     {func(c *helseid.Config) { c.AssertionLifetime = 1500 * time.Millisecond }, "AssertionLifetime"},
		"T015 no issuer, no assertion": {func(c *helseid.Config) { c.Issuer = " " }, "Issuer"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := helseid.Config{Issuer: "https://helseid.example.no", ClientID: "client", Key: key}
			test.change(&config)
			client, err := helseid.New(config)
			if test.field == "" {
				require.NoError(t, err)
				client.Close()
				return
			}
			requireError(t, err, helseid.ErrConfig)
			require.ErrorContains(t, err, test.field)
			require.Nil(t, client)
		})
	}
}

func TestAssertionOnTheWire(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		lifetime time.Duration
		want     float64
	}{
		"T014 by default": {0, 10},
		"T014 shortest":   {time.Second, 1},
		"T014 longest":    {time.Minute, 60},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{config: func(c *helseid.Config) { c.AssertionLifetime = test.lifetime }})
			w.token(t)
			claims := assertionClaims(t, w.server.Requests(helseidtest.EndpointToken)[0])
			require.Equal(t, test.want, claims["exp"].(float64)-claims["iat"].(float64))
		})
	}
	t.Run("T017 aud is the issuer as one string", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{"", "/session/one"} {
			w := newWorld(t, worldOptions{
				server: []helseidtest.Option{helseidtest.Path(path)},
				config: func(c *helseid.Config) { c.Issuer += "/" },
			})
			w.token(t)
			requests := w.server.Requests(helseidtest.EndpointToken)
			require.Len(t, requests, 2)
			for _, request := range requests {
				claims := assertionClaims(t, request)
				require.Equal(t, w.server.Issuer(), claims["aud"])
				require.Equal(t, w.config.ClientID, claims["iss"])
				require.Equal(t, w.config.ClientID, claims["sub"])
				require.Equal(t, claims["iat"], claims["nbf"])
				require.InDelta(t, time.Now().Unix(), claims["iat"], 5)
				require.Len(t, claims, 7)
			}
		}
	})
	t.Run("T016 every algorithm's assertion and proof is accepted", func(t *testing.T) {
		t.Parallel()
		for algorithm, signer := range signers(t) {
			w := newWorld(t, worldOptions{})
			config := w.server.NewClient(helseidtest.SigningKey(signer, clientassertion.KeyOptions{Algorithm: algorithm}), helseidtest.Scopes(testScope))
			config.HTTPClient = w.config.HTTPClient
			var err error
			config.DPoPKey, err = dpop.NewKey(signer, dpop.KeyOptions{Algorithm: algorithm})
			require.NoError(t, err)
			_, err = newClient(t, config).Token(t.Context(), helseid.TokenRequest{})
			require.NoError(t, err, algorithm)
			requests := w.server.Requests(helseidtest.EndpointToken)
			require.Contains(t, requests[0].AssertionHeader, `"alg":"`+algorithm+`"`)
			require.Contains(t, requests[0].ProofHeader, `"alg":"`+algorithm+`"`)
		}
	})
}

func assertionClaims(t testing.TB, request helseidtest.Request) map[string]any {
	t.Helper()
	var claims map[string]any
	require.NoError(t, json.Unmarshal([]byte(request.Assertion), &claims))
	return claims
}

func TestConfigIsCopied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.config.Issuer, w.config.ClientID = "https://elsewhere.example.no", "another"
	w.token(t)
	require.Nil(t, w.config.HTTPClient.CheckRedirect, "the caller's client was changed")
}

func TestNewSendsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.client.HTTPClient(helseid.TokenRequest{})
	w.client.TokenSource(helseid.TokenRequest{})
	require.Empty(t, w.server.Requests())
}

func TestConfigPrintsNoKey(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	file := server.ConfigFile(helseidtest.Scopes(testScope))
	var members struct{ PrivateJWK string }
	require.NoError(t, json.Unmarshal(file, &members))
	secrets.addKey("client key", []byte(members.PrivateJWK))
	config, err := helseid.ParseConfig(file)
	require.NoError(t, err)
	config.DPoPKey, err = dpop.GenerateKey(dpop.KeyOptions{})
	require.NoError(t, err)
	jwk, err := config.DPoPKey.MarshalPrivateJWK()
	require.NoError(t, err)
	secrets.addKey("DPoP key", jwk)
	client := newClient(t, config)
	holder := struct{ config helseid.Config }{config}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		for _, value := range []any{config, &config, config.Key, *config.Key, config.DPoPKey, *config.DPoPKey, client, holder} {
			require.Empty(t, secrets.findPart(fmt.Sprintf(verb, value)), "%T with %s", value, verb)
		}
	}
	for _, value := range []any{config.Key, config.DPoPKey, config.Registered} {
		text, err := json.Marshal(value)
		require.NoError(t, err)
		require.Empty(t, secrets.find(string(text)))
	}
}

func TestRequestTimeout(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{config: func(c *helseid.Config) {
			c.RequestTimeout = 3 * time.Second
			c.TokenRetries = -1
		}})
		w.server.Inject(helseidtest.Fault{Delay: time.Hour})
		start := time.Now()
		_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
		requireError(t, err, helseid.ErrUnavailable)
		require.Equal(t, 3*time.Second, time.Since(start))
	})
}

func TestTokenRequestMistakes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		request helseid.TokenRequest
		field   string
	}{
		"two scopes in one":     {helseid.TokenRequest{Scopes: []string{"a b"}}, "Scopes"},
		"empty scope":           {helseid.TokenRequest{Scopes: []string{""}}, "Scopes"},
		"scope with quote":      {helseid.TokenRequest{Scopes: []string{`a"b`}}, "Scopes"},
		"scope with line break": {helseid.TokenRequest{Scopes: []string{"a\nb"}}, "Scopes"},
		"scope beyond ASCII":    {helseid.TokenRequest{Scopes: []string{"blåbær"}}, "Scopes"},
		"huge scope":            {helseid.TokenRequest{Scopes: []string{strings.Repeat("a", 1025)}}, "Scopes"},
		"resource with space":   {helseid.TokenRequest{Resource: "nhn:a nhn:b"}, "Resource"},
		"origin with path":      {helseid.TokenRequest{AllowedOrigins: []string{"https://api.example.no/v1"}}, "AllowedOrigins"},
		"origin with query":     {helseid.TokenRequest{AllowedOrigins: []string{"https://api.example.no?a"}}, "AllowedOrigins"},
		"origin without scheme": {helseid.TokenRequest{AllowedOrigins: []string{"api.example.no"}}, "AllowedOrigins"},
		"origin over http":      {helseid.TokenRequest{AllowedOrigins: []string{"http://api.example.no"}}, "AllowedOrigins"},
		"empty detail":          {helseid.TokenRequest{Details: []clientassertion.Detail{{}}}, "Details"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			_, err := w.client.Token(t.Context(), test.request)
			requireError(t, err, helseid.ErrConfig)
			require.ErrorContains(t, err, test.field)
			_, err = get(t, w.client.HTTPClient(test.request), apiURL)
			require.ErrorIs(t, err, helseid.ErrConfig)
			require.Empty(t, w.server.Requests())
		})
	}
	t.Run("all at once", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		_, err := w.client.Token(t.Context(), helseid.TokenRequest{
			Scopes: []string{"a b"}, Resource: "a b", AllowedOrigins: []string{"x"}, Details: []clientassertion.Detail{{}},
		})
		for _, field := range []string{"Scopes", "Resource", "AllowedOrigins", "Details"} {
			require.ErrorContains(t, err, field)
		}
	})
}

func TestScopeWithBackslash(t *testing.T) {
	t.Parallel()
	const old = `udelt:test-api\read`
	w := newWorld(t, worldOptions{scopes: []string{old}})
	token, err := w.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{old}})
	require.NoError(t, err)
	require.Equal(t, []string{old}, token.Scopes)
}

func TestTokenRequestOnTheWire(t *testing.T) {
	t.Parallel()
	detail, err := clientassertion.ParseDetail([]byte(`{"type":"helseid_authorization","x":1}`))
	require.NoError(t, err)
	w := newWorld(t, worldOptions{})
	// The server would refuse a detail that HelseID does not know.
	w.server.Inject(helseidtest.Fault{Body: w.tokenAnswer(t, map[string]any{"scope": testScope + " " + otherScope})})
	_, err = w.client.Token(t.Context(), helseid.TokenRequest{
		Scopes: []string{otherScope, testScope, otherScope}, Resource: "nhn:test-api", Details: []clientassertion.Detail{detail},
	})
	require.NoError(t, err)
	_, err = w.client.Token(t.Context(), helseid.TokenRequest{})
	require.NoError(t, err)
	requests := w.server.Requests(helseidtest.EndpointToken)
	require.Len(t, requests, 2)

	require.Equal(t, http.MethodPost, requests[0].Method)
	form := requests[0].Form
	require.Equal(t, []string{testScope + " " + otherScope}, form["scope"])
	require.Equal(t, []string{"nhn:test-api"}, form["resource"])
	require.Equal(t, []string{"client_credentials"}, form["grant_type"])
	require.Equal(t, []string{w.config.ClientID}, form["client_id"])
	require.Equal(t, []string{clientassertion.Type}, form["client_assertion_type"])
	require.Len(t, form, 6)
	require.JSONEq(t, `{"type":"helseid_authorization","x":1}`, rawMember(t, requests[0].Assertion, "assertion_details"))

	require.NotContains(t, requests[1].Form, "scope")
	require.NotContains(t, requests[1].Form, "resource")
	require.NotContains(t, requests[1].Assertion, "assertion_details")
	for _, request := range requests {
		var proof map[string]any
		require.NoError(t, json.Unmarshal([]byte(request.Proof), &proof))
		require.Equal(t, "POST", proof["htm"])
		require.Equal(t, w.server.Issuer()+"/connect/token", proof["htu"])
		require.NotContains(t, proof, "ath", "a token endpoint's proof has no ath")
		require.NotContains(t, request.ProofHeader, `"d"`)
	}
}

func rawMember(t testing.TB, object, name string) string {
	t.Helper()
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(object), &members))
	return string(members[name])
}
