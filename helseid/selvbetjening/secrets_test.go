package selvbetjening_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
	"github.com/helseid-go/sdk/internal/testkit"
)

func newKey(t testing.TB) *clientassertion.Key {
	t.Helper()
	key, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})
	require.NoError(t, err)
	return key
}

func TestClientSecrets(t *testing.T) {
	t.Parallel()
	for name, asText := range map[string]bool{"as an object": false, "as a text": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, helseidtest.Selvbetjening{KeyLifetime: 90 * 24 * time.Hour})
				self := w.self(func(config *selvbetjening.Config) { config.JWKAsText = asText })
				start := time.Now().UTC()
				testkit.Sleep(time.Hour)
				key := newKey(t)
				expiration, err := self.AddClientSecret(t.Context(), key)
				require.NoError(t, err)
				require.Equal(t, start.Add(90*24*time.Hour+time.Hour), expiration)

				secrets, err := self.ClientSecrets(t.Context())
				require.NoError(t, err)
				require.Len(t, secrets, 2)
				for i, want := range []struct {
					key        *clientassertion.Key
					origin     string
					expiration time.Time
				}{
					{w.config.Key, selvbetjening.OriginGUI, start.Add(90 * 24 * time.Hour)},
					{key, selvbetjening.OriginAPI, expiration},
				} {
					require.JSONEq(t, string(want.key.PublicJWK()), string(secrets[i].PublicJWK))
					secrets[i].PublicJWK = nil
					require.Equal(t, selvbetjening.ClientSecret{
						Expiration: want.expiration, KeyID: want.key.ID(), Thumbprint: want.key.Thumbprint(), Origin: want.origin,
					}, secrets[i])
				}

				// The new key is the client's, and the old one still is.
				next := w.config
				next.Key = key
				for _, config := range []helseid.Config{next, w.config} {
					_, err = startWorld(t, w.server, config).self().ClientSecrets(t.Context())
					require.NoError(t, err)
				}
				_, err = self.AddClientSecret(t.Context(), key)
				var refused *selvbetjening.Error
				require.ErrorAs(t, err, &refused)
				require.Equal(t, http.StatusBadRequest, refused.Status)
				require.Contains(t, refused.Detail, "already")
				require.NotErrorIs(t, err, helseid.ErrUnavailable)
			})
		})
	}
}

// What is sent is the public half, in the form that was chosen.
func TestAddClientSecretOnTheWire(t *testing.T) {
	t.Parallel()
	for name, asText := range map[string]bool{"as an object": false, "as a text": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := newFakeAPI(t, answering(http.StatusOK, `{"expiration":"2027-01-31T12:00:00+01:00"}`))
			_, self := with(t, fake, func(config *selvbetjening.Config) { config.JWKAsText = asText })
			key := newKey(t)
			expiration, err := self.AddClientSecret(t.Context(), key)
			require.NoError(t, err)
			require.Equal(t, time.Date(2027, 1, 31, 11, 0, 0, 0, time.UTC), expiration)
			require.Len(t, fake.received(), 1)
			request := fake.received()[0]
			require.Equal(t, "POST /v1/client-secret", request.method+" "+request.path)
			require.Equal(t, "application/json", request.header.Get("Content-Type"))
			require.Equal(t, "application/json", request.header.Get("Accept"))
			require.Contains(t, request.header.Get("Authorization"), "DPoP ")
			require.NotEmpty(t, request.header.Get("DPoP"))
			body := request.body
			if asText {
				require.NoError(t, json.Unmarshal([]byte(request.body), &body))
			}
			require.Equal(t, string(key.PublicJWK()), body)
			require.NotContains(t, body, `"d"`)
		})
	}
	t.Run("no key", func(t *testing.T) {
		t.Parallel()
		fake := newFakeAPI(t, answering(http.StatusOK, `{}`))
		w, self := with(t, fake)
		_, err := self.AddClientSecret(t.Context(), nil)
		require.ErrorIs(t, err, helseid.ErrConfig)
		require.Empty(t, fake.received())
		require.Empty(t, w.server.Requests(helseidtest.EndpointToken))
	})
}

