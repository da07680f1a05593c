package helseidtest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/testkit"
)

// selfServer is a client that may use Selvbetjening, with the SDK's client.
type selfServer struct {
	testing.TB
	server *helseidtest.Server
	config helseid.Config
	client *helseid.Client
}

func newSelfServer(t testing.TB, options ...helseidtest.Option) *selfServer {
	t.Helper()
	server := helseidtest.NewServer(t, append([]helseidtest.Option{helseidtest.Selvbetjening{}, helseidtest.InMemory()}, options...)...)
	return startSelfServer(t, server, server.NewClient(helseidtest.Scopes(helseidtest.SelvbetjeningScope, testScope)))
}

func startSelfServer(t testing.TB, server *helseidtest.Server, config helseid.Config) *selfServer {
	t.Helper()
	client, err := helseid.New(config)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return &selfServer{t, server, config, client}
}

// call sends a request with the SDK's client, and returns the decoded answer.
func (s *selfServer) call(method, path, body string) (status int, answer any) {
	s.Helper()
	api := s.client.HTTPClient(helseid.TokenRequest{Scopes: []string{helseidtest.SelvbetjeningScope}})
	return s.send(api, method, path, body, http.Header{"Content-Type": {"application/json"}})
}

func (s *selfServer) send(client *http.Client, method, path, body string, header http.Header) (status int, answer any) {
	s.Helper()
	request, err := http.NewRequestWithContext(s.Context(), method, s.server.SelvbetjeningURL()+path, strings.NewReader(body))
	require.NoError(s, err)
	request.Header = header
	response, err := client.Do(request)
	require.NoError(s, err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	require.NoError(s, err)
	if len(data) > 0 && strings.Contains(response.Header.Get("Content-Type"), "json") {
		require.NoError(s, json.Unmarshal(data, &answer))
	}
	if response.StatusCode >= 400 {
		require.Equal(s, "application/problem+json", response.Header.Get("Content-Type"))
		problem := answer.(object)
		require.InDelta(s, response.StatusCode, problem["status"], 0)
		for _, name := range []string{"type", "title", "detail", "instance"} {
			require.NotEmpty(s, problem[name], name)
		}
	}
	return response.StatusCode, answer
}

// newClientKey makes a key and its public JWK.
func newClientKey(t testing.TB) (*clientassertion.Key, string) {
	t.Helper()
	key, err := clientassertion.NewKey(newKey(t), clientassertion.KeyOptions{})
	require.NoError(t, err)
	return key, string(key.PublicJWK())
}

// tokenWith asks for a token with another key.
func (s *selfServer) tokenWith(key *clientassertion.Key) error {
	s.Helper()
	config := s.config
	config.Key = key
	client, err := helseid.New(config)
	require.NoError(s, err)
	defer client.Close()
	_, err = client.Token(s.Context(), helseid.TokenRequest{Scopes: []string{testScope}})
	return err
}

func TestKeyRotationOfAClient(t *testing.T) {
	t.Parallel()
	for _, shape := range []string{"object", "text"} {
		t.Run(shape, func(t *testing.T) {
			t.Parallel()
			s := newSelfServer(t)
			key, jwk := newClientKey(t)
			require.Error(t, s.tokenWith(key), "before it is registered")
			body := jwk
			if shape == "text" {
				text, err := json.Marshal(jwk)
				require.NoError(t, err)
				body = string(text)
			}
			status, answer := s.call("POST", "/v1/client-secret", body)
			require.Equal(t, http.StatusOK, status, answer)
			expiration, err := time.Parse(time.RFC3339, answer.(object)["expiration"].(string))
			require.NoError(t, err)
			require.WithinDuration(t, time.Now().Add(365*24*time.Hour), expiration, time.Minute)
			require.NoError(t, s.tokenWith(key))
			require.NoError(t, s.tokenWith(s.config.Key), "the old key works as well")

			status, answer = s.call("GET", "/v1/client-secret", "")
			require.Equal(t, http.StatusOK, status)
			secrets := answer.([]any)
			require.Len(t, secrets, 2)
			require.Len(t, s.server.Clients()[0].PublicJWKs, 2)
			for i, want := range []struct {
				key    *clientassertion.Key
				origin string
			}{{s.config.Key, "Gui"}, {key, "Api"}} {
				secret := secrets[i].(object)
				require.Equal(t, want.key.ID(), secret["kid"])
				require.Equal(t, want.key.Thumbprint(), secret["jwkThumbprint"])
				require.Equal(t, want.origin, secret["origin"])
				require.JSONEq(t, string(want.key.PublicJWK()), secret["publicJwk"].(string))
				require.NotContains(t, secret["publicJwk"], `"d"`)
				require.NotEmpty(t, secret["expiration"])
			}
		})
	}
}

// A key works when HelseID's caches know it, and until it expires.
func TestKeyTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelfServer(t, helseidtest.Selvbetjening{KeyDelay: 15 * time.Second, KeyLifetime: time.Hour})
		key, jwk := newClientKey(t)
		testkit.Sleep(30 * time.Minute)
		status, _ := s.call("POST", "/v1/client-secret", jwk)
		require.Equal(t, http.StatusOK, status)
		var refused *helseid.TokenError
		require.ErrorAs(t, s.tokenWith(key), &refused)
		require.Equal(t, "invalid_client", refused.Code)
		testkit.Sleep(15 * time.Second)
		require.NoError(t, s.tokenWith(key))
		require.NoError(t, s.tokenWith(s.config.Key))
		testkit.Sleep(30 * time.Minute)
		require.ErrorAs(t, s.tokenWith(s.config.Key), &refused, "the first key has expired")
		require.NoError(t, s.tokenWith(key))
		s.config.Key = key
		status, answer := startSelfServer(t, s.server, s.config).call("GET", "/v1/client-secret", "")
		require.Equal(t, http.StatusOK, status)
		require.Len(t, answer, 1)
		testkit.Sleep(30 * time.Minute)
		require.ErrorAs(t, s.tokenWith(key), &refused)
	})
}

