package tokenvalidation_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/idtoken"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/verification"
	"github.com/helseid-go/sdk/tokenvalidation"
)

const (
	keyIssuer   = "https://issuer.test"
	loginClient = "the-login-client"
)

// keyServer is an issuer in memory whose tokens are written letter by letter.
type keyServer struct {
	key      *jose.Key
	down     atomic.Bool
	requests atomic.Int32
}

func newKeyServer(t testing.TB) *keyServer {
	t.Helper()
	key, err := jose.GenerateKey()
	require.NoError(t, err)
	return &keyServer{key: key}
}

func (s *keyServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.requests.Add(1)
	if s.down.Load() {
		return nil, errors.New("no route to host")
	}
	body := `{"issuer":"` + keyIssuer + `","jwks_uri":"` + keyIssuer + `/keys"}`
	if r.URL.Path == "/keys" {
		body = `{"keys":[` + string(s.key.MarshalPublicJWK()) + `]}`
	}
	return &http.Response{
		StatusCode: http.StatusOK, Request: r, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

func (s *keyServer) keySet(t testing.TB) *tokenvalidation.KeySet {
	t.Helper()
	keys, err := tokenvalidation.NewKeySet(tokenvalidation.KeySetConfig{Issuer: keyIssuer, HTTPClient: &http.Client{Transport: s}})
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	return keys
}

// written is a JSON object of members that are JSON already; an empty one is left
// out. What comes after them is added as it is.
func written(members map[string]string, more string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if members[name] != "" {
			parts = append(parts, fmt.Sprintf("%q:%s", name, members[name]))
		}
	}
	if more != "" {
		parts = append(parts, more)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// token is an ID token with changed members of header and claims.
func (s *keyServer) token(t testing.TB, header, claims map[string]string, more string) string {
	t.Helper()
	now := time.Now().Unix()
	allHeader := map[string]string{"alg": `"ES256"`, "typ": `"JWT"`, "kid": fmt.Sprintf("%q", s.key.ID())}
	allClaims := map[string]string{
		"iss": `"` + keyIssuer + `"`, "aud": `"` + loginClient + `"`, "sub": `"the-person"`, "nonce": `"the-nonce"`,
		"iat": fmt.Sprint(now), "nbf": fmt.Sprint(now), "exp": fmt.Sprint(now + 300), "auth_time": fmt.Sprint(now),
		"helseid://claims/identity/security_level": `"4"`,
	}
	maps.Copy(allHeader, header)
	maps.Copy(allClaims, claims)
	token, err := s.key.SignRaw(context.Background(), []byte(written(allHeader, "")), []byte(written(allClaims, more)))
	require.NoError(t, err)
	return token
}

var _ oidc.KeySet = (*tokenvalidation.KeySet)(nil)

func TestKeySet(t *testing.T) {
	t.Parallel()
	server := newKeyServer(t)
	keys := server.keySet(t)
	token := server.token(t, nil, nil, "")
	payload, err := keys.VerifySignature(t.Context(), token)
	require.NoError(t, err)
	require.Contains(t, string(payload), "the-person")
	fetched := server.requests.Load()

	dot := strings.LastIndexByte(token, '.')
	last := token[len(token)-1]
	for name, test := range map[string]struct {
		token  string
		reason tokenvalidation.Reason
	}{
		"empty":                 {"", tokenvalidation.ReasonMalformed},
		"not a JWS":             {"a.b", tokenvalidation.ReasonMalformed},
		"too long":              {token + strings.Repeat("A", verification.MaxToken), tokenvalidation.ReasonTooLong},
		"alg none":              {server.token(t, map[string]string{"alg": `"none"`}, nil, ""), tokenvalidation.ReasonAlgorithm},
		"alg HS256":             {server.token(t, map[string]string{"alg": `"HS256"`}, nil, ""), tokenvalidation.ReasonAlgorithm},
		"another alg":           {server.token(t, map[string]string{"alg": `"RS256"`}, nil, ""), tokenvalidation.ReasonAlgorithm},
		"no kid":                {server.token(t, map[string]string{"kid": ""}, nil, ""), tokenvalidation.ReasonKey},
		"crit":                  {server.token(t, map[string]string{"crit": `["b64"]`}, nil, ""), tokenvalidation.ReasonMalformed},
		"another signature":     {token[:dot+1] + strings.Repeat("A", 86), tokenvalidation.ReasonSignature},
		"a changed payload":     {changedPayload(token), tokenvalidation.ReasonSignature},
		"text behind":           {token + "." + string(last), tokenvalidation.ReasonMalformed},
		"a claim twice":         {server.token(t, nil, nil, `"sub":"another"`), tokenvalidation.ReasonMalformed},
		"a claim in other case": {server.token(t, nil, nil, `"SUB":"another"`), tokenvalidation.ReasonMalformed},
		"a payload that is no object": {func() string {
			token, err := server.key.SignRaw(t.Context(), []byte(`{"alg":"ES256","kid":"`+server.key.ID()+`"}`), []byte(`[]`))
			require.NoError(t, err)
			return token
		}(), tokenvalidation.ReasonMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			payload, err := keys.VerifySignature(t.Context(), test.token)
			var refused *tokenvalidation.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, test.reason, refused.Reason)
			require.ErrorIs(t, err, tokenvalidation.ErrInvalidToken)
			require.Nil(t, payload)
		})
	}
	require.Equal(t, fetched, server.requests.Load(), "no forged token makes a request for keys")

	server.down.Store(true)
	_, err = server.keySet(t).VerifySignature(t.Context(), token)
	require.ErrorIs(t, err, tokenvalidation.ErrUnavailable)
	require.NotErrorIs(t, err, tokenvalidation.ErrInvalidToken)
	_, err = keys.VerifySignature(t.Context(), token)
	require.NoError(t, err, "known keys serve while the issuer is down")

	for _, issuer := range []string{"", "http://issuer.test", "issuer.test", "https://issuer.test/?a"} {
		_, err := tokenvalidation.NewKeySet(tokenvalidation.KeySetConfig{Issuer: issuer})
		require.ErrorIs(t, err, tokenvalidation.ErrConfig, issuer)
	}
}

func changedPayload(token string) string {
	parts := strings.Split(token, ".")
	return parts[0] + ".e30." + parts[2]
}

// What our ID-token validation accepts, coreos/go-oidc's accepts too. Where
// go-oidc accepts more, the table says why we do not.
func TestIDTokensAsGoOIDC(t *testing.T) {
	t.Parallel()
	server := newKeyServer(t)
	client := &http.Client{Transport: server}
	ours := idtoken.New(metadata.NewSource(keyIssuer, client, "jwks_uri"), loginClient, client)
	t.Cleanup(ours.Close)
	config := &oidc.Config{
		ClientID: loginClient, SupportedSigningAlgs: []string{"ES256"},
		Now: func() time.Time { return time.Now().Add(-verification.DefaultLeeway) }, // go-oidc knows no leeway for exp
	}
	verifiers := map[string]*oidc.IDTokenVerifier{
		"our key set":  oidc.NewVerifier(keyIssuer, server.keySet(t), config),
		"its key set":  oidc.NewVerifier(keyIssuer, oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), client), keyIssuer+"/keys"), config),
		"a static set": oidc.NewVerifier(keyIssuer, &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{server.key.Public().CryptoKey()}}, config),
	}
	now := time.Now().Unix()
	in := func(seconds int64) string { return fmt.Sprint(now + seconds) }
	type members = map[string]string
	for name, test := range map[string]struct {
		header, claims members
		more           string
		looser         string // why go-oidc accepts what we refuse
		strictKeys     bool   // but not with our key set
	}{
		"genuine":                       {},
		"no typ":                        {header: members{"typ": ""}},
		"audience as list":              {claims: members{"aud": `["` + loginClient + `"]`}},
		"own azp":                       {claims: members{"azp": `"` + loginClient + `"`}},
		"no nbf":                        {claims: members{"nbf": ""}},
		"expired within the leeway":     {claims: members{"exp": in(-1)}},
		"times with fractions":          {claims: members{"exp": in(300) + ".5", "nbf": in(-1) + ".5"}},
		"unknown claims":                {claims: members{"x": `{"a":[1,null]}`}},
		"unknown header members":        {header: members{"x5t": `"AAAA"`, "jku": `"https://evil.test/"`}},
		"another issuer":                {claims: members{"iss": `"https://evil.test"`}},
		"issuer with a slash":           {claims: members{"iss": `"` + keyIssuer + `/"`}},
		"no issuer":                     {claims: members{"iss": ""}},
		"issuer null":                   {claims: members{"iss": "null"}},
		"another client":                {claims: members{"aud": `"another"`}},
		"no audience":                   {claims: members{"aud": ""}},
		"audience empty":                {claims: members{"aud": "[]"}},
		"audience a number":             {claims: members{"aud": "1"}},
		"expired":                       {claims: members{"exp": in(-60)}},
		"no exp":                        {claims: members{"exp": ""}},
		"exp a text":                    {claims: members{"exp": `"` + in(300) + `"`}, looser: "it takes a number in quotes for one"},
		"exp null":                      {claims: members{"exp": "null"}},
		"nbf in ten minutes":            {claims: members{"nbf": in(600)}},
		"alg none":                      {header: members{"alg": `"none"`}},
		"alg RS256":                     {header: members{"alg": `"RS256"`}},
		"iss twice":                     {more: `"iss":"https://evil.test"`},
		"crit":                          {header: members{"crit": `["x"]`, "x": "1"}},
		"several clients":               {claims: members{"aud": `["` + loginClient + `","another"]`}, looser: "a token for others as well can be used by them; OpenID Connect Core 3.1.3.7 rule 3 wants untrusted audiences refused"},
		"another azp":                   {claims: members{"azp": `"another"`}, looser: "it leaves azp to its caller (rule 5)"},
		"no iat":                        {claims: members{"iat": ""}, looser: "it does not demand iat, which section 2 requires"},
		"iat in ten minutes":            {claims: members{"iat": in(600)}, looser: "it does not look at iat"},
		"nbf in one minute":             {claims: members{"nbf": in(60)}, looser: "its leeway for nbf is five minutes, ours five seconds"},
		"no sub":                        {claims: members{"sub": ""}, looser: "it does not demand sub, which section 2 requires"},
		"an access token":               {header: members{"typ": `"at+jwt"`}, looser: "it does not look at typ, so that other kinds of token pass"},
		"a logout token's type":         {header: members{"typ": `"logout+jwt"`}, looser: "it does not look at typ"},
		"another nonce":                 {claims: members{"nonce": `"another"`}, looser: "it leaves the nonce to its caller"},
		"exp in the year 20000":         {claims: members{"exp": "568971820800"}, looser: "a time beyond 9999 is a mistake of units"},
		"no kid":                        {header: members{"kid": ""}, looser: "it tries every key", strictKeys: true},
		"sub twice":                     {more: `"sub":"another"`, looser: "it takes the last of duplicates", strictKeys: true},
		"exp twice":                     {claims: members{"exp": in(-60)}, more: `"exp":` + in(300), looser: "it takes the last of duplicates", strictKeys: true},
		"a duplicate in a claim":        {claims: members{"x": `{"a":1,"a":2}`}, looser: "it does not see it", strictKeys: true},
		"iss in another case":           {claims: members{"iss": ""}, more: `"ISS":"` + keyIssuer + `"`, looser: "it folds case", strictKeys: true},
		"exp in another case":           {claims: members{"exp": in(-60)}, more: `"zExp":1,"Exp":` + in(300), looser: "it folds case and takes the last", strictKeys: true},
		"audience in another case":      {claims: members{"aud": `"another"`}, more: `"AUD":"` + loginClient + `"`, looser: "it folds case and takes the last", strictKeys: true},
		"half a surrogate pair in text": {claims: members{"name": `"\ud800"`}, looser: "encoding/json replaces it", strictKeys: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := server.token(t, test.header, test.claims, test.more)
			_, err := ours.Validate(t.Context(), token, idtoken.Expectation{Nonce: "the-nonce"})
			require.NotErrorIs(t, err, tokenvalidation.ErrUnavailable)
			for which, verifier := range verifiers {
				_, theirs := verifier.Verify(t.Context(), token)
				looser := test.looser != "" && (which != "our key set" || !test.strictKeys)
				require.Equal(t, err == nil || looser, theirs == nil, "%s: ours says %v, go-oidc %v", which, err, theirs)
			}
			if test.looser != "" {
				require.ErrorIs(t, err, idtoken.ErrInvalid)
			}
		})
	}
}