// Whatever the API leaves out or adds, what it tells is read exactly.
func TestClientSecretForms(t *testing.T) {
	t.Parallel()
	noon := time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)
	const ec = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	const private = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}`
	text, err := json.Marshal(ec)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		element string
		want    selvbetjening.ClientSecret
	}{
		"nothing known":      {`{}`, selvbetjening.ClientSecret{}},
		"all null":           {`{"expiration":null,"kid":null,"jwkThumbprint":null,"origin":null,"publicJwk":null}`, selvbetjening.ClientSecret{}},
		"more":               {`{"kid":"a","new":{"x":[1]}}`, selvbetjening.ClientSecret{KeyID: "a"}},
		"another origin":     {`{"origin":"Cli"}`, selvbetjening.ClientSecret{Origin: "Cli"}},
		"UTC":                {`{"expiration":"2027-01-31T12:00:00Z"}`, selvbetjening.ClientSecret{Expiration: noon}},
		"a zone":             {`{"expiration":"2027-01-31T13:00:00+01:00"}`, selvbetjening.ClientSecret{Expiration: noon}},
		"a part of a second": {`{"expiration":"2027-01-31T12:00:00.1234567+00:00"}`, selvbetjening.ClientSecret{Expiration: noon.Add(123456700)}},
		"no zone":            {`{"expiration":"2027-01-31T12:00:00"}`, selvbetjening.ClientSecret{Expiration: noon}},
		"no zone, a part":    {`{"expiration":"2027-01-31T12:00:00.5"}`, selvbetjening.ClientSecret{Expiration: noon.Add(time.Second / 2)}},
		"a JWK":              {`{"publicJwk":` + ec + `}`, selvbetjening.ClientSecret{PublicJWK: json.RawMessage(ec)}},
		"a JWK in a text":    {`{"publicJwk":` + string(text) + `}`, selvbetjening.ClientSecret{PublicJWK: json.RawMessage(ec)}},
		"a private JWK":      {`{"kid":"a","publicJwk":` + private + `}`, selvbetjening.ClientSecret{KeyID: "a"}},
		"no JWK":             {`{"kid":"a","publicJwk":"x"}`, selvbetjening.ClientSecret{KeyID: "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, self := with(t, newFakeAPI(t, answering(http.StatusOK, `[`+c.element+`]`)))
			secrets, err := self.ClientSecrets(t.Context())
			require.NoError(t, err)
			require.Equal(t, []selvbetjening.ClientSecret{c.want}, secrets)
		})
	}
	for name, body := range map[string]string{
		"an object":             `{}`,
		"null":                  `null`,
		"a text":                `"x"`,
		"texts":                 `["x"]`,
		"null within":           `[null]`,
		"a kid of another type": `[{"kid":1}]`,
		"no time":               `[{"expiration":"soon"}]`,
		"a date":                `[{"expiration":"2027-01-31"}]`,
		"a number":              `[{"expiration":1800000000}]`,
		"a member twice":        `[{"kid":"a","kid":"b"}]`,
		"in another case":       `[{"Kid":"a"}]`,
		"twice in two cases":    `[{"expiration":null,"Expiration":"2027-01-31T12:00:00Z"}]`,
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			t.Parallel()
			_, self := with(t, newFakeAPI(t, answering(http.StatusOK, body)))
			secrets, err := self.ClientSecrets(t.Context())
			require.ErrorIs(t, err, helseid.ErrInvalidResponse)
			require.Empty(t, secrets)
		})
	}
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		_, self := with(t, newFakeAPI(t, answering(http.StatusOK, `[]`)))
		secrets, err := self.ClientSecrets(t.Context())
		require.NoError(t, err)
		require.Empty(t, secrets)
	})
	for name, body := range map[string]string{"no expiration": `{}`, "null": `{"expiration":null}`, "a list": `[]`, "nothing": ``, "in another case": `{"Expiration":"2027-01-31T12:00:00Z"}`} {
		t.Run("registered: "+name, func(t *testing.T) {
			t.Parallel()
			_, self := with(t, newFakeAPI(t, answering(http.StatusOK, body)))
			_, err := self.AddClientSecret(t.Context(), newKey(t))
			require.ErrorIs(t, err, helseid.ErrInvalidResponse)
			var refused *selvbetjening.Error
			require.NotErrorAs(t, err, &refused, "it may have been registered")
			require.NotErrorIs(t, err, helseid.ErrNoToken)
		})
	}
}
