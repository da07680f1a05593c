package helseidtest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
)

const (
	testScope = "nhn:test-api/read"
	clientID  = "the-client"
)

// The material here is made with the standard library alone, so that the server
// and the tests cannot agree on the same mistake.

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

func sha256Sum(text string) []byte {
	digest := sha256.Sum256([]byte(text))
	return digest[:]
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func publicJWK(t testing.TB, key *ecdsa.PrivateKey) map[string]any {
	t.Helper()
	point, err := key.PublicKey.Bytes()
	require.NoError(t, err)
	return map[string]any{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
}

func thumbprint(t testing.TB, key *ecdsa.PrivateKey) string {
	t.Helper()
	jwk := publicJWK(t, key)
	digest := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + jwk["x"].(string) + `","y":"` + jwk["y"].(string) + `"}`))
	return b64(digest[:])
}

// sign makes an ES256 JWS (RFC 7515 section 3.1).
func sign(t testing.TB, key *ecdsa.PrivateKey, header, claims map[string]any) string {
	t.Helper()
	parts := make([]string, 2)
	for i, object := range []map[string]any{header, claims} {
		object = maps.Clone(object)
		maps.DeleteFunc(object, func(_ string, value any) bool { return value == nil })
		text, err := json.Marshal(object)
		require.NoError(t, err)
		parts[i] = b64(text)
	}
	input := strings.Join(parts, ".")
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	require.NoError(t, err)
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + b64(signature[:])
}

// jws decodes a JWS.
func jws(t testing.TB, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	for i, target := range []*map[string]any{&header, &claims} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(data, target))
	}
	return header, claims
}

// asker is a client that can make every mistake.
type asker struct {
	server  *helseidtest.Server
	http    *http.Client
	key     *ecdsa.PrivateKey // of the client
	dpopKey *ecdsa.PrivateKey
	ids     int
}

func newAsker(t testing.TB, server *helseidtest.Server) *asker {
	t.Helper()
	a := &asker{server: server, http: server.HTTPClient(), key: newKey(t), dpopKey: newKey(t)}
	a.register(t, helseidtest.Client{ID: clientID})
	return a
}

func (a *asker) register(t testing.TB, client helseidtest.Client) {
	t.Helper()
	jwk, err := json.Marshal(publicJWK(t, a.key))
	require.NoError(t, err)
	client.PublicJWKs = [][]byte{jwk}
	if client.Scopes == nil {
		client.Scopes = []string{testScope, "nhn:test-api/write", "nhn:other-api/read"}
	}
	require.NoError(t, a.server.AddClient(client))
}

// attempt is one token request before it is sent.
type attempt struct {
	method      string
	contentType string
	path        string
	form        url.Values

	assertionKey    *ecdsa.PrivateKey
	assertionHeader map[string]any
	assertion       map[string]any
	rawAssertion    string // in place of all that

	proofKey    *ecdsa.PrivateKey
	proofHeader map[string]any
	proof       map[string]any
	proofs      []string // in place of all that
}

func (a *asker) id() string {
	a.ids++
	return "an-identifier-of-this-test-" + string(rune('a'+a.ids%26)) + time.Now().String() + string(rune('a'+a.ids/26))
}

// build makes a good attempt.
func (a *asker) build(t testing.TB, nonce string) *attempt {
	now := a.server.Now().Unix()
	attempt := &attempt{
		method: http.MethodPost, contentType: "application/x-www-form-urlencoded", path: "/connect/token",
		form: url.Values{
			"grant_type": {"client_credentials"}, "client_id": {clientID}, "scope": {testScope},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		},
		assertionKey:    a.key,
		assertionHeader: map[string]any{"typ": "client-authentication+jwt", "alg": "ES256", "kid": thumbprint(t, a.key)},
		assertion: map[string]any{
			"iss": clientID, "sub": clientID, "aud": a.server.Issuer(), "jti": a.id(), "iat": now, "nbf": now, "exp": now + 10,
		},
		proofKey:    a.dpopKey,
		proofHeader: map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": publicJWK(t, a.dpopKey)},
		proof:       map[string]any{"jti": a.id(), "htm": "POST", "htu": a.server.Issuer() + "/connect/token", "iat": now},
	}
	if nonce != "" {
		attempt.proof["nonce"] = nonce
	}
	return attempt
}

// result is the token endpoint's answer.
type result struct {
	status      int
	header      http.Header
	Error       string `json:"error"`
	Description string `json:"error_description"`
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
	Scope       string `json:"scope"`

	RequestURI       string `json:"request_uri"`
	IDToken          string `json:"id_token"`
	RefreshToken     string `json:"refresh_token"`
	RefreshExpiresIn int    `json:"rt_expires_in"`
	IssuedTokenType  string `json:"issued_token_type"`
	RejectedScope    string `json:"rejected_scope"`
}

// request signs what has to be signed.
func (a *asker) request(t testing.TB, attempt *attempt) *http.Request {
	t.Helper()
	if attempt.rawAssertion == "" {
		attempt.rawAssertion = sign(t, attempt.assertionKey, attempt.assertionHeader, attempt.assertion)
	}
	if attempt.rawAssertion != "-" {
		attempt.form.Set("client_assertion", attempt.rawAssertion)
	}
	if attempt.proofs == nil {
		attempt.proofs = []string{sign(t, attempt.proofKey, attempt.proofHeader, attempt.proof)}
	}
	request, err := http.NewRequestWithContext(t.Context(), attempt.method, a.server.Issuer()+attempt.path, strings.NewReader(attempt.form.Encode()))
	require.NoError(t, err)
	request.Header.Set("Content-Type", attempt.contentType)
	request.Header["Dpop"] = attempt.proofs
	return request
}

func (a *asker) send(t testing.TB, attempt *attempt) result {
	t.Helper()
	response, err := a.http.Do(a.request(t, attempt))
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	answer := result{status: response.StatusCode, header: response.Header}
	_ = json.Unmarshal(body, &answer)
	return answer
}

// nonce asks without one.
func (a *asker) nonce(t testing.TB) string {
	t.Helper()
	answer := a.send(t, a.build(t, ""))
	require.Equal(t, http.StatusBadRequest, answer.status)
	require.Equal(t, "use_dpop_nonce", answer.Error)
	nonce := answer.header.Get("DPoP-Nonce")
	require.NotEmpty(t, nonce)
	return nonce
}