// go-oidc's verifier makes text of a key set's error: an outage looks like a forged
// token. That is why it is not inside, and why KeySet's comment says what to do.
func TestGoOIDCHidesOutages(t *testing.T) {
	t.Parallel()
	server := newKeyServer(t)
	token := server.token(t, nil, nil, "")
	server.down.Store(true)
	_, err := oidc.NewVerifier(keyIssuer, server.keySet(t), &oidc.Config{ClientID: loginClient, SupportedSigningAlgs: []string{"ES256"}}).Verify(t.Context(), token)
	require.Error(t, err)
	require.NotErrorIs(t, err, tokenvalidation.ErrUnavailable)
}

// Whichever kind of token it is: one of a key that nobody has asked the issuer about is
// not an invalid one.
func TestNotAskedIsNotInvalid(t *testing.T) {
	t.Parallel()
	server := newKeyServer(t)
	client := &http.Client{Transport: server}
	idTokens := idtoken.New(metadata.NewSource(keyIssuer, client, "jwks_uri"), loginClient, client)
	t.Cleanup(idTokens.Close)
	keys := server.keySet(t)
	for name, test := range map[string]struct {
		invalid  error
		validate func(token string) error
	}{
		"ID token": {idtoken.ErrInvalid, func(token string) error {
			_, err := idTokens.Validate(t.Context(), token, idtoken.Expectation{Nonce: "the-nonce"})
			return err
		}},
		"KeySet": {tokenvalidation.ErrInvalidToken, func(token string) error {
			_, err := keys.VerifySignature(t.Context(), token)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, test.validate(server.token(t, nil, nil, "")))
			for n := range 2 {
				madeUp := server.token(t, map[string]string{"kid": fmt.Sprintf(`"made-up-%d"`, n)}, nil, "")
				require.ErrorIs(t, test.validate(madeUp), test.invalid)
			}
			old := server.key
			rotated, err := jose.GenerateKey()
			require.NoError(t, err)
			server.key = rotated
			fresh := server.token(t, nil, nil, "")
			err = test.validate(fresh)
			require.ErrorIs(t, err, tokenvalidation.ErrUnavailable)
			require.NotErrorIs(t, err, test.invalid)
			server.key = old
			require.NoError(t, test.validate(server.token(t, nil, nil, "")))
		})
	}
}