func TestSecretRefusals(t *testing.T) {
	t.Parallel()
	s := newSelfServer(t)
	private := `{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"AA"}`
	text, err := json.Marshal(private)
	require.NoError(t, err)
	for name, test := range map[string]struct{ body, detail string }{
		"a private key":           {private, "private"},
		"a private key in a text": {string(text), "private"},
		"a shared secret":         {`{"kty":"oct","k":"AA"}`, "private"},
		"nothing":                 {``, "JSON"},
		"no object":               {`[]`, "public JWK"},
		"half a text":             {`"{`, "JSON"},
		"a key of no kind":        {`{"kty":"OKP"}`, "public JWK"},
		"a key twice":             {string(s.config.Key.PublicJWK()), "already"},
		"a member twice":          {`{"kty":"EC","kty":"EC"}`, "public JWK"},
	} {
		status, answer := s.call("POST", "/v1/client-secret", test.body)
		require.Equal(t, http.StatusBadRequest, status, name)
		require.Contains(t, answer.(object)["detail"], test.detail, name)
	}
	api := s.client.HTTPClient(helseid.TokenRequest{Scopes: []string{helseidtest.SelvbetjeningScope}})
	_, jwk := newClientKey(t)
	status, _ := s.send(api, "POST", "/v1/client-secret", jwk, http.Header{"Content-Type": {"text/plain"}})
	require.Equal(t, http.StatusUnsupportedMediaType, status)
	for method, path := range map[string]string{"DELETE": "/v1/client-secret", "POST": "/v1/client", "PUT": "/v1/multi-tenant-delegations"} {
		status, _ := s.call(method, path, `{}`)
		require.Equal(t, http.StatusMethodNotAllowed, status, method)
	}
	require.Len(t, s.server.Clients()[0].PublicJWKs, 1)
}

// Selvbetjening takes tokens for it alone, with its scope and a proof.
func TestSelvbetjeningIsGuarded(t *testing.T) {
	t.Parallel()
	s := newSelfServer(t)
	target := s.server.SelvbetjeningURL() + "/v1/client"
	audience := mint.Audience("nhn:selvbetjening")
	scope := mint.Scopes(helseidtest.SelvbetjeningScope)
	client := mint.ClientID(s.config.ClientID)
	for name, test := range map[string]struct {
		tokens []mint.TokenOption
		proofs []mint.ProofOption
		status int
	}{
		"as it should be": {[]mint.TokenOption{audience, scope, client}, nil, 200},
		"another API's":   {[]mint.TokenOption{scope, client}, nil, 401},
		"other scope":     {[]mint.TokenOption{audience, mint.Scopes("x"), client}, nil, 403},
		"bearer":          {[]mint.TokenOption{audience, scope, client, mint.Unbound()}, nil, 401},
		"expired":         {[]mint.TokenOption{audience, scope, client, mint.Expired()}, nil, 401},
		"forged":          {[]mint.TokenOption{audience, scope, client, mint.SignedWithUnknownKey()}, nil, 401},
		"a stale proof":   {[]mint.TokenOption{audience, scope, client}, []mint.ProofOption{mint.ProofAge(time.Minute)}, 401},
		"nobody's":        {[]mint.TokenOption{audience, scope, mint.ClientID("somebody")}, nil, 403},
	} {
		request, err := http.NewRequestWithContext(t.Context(), "GET", target, nil)
		require.NoError(t, err)
		s.server.Authorize(request, s.server.Token(test.tokens...), test.proofs...)
		status, _ := s.send(s.server.HTTPClient(), "GET", "/v1/client", "", request.Header)
		require.Equal(t, test.status, status, name)
	}
	for _, path := range []string{"/v1/client", "/v1/client-secret", "/v1/multi-tenant-delegations", "/v1/client-drafts"} {
		method := "GET"
		if path == "/v1/client-drafts" {
			method = "POST"
		}
		status, _ := s.send(s.server.HTTPClient(), method, path, "", http.Header{})
		require.Equal(t, http.StatusUnauthorized, status, path)
	}
	require.Empty(t, s.server.Requests(helseidtest.EndpointJWKS), "the server does not ask itself over the wire")

	without := helseidtest.NewServer(t, helseidtest.InMemory())
	require.Empty(t, without.SelvbetjeningURL())
	response, err := without.HTTPClient().Get(without.Issuer() + "/selvbetjening/v1/client")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusNotFound, response.StatusCode)
}

