package inspect

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/testkit"
)

// The rules that are judged one by one say what the validators say of the whole, which is
// then no surprise.
func FuzzVerdict(f *testing.F) {
	key := testkit.Must(jose.GenerateKey())
	now := time.Unix(1_800_000_000, 0)
	const (
		iss   = `"iss":"https://helseid.example",`
		times = `"iat":1800000000,"nbf":1800000000,"exp":1800000300`
	)
	for i, claims := range []string{
		`{` + iss + `"aud":"a","sub":"s","cnf":{"jkt":"t"},"act":{"act":{}},` + times + `}`,
		`{` + iss + `"aud":["a","b"],"sub":"s","azp":"a","nonce":"n","at_hash":"h","events":{},"client_id":"s",` + times + `}`,
		`{` + iss + `"aud":"a","sub":"s","sid":"i","jti":"j","events":{"http://schemas.openid.net/event/backchannel-logout":{}},` + times + `}`,
		`{"jti":"j","htm":"GET","htu":"https://api.example.no/x","nonce":"n",` + times + `}`,
		`{"jti":"j","htm":"GET","htu":"https://api.example.no/x","ath":"x","iat":1800000000}`,
	} {
		for _, header := range []string{
			`{"typ":"at+jwt","alg":"RS256","kid":"k"}`, `{"typ":"JWT","alg":"ES256","kid":""}`, `{"typ":"logout+jwt","alg":"none","kid":1}`,
			`{"typ":"dpop+jwt","alg":"ES256","jwk":` + key.Public().JWK() + `}`, `{"typ":"dpop+jwt","alg":"PS256","jwk":{"kty":"RSA","n":"AQAB","e":"AQAB","d":""}}`,
		} {
			f.Add(uint8(i), header, claims)
		}
	}
	kinds := []kind{kindAccessToken, kindIDToken, kindLogoutToken, kindProof}
	f.Fuzz(func(t *testing.T, which uint8, header, claims string) {
		jwt, err := key.SignRaw(context.Background(), []byte(header), []byte(claims))
		require.NoError(t, err)
		q := questions{now: moment{at: now}}
		r, err := q.report(t.Context(), recognised{kinds[int(which)%len(kinds)], jwt})
		require.NoError(t, err)
		require.False(t, r.surprised, "%s: %+v", r.verdict, r.rules)
		if !strings.HasSuffix(r.verdict, " accepts it") {
			return
		}
		for _, f := range r.rules { // what the validator is not asked about without the issuer's keys
			if !slices.Contains([]string{"token_alg", "token_unknown_key", "token_binding"}, f.rule) {
				require.Empty(t, f.problems, f.rule)
			}
		}
	})
}
