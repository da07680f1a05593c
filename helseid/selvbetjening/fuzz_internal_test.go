package selvbetjening

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/jose"
)

// Whatever a registration looks like, an update that is sent holds all its members once,
// those that are not known as they were, and what was registered.
func FuzzRegistration(f *testing.F) {
	const scopes = `"apiScopes":[{"scope":"a","status":"ok"}]`
	const lists = `"audienceSpecificClientClaims":[{"claimType":"b","activeClaimValue":"1","pendingClaimValue":"2"}],"redirectUris":["c"],"postLogoutRedirectUris":null,"childOrganizationNumbers":[]`
	for _, seed := range []string{
		`{}`, `{` + scopes + `}`, `{` + scopes + `,` + lists + `}`, `{"x": {"y":[1.0]} ,` + scopes + `,` + lists + `}`, `[]`, `null`,
		`{"\u0061piScopes":[],` + lists + `}`, `{"\u00e5":"\ud83d\ude00",` + scopes + `,` + lists + `}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		value, err := jose.ParseValue(data)
		if err != nil {
			return
		}
		document, err := object(value, members...)
		if err != nil {
			require.ErrorIs(t, err, helseid.ErrInvalidResponse)
			return
		}
		status, err := readStatus(document)
		if err != nil {
			require.ErrorIs(t, err, helseid.ErrInvalidResponse)
			return
		}
		configuration, err := registration{document, status}.configuration()
		if err != nil {
			require.ErrorIs(t, err, helseid.ErrInvalidResponse)
			return
		}
		body, err := configuration.in(document)
		require.NoError(t, err)
		sent, err := jose.ParseObject(body)
		require.NoError(t, err)
		require.Equal(t, document.Names(), sent.Names())
		for _, name := range sent.Names() {
			if !slices.Contains(members, name) {
				require.Equal(t, document.Get(name).Raw(), sent.Get(name).Raw())
			}
		}
		var again struct {
			APIScopes []string
			Claims    []Claim `json:"audienceSpecificClientClaims"`
		}
		require.NoError(t, json.Unmarshal(body, &again))
		require.Len(t, again.APIScopes, len(status.Scopes))
		require.Len(t, again.Claims, len(status.Claims))
	})
}

// An answer is read or refused, whatever it is.
func FuzzSecrets(f *testing.F) {
	for _, seed := range []string{`[]`, `null`, `[{"kid":"a","expiration":"2027-01-31T12:00:00Z","publicJwk":"{}"}]`, `[{"expiration":"2027-01-31T12:00:00.1"}]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		value, err := jose.ParseValue(data)
		if err != nil {
			require.ErrorIs(t, err, jose.ErrJSON)
			return
		}
		require.True(t, json.Valid(data))
		secrets, err := readSecrets(value)
		if err != nil {
			require.ErrorIs(t, err, helseid.ErrInvalidResponse)
			return
		}
		for _, secret := range secrets {
			if secret.PublicJWK != nil {
				key, err := jose.ParseObject(secret.PublicJWK)
				require.NoError(t, err)
				require.False(t, jose.HasPrivateMember(key))
			}
		}
	})
}