const wishedClient = `{"apiScopes":["nhn:selvbetjening/client","nhn:new-api/read"],
	"audienceSpecificClientClaims":[{"key":"nhn:new-api/client/claims/some-id","value":"1"}],
	"redirectUris":["https://app.example.no/callback"],"postLogoutRedirectUris":["https://app.example.no/"],
	"childOrganizationNumbers":["999977775"],"unknown":true}`

func statuses(t testing.TB, answer any, list, name string) map[string]any {
	t.Helper()
	found := map[string]any{}
	for _, entry := range answer.(object)[list].([]any) {
		found[entry.(object)[name].(string)] = entry.(object)["status"]
	}
	return found
}

func TestClientConfiguration(t *testing.T) {
	t.Parallel()
	t.Run("is replaced as a whole", func(t *testing.T) {
		t.Parallel()
		s := newSelfServer(t)
		status, answer := s.call("GET", "/v1/client", "")
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, object{helseidtest.SelvbetjeningScope: "ok", testScope: "ok"}, statuses(t, answer, "apiScopes", "scope"))
		require.Equal(t, []any{}, answer.(object)["redirectUris"])
		status, answer = s.call("PUT", "/v1/client", wishedClient)
		require.Equal(t, http.StatusNoContent, status, answer)
		status, answer = s.call("GET", "/v1/client", "")
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, object{helseidtest.SelvbetjeningScope: "ok", "nhn:new-api/read": "ok"}, statuses(t, answer, "apiScopes", "scope"))
		require.Equal(t, object{"nhn:new-api/client/claims/some-id": "ok"}, statuses(t, answer, "audienceSpecificClientClaims", "claimType"))
		require.Equal(t, []any{"https://app.example.no/callback"}, answer.(object)["redirectUris"])
		require.Equal(t, []any{"https://app.example.no/"}, answer.(object)["postLogoutRedirectUris"])
		require.Equal(t, []any{"999977775"}, answer.(object)["childOrganizationNumbers"])

		// The token endpoint goes by it.
		require.Error(t, s.tokenWith(s.config.Key), "the scope that is not in the list is gone")
		token, err := s.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{"nhn:new-api/read"}})
		require.NoError(t, err)
		require.Equal(t, "1", claimsOf(t, token.Access.Reveal())["nhn:new-api/client/claims/some-id"])
		fresh := startSelfServer(t, s.server, s.config).client
		other, err := fresh.Token(t.Context(), helseid.TokenRequest{Scopes: []string{helseidtest.SelvbetjeningScope}})
		require.NoError(t, err)
		require.NotContains(t, claimsOf(t, other.Access.Reveal()), "nhn:new-api/client/claims/some-id")

		// A list that is null or missing is emptied.
		status, _ = s.call("PUT", "/v1/client", `{"apiScopes":["nhn:selvbetjening/client"],"redirectUris":null}`)
		require.Equal(t, http.StatusNoContent, status)
		_, answer = s.call("GET", "/v1/client", "")
		for _, name := range []string{"audienceSpecificClientClaims", "redirectUris", "postLogoutRedirectUris", "childOrganizationNumbers"} {
			require.Equal(t, []any{}, answer.(object)[name], name)
		}
	})
	t.Run("waits for approval", func(t *testing.T) {
		t.Parallel()
		s := newSelfServer(t, helseidtest.Selvbetjening{ManualApproval: true})
		const name = "nhn:new-api/client/claims/some-id"
		put := func(body string) any {
			status, answer := s.call("PUT", "/v1/client", body)
			require.Equal(t, http.StatusNoContent, status, answer)
			_, answer = s.call("GET", "/v1/client", "")
			return answer
		}
		answer := put(wishedClient)
		require.Equal(t, object{helseidtest.SelvbetjeningScope: "ok", "nhn:new-api/read": "pending"}, statuses(t, answer, "apiScopes", "scope"))
		require.Equal(t, object{name: "pending"}, statuses(t, answer, "audienceSpecificClientClaims", "claimType"))
		request := helseid.TokenRequest{Scopes: []string{"nhn:new-api/read"}}
		_, err := s.client.Token(t.Context(), request)
		require.Error(t, err)
		require.NoError(t, s.server.Approve(s.config.ClientID))
		require.NoError(t, s.tokenWithScope("nhn:new-api/read"))

		answer = put(strings.Replace(wishedClient, `"value":"1"`, `"value":"2"`, 1))
		claim := answer.(object)["audienceSpecificClientClaims"].([]any)[0].(object)
		require.Equal(t, "updatePending", claim["status"])
		require.Equal(t, "1", claim["activeClaimValue"])
		require.Equal(t, "2", claim["pendingClaimValue"])
		require.NotEmpty(t, claim["statusReason"])
		require.Equal(t, object{helseidtest.SelvbetjeningScope: "ok", "nhn:new-api/read": "ok"}, statuses(t, answer, "apiScopes", "scope"))
		require.NoError(t, s.server.Approve(s.config.ClientID))
		_, answer = s.call("GET", "/v1/client", "")
		claim = answer.(object)["audienceSpecificClientClaims"].([]any)[0].(object)
		require.Equal(t, object{"claimType": name, "activeClaimValue": "2", "pendingClaimValue": nil, "status": "ok", "statusReason": nil}, claim)
		require.Error(t, s.server.Approve("somebody"))
	})
	t.Run("is refused when it is malformed", func(t *testing.T) {
		t.Parallel()
		s := newSelfServer(t)
		for body, detail := range map[string]string{
			``:   "JSON object",
			`[]`: "JSON object",
			`{"apiScopes":"x","childOrganizationNumbers":["1"]}`: "apiScopes, childOrganizationNumbers",
			`{"apiScopes":[1]}`:                                        "apiScopes",
			`{"apiScopes":["a b"]}`:                                    "apiScopes",
			`{"redirectUris":["/callback"]}`:                           "redirectUris",
			`{"audienceSpecificClientClaims":{"a":"b"}}`:               "audienceSpecificClientClaims",
			`{"audienceSpecificClientClaims":[{"key":"sub"}]}`:         "audienceSpecificClientClaims",
			`{"audienceSpecificClientClaims":[{"key":"a","value":1}]}`: "audienceSpecificClientClaims",
			`{"apiScopes":[],"apiScopes":[]}`:                          "JSON object",
		} {
			status, answer := s.call("PUT", "/v1/client", body)
			require.Equal(t, http.StatusBadRequest, status, body)
			require.Contains(t, answer.(object)["detail"], detail, body)
		}
		require.ElementsMatch(t, []string{helseidtest.SelvbetjeningScope, testScope}, s.server.Clients()[0].Scopes)
	})
}

