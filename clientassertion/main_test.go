package clientassertion_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/testkit"
)

const (
	clientID = "6d2a1c0e-5f0b-4a57-9a35-0d5f0a7a2f11"
	issuer   = "https://helseid-sts.test.nhn.no"
)

// jwkFor is a private JWK; changes with a nil value remove a member.
func jwkFor(t testing.TB, algorithm string, changes map[string]any) []byte {
	t.Helper()
	key, err := jose.NewKey(testkit.Signer(algorithm), jose.KeyOptions{Algorithm: jose.Algorithm(algorithm)})
	require.NoError(t, err)
	data, err := key.MarshalPrivateJWK()
	require.NoError(t, err)
	var members map[string]any
	require.NoError(t, json.Unmarshal(data, &members))
	for name, value := range changes {
		if value == nil {
			delete(members, name)
		} else {
			members[name] = value
		}
	}
	data, err = json.Marshal(members)
	require.NoError(t, err)
	return data
}

func newKey(t testing.TB, algorithm string) *clientassertion.Key {
	t.Helper()
	key, err := clientassertion.NewKey(testkit.Signer(algorithm), clientassertion.KeyOptions{Algorithm: algorithm, KeyID: "kid-1"})
	require.NoError(t, err)
	return key
}

func newSigner(t testing.TB, key *clientassertion.Key) *clientassertion.Signer {
	t.Helper()
	signer, err := clientassertion.New(clientassertion.Config{ClientID: clientID, Audience: issuer, Key: key})
	require.NoError(t, err)
	return signer
}

// decoded is an assertion as HelseID sees it, with its signature verified.
type decoded struct {
	header, claims         map[string]any
	headerJSON, claimsJSON string
}

func decode(t testing.TB, assertion string, key *clientassertion.Key) decoded {
	t.Helper()
	compact, err := jose.ParseCompact(assertion, 64<<10)
	require.NoError(t, err)
	jwk, err := jose.ParseObject(key.PublicJWK())
	require.NoError(t, err)
	public, err := jose.ParsePublicJWK(jwk, "")
	require.NoError(t, err)
	require.NoError(t, compact.Verify(public))
	out := decoded{headerJSON: compact.HeaderJSON, claimsJSON: string(compact.Payload)}
	require.NoError(t, json.Unmarshal([]byte(out.headerJSON), &out.header))
	require.NoError(t, json.Unmarshal(compact.Payload, &out.claims))
	return out
}

func detail(t testing.TB, text string) clientassertion.Detail {
	t.Helper()
	detail, err := clientassertion.ParseDetail([]byte(text))
	require.NoError(t, err)
	return detail
}

// sleepUntil moves the clock of a synctest bubble.
func sleepUntil(t testing.TB, text string) {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	testkit.Sleep(time.Until(at))
}