func (s *selfServer) tokenWithScope(scope string) error {
	client, err := helseid.New(s.config)
	require.NoError(s, err)
	defer client.Close()
	_, err = client.Token(s.Context(), helseid.TokenRequest{Scopes: []string{scope}})
	return err
}

// A draft becomes a client when the person who it is for confirms it.
func TestClientDrafts(t *testing.T) {
	t.Parallel()
	s := newSelfServer(t)
	key, jwk := newClientKey(t)
	text, err := json.Marshal(jwk)
	require.NoError(t, err)
	post := func(header http.Header, body string) (int, any) {
		return s.send(s.server.HTTPClient(), "POST", "/v1/client-drafts", body, header)
	}
	header := http.Header{"Content-Type": {"application/json"}, "Api-Key": {helseidtest.DraftAPIKey}}
	good := `{"organizationNumber":"994598759","publicJwk":` + string(text) + `,"apiScopes":["` + testScope + `","nhn:selvbetjening/client"]}`
	for body, detail := range map[string]string{
		strings.Replace(good, "994598759", "1", 1):         "organizationNumber",
		`{"organizationNumber":"994598759"}`:               "apiScopes",
		strings.Replace(good, string(text), `"x"`, 1):      "publicJwk",
		strings.Replace(good, string(text), `null`, 1):     "publicJwk",
		strings.Replace(good, `"apiScopes":[`, `"x":[`, 1): "apiScopes",
	} {
		status, answer := post(header, body)
		require.Equal(t, http.StatusBadRequest, status, body)
		require.Contains(t, answer.(object)["detail"], detail)
	}
	for _, wrong := range []http.Header{{"Content-Type": {"application/json"}}, {"Content-Type": {"application/json"}, "Api-Key": {"x"}}} {
		status, _ := post(wrong, good)
		require.Equal(t, http.StatusUnauthorized, status)
	}
	status, answer := s.send(s.server.HTTPClient(), "POST", "/v0.1/client-drafts", good, header)
	require.Equal(t, http.StatusOK, status, "by its older path: %v", answer)
	status, answer = s.call("GET", "/v1/client-status", "")
	require.Equal(t, http.StatusOK, status, answer)
	require.Contains(t, answer, "apiScopes")
	status, answer = post(header, good)
	require.Equal(t, http.StatusOK, status, answer)
	id := answer.(object)["clientId"].(string)

	s.config.ClientID, s.config.Key = id, key
	require.Error(t, s.tokenWith(key), "before it is confirmed")
	browser := s.server.HTTPClient()
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	open := func(query string) *http.Response {
		response, err := browser.Get(s.server.SelvbetjeningURL() + "/confirm-client/" + id + query)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response
	}
	for _, query := range []string{"", "?redirectPort=x", "?redirectPort=70000", "?redirectPort=0", "?redirectPort=80@example.no"} {
		require.Equal(t, http.StatusBadRequest, open(query).StatusCode, query)
	}
	response := open("?redirectPort=1337&redirectPath=//example.no/done")
	require.Equal(t, http.StatusFound, response.StatusCode)
	require.Equal(t, "http://localhost:1337/example.no/done?status=Success", response.Header.Get("Location"))
	require.NoError(t, s.tokenWith(key))
	require.Equal(t, http.StatusNotFound, open("?redirectPort=1337").StatusCode)
	status, answer = startSelfServer(t, s.server, s.config).call("GET", "/v1/client", "")
	require.Equal(t, http.StatusOK, status)
	require.Len(t, answer.(object)["apiScopes"], 2)
}

// A supplier gets tokens for an organisation as long as that has delegated.
func TestDelegations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const parent = "111222333"
		for _, delay := range []time.Duration{0, time.Hour} {
			server := helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.Selvbetjening{}, helseidtest.DelegationDelay(delay))
			config := server.NewClient(helseidtest.Delegations("222333444"), helseidtest.Scopes(testScope, helseidtest.SelvbetjeningScope))
			ask := func() string {
				client, err := helseid.New(config)
				require.NoError(t, err)
				defer client.Close()
				_, err = client.Token(helseid.ForOrganization(t.Context(), parent, ""), helseid.TokenRequest{Scopes: []string{testScope}})
				if err == nil {
					return ""
				}
				var refused *helseid.TokenError
				require.ErrorAs(t, err, &refused)
				return refused.HID
			}
			require.Equal(t, "HID-1001", ask())
			require.NoError(t, server.Delegate(parent, config.ClientID))
			if delay > 0 {
				testkit.Sleep(delay - time.Second)
				require.Equal(t, "HID-1001", ask())
				testkit.Sleep(time.Second)
			}
			require.Empty(t, ask())
			require.Equal(t, []string{"222333444", parent}, server.Clients()[0].Delegations)

			self := startSelfServer(t, server, config)
			api := self.client.HTTPClient(helseid.TokenRequest{
				Scopes:       []string{helseidtest.SelvbetjeningScope},
				Organization: clientassertion.Organization{Parent: parent},
			})
			status, answer := self.send(api, "GET", "/v1/multi-tenant-delegations", "", http.Header{})
			require.Equal(t, http.StatusOK, status, answer)
			require.Equal(t, []any{object{"organizationNumber": "222333444"}, object{"organizationNumber": parent}}, answer)

			require.NoError(t, server.RevokeDelegation(parent, config.ClientID))
			if delay > 0 {
				require.Empty(t, ask())
				testkit.Sleep(delay)
			}
			require.Equal(t, "HID-1001", ask())
			require.Error(t, server.Delegate("1", config.ClientID))
			require.Error(t, server.Delegate(parent, "somebody"))
			single := server.NewClient(helseidtest.Scopes(testScope))
			require.ErrorContains(t, server.Delegate(parent, single.ClientID), "multi-tenant")
		}
	})
}
