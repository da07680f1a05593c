package verification_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/jwks"
	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/testkit"
	"github.com/helseid-go/sdk/internal/verification"
)

// TestMain fails if a token or a national identity number is in the process's log.
func TestMain(m *testing.M) { testkit.RunLogged(m, testkit.FindCredential) }

const (
	audience = mint.DefaultAudience
	leeway   = 5
)

// now is when the tokens of these tests are checked, however long the tests take.
var now = time.Now()

func newKeys(t *testing.T, server *helseidtest.Server) *jwks.KeySet {
	t.Helper()
	keys := jwks.New(metadata.NewSource(server.Issuer(), server.HTTPClient(), "jwks_uri"), server.HTTPClient())
	t.Cleanup(keys.Close)
	return keys
}

// rules are those for an API's access tokens.
func rules(t *testing.T, server *helseidtest.Server) verification.Rules {
	t.Helper()
	return verification.Rules{
		Issuer: server.Issuer(), Audience: audience, Types: []string{"at+jwt"}, Leeway: leeway,
		Keys: newKeys(t, server), Now: func() time.Time { return now },
	}
}

func in(d time.Duration) int64 { return now.Add(d).Unix() }

// Each rule refuses the token that breaks it, with its own reason, and lets pass what is
// just within it.
func TestRules(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	type change = func(*verification.Rules)
	times := []mint.TokenOption{mint.Claim("iat", in(0)), mint.Claim("nbf", in(0)), mint.Claim("exp", in(time.Hour))}
	audiences := make([]string, verification.MaxAudiences+1)
	for i := range audiences {
		audiences[i] = audience
	}
	others := func(r *verification.Rules) { r.OtherAudiences = true }
	for name, test := range map[string]struct {
		options []mint.TokenOption
		change  change
		want    verification.Reason // "" means that the token is accepted
	}{
		"a good token": {},

		"typ of an ID token":          {options: []mint.TokenOption{mint.Header("typ", "JWT")}, want: verification.ReasonType},
		"typ of a number":             {options: []mint.TokenOption{mint.Header("typ", 1)}, want: verification.ReasonType},
		"no typ":                      {options: []mint.TokenOption{mint.Header("typ", nil)}, want: verification.ReasonType},
		"no typ, where that is right": {options: []mint.TokenOption{mint.Header("typ", nil)}, change: func(r *verification.Rules) { r.Types = []string{""} }},
		"typ in another case":         {options: []mint.TokenOption{mint.Header("typ", "application/AT+JWT")}},

		"alg none":                {options: []mint.TokenOption{mint.Header("alg", "none")}, want: verification.ReasonAlgorithm},
		"alg HS256":               {options: []mint.TokenOption{mint.Header("alg", "HS256")}, want: verification.ReasonAlgorithm},
		"no alg":                  {options: []mint.TokenOption{mint.Header("alg", nil)}, want: verification.ReasonAlgorithm},
		"alg of another key":      {options: []mint.TokenOption{mint.Header("alg", "ES512")}, want: verification.ReasonAlgorithm},
		"kid that nobody has":     {options: []mint.TokenOption{mint.Header("kid", "another")}, want: verification.ReasonKey},
		"no kid":                  {options: []mint.TokenOption{mint.Header("kid", nil)}, want: verification.ReasonKey},
		"kid without end":         {options: []mint.TokenOption{mint.Header("kid", strings.Repeat("k", 257))}, want: verification.ReasonKey},
		"signed with another key": {options: []mint.TokenOption{mint.SignedWithUnknownKey()}, want: verification.ReasonSignature},
		"changed signature":       {options: []mint.TokenOption{mint.BrokenSignature()}, want: verification.ReasonSignature},

		"another issuer":           {options: []mint.TokenOption{mint.Issuer("https://other.example.no")}, want: verification.ReasonIssuer},
		"issuer in another case":   {options: []mint.TokenOption{mint.Issuer(strings.ToUpper(server.Issuer()))}, want: verification.ReasonIssuer},
		"issuer in a list":         {options: []mint.TokenOption{mint.Claim("iss", []string{server.Issuer()})}, want: verification.ReasonIssuer},
		"no issuer":                {options: []mint.TokenOption{mint.Claim("iss", nil)}, want: verification.ReasonIssuer},
		"another audience":         {options: []mint.TokenOption{mint.Audience("nhn:other")}, want: verification.ReasonAudience},
		"no audience":              {options: []mint.TokenOption{mint.Claim("aud", nil)}, want: verification.ReasonAudience},
		"audience of a number":     {options: []mint.TokenOption{mint.Claim("aud", 1)}, want: verification.ReasonAudience},
		"two audiences":            {options: []mint.TokenOption{mint.Audience(audience, "nhn:other")}, want: verification.ReasonAudience},
		"two audiences, permitted": {options: []mint.TokenOption{mint.Audience(audience, "nhn:other")}, change: others},
		"two others, permitted":    {options: []mint.TokenOption{mint.Audience("nhn:a", "nhn:other")}, change: others, want: verification.ReasonAudience},
		"as many as are read":      {options: []mint.TokenOption{mint.Claim("aud", audiences[1:])}, change: others},
		"more than are read":       {options: []mint.TokenOption{mint.Claim("aud", audiences)}, change: others, want: verification.ReasonAudience},

		"no exp":                    {options: []mint.TokenOption{mint.Claim("exp", nil)}, want: verification.ReasonTime},
		"exp in words":              {options: []mint.TokenOption{mint.Claim("exp", "tomorrow")}, want: verification.ReasonTime},
		"exp of zero":               {options: []mint.TokenOption{mint.Claim("exp", 0)}, want: verification.ReasonTime},
		"exp in the year 9999":      {options: []mint.TokenOption{mint.Claim("exp", 253402300799)}},
		"exp after the year 9999":   {options: []mint.TokenOption{mint.Claim("exp", 253402300800)}, want: verification.ReasonTime},
		"expired within the leeway": {options: []mint.TokenOption{mint.Claim("exp", in(-(leeway-1)*time.Second))}},
		"expired":                   {options: []mint.TokenOption{mint.Claim("exp", in(-leeway*time.Second))}, want: verification.ReasonExpired},
		"without nbf and iat":       {options: []mint.TokenOption{mint.Claim("nbf", nil), mint.Claim("iat", nil)}},
		"nbf within the leeway":     {options: []mint.TokenOption{mint.Claim("nbf", in(leeway*time.Second))}},
		"nbf in the future":         {options: []mint.TokenOption{mint.Claim("nbf", in((leeway+1)*time.Second))}, want: verification.ReasonNotYet},
		"iat in the future":         {options: []mint.TokenOption{mint.Claim("iat", in((leeway+1)*time.Second))}, want: verification.ReasonNotYet},
		"nbf in words":              {options: []mint.TokenOption{mint.Claim("nbf", "now")}, want: verification.ReasonTime},
		"iat in the year 9999":      {options: []mint.TokenOption{mint.Claim("iat", 253402300799)}, want: verification.ReasonNotYet},
		"iat after the year 9999":   {options: []mint.TokenOption{mint.Claim("iat", 253402300800)}, want: verification.ReasonTime},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rules(t, server)
			if test.change != nil {
				test.change(&r)
			}
			token, err := r.Verify(t.Context(), server.Token(slices.Concat(times, test.options)...))
			if test.want == "" {
				require.NoError(t, err)
				require.NotZero(t, token.Generation)
				require.Positive(t, token.Validity.Expiry)
				require.True(t, token.Claims.Has("exp"))
				return
			}
			requireReason(t, err, test.want)
			require.Empty(t, token, "nothing of a refused token")
		})
	}
}

func requireReason(t *testing.T, err error, want verification.Reason) {
	t.Helper()
	var refused *verification.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, want, refused.Reason)
	require.NotEmpty(t, err.Error())
	require.Empty(t, testkit.FindCredential(err.Error()))
}

// What is no token is refused without keys, and so is a token that is foreign or expired.
func TestRefusedWithoutKeys(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	good := server.Token()
	for name, test := range map[string]struct {
		token string
		want  verification.Reason
	}{
		"nothing":      {"", verification.ReasonMalformed},
		"two parts":    {good[:strings.LastIndex(good, ".")], verification.ReasonMalformed},
		"no payload":   {good[:strings.Index(good, ".")] + ".." + good[strings.LastIndex(good, ".")+1:], verification.ReasonMalformed},
		"too long":     {good + strings.Repeat("A", verification.MaxToken), verification.ReasonTooLong},
		"just so long": {strings.Repeat("A", verification.MaxToken), verification.ReasonMalformed},
		"alg none":     {server.Token(mint.Header("alg", "none")), verification.ReasonAlgorithm},
		"foreign":      {server.Token(mint.Audience("nhn:other")), verification.ReasonAudience},
		"expired":      {server.Token(mint.Expired()), verification.ReasonExpired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rules(t, server)
			_, err := r.Verify(t.Context(), test.token)
			requireReason(t, err, test.want)
			require.Zero(t, r.Keys.LastGeneration(), "the keys were fetched")
		})
	}
}

// The issuer is asked for a key with a long kid, but not for one that is longer than any.
func TestLongKeyID(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	for length, asked := range map[int]bool{256: true, 257: false} {
		r := rules(t, server)
		token := server.Token(mint.Header("kid", strings.Repeat("k", length)), mint.Claim("iat", in(0)), mint.Claim("nbf", in(0)))
		_, err := r.Verify(t.Context(), token)
		requireReason(t, err, verification.ReasonKey)
		require.Equal(t, asked, r.Keys.LastGeneration() != 0, length)
	}
}

// An issuer that does not answer is no refusal: the token may be valid.
func TestKeysThatCannotBeHad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := helseidtest.NewServer(t, helseidtest.InMemory())
		token := server.Token()
		server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointJWKS, Status: http.StatusServiceUnavailable, Times: -1})
		r := rules(t, server)
		r.Now = time.Now
		var refused *verification.Error
		_, err := r.Verify(t.Context(), token)
		require.ErrorIs(t, err, jwks.ErrUnavailable)
		require.NotErrorAs(t, err, &refused)
		_, err = verification.Signature(t.Context(), r.Keys, token)
		require.ErrorIs(t, err, jwks.ErrUnavailable)
		require.NotErrorAs(t, err, &refused)
	})
}

// Signature looks at no claim and no typ, but refuses what two readers could take for
// different things.
func TestSignature(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	for name, test := range map[string]struct {
		options []mint.TokenOption
		want    verification.Reason
	}{
		"a good token":            {},
		"of another audience":     {options: []mint.TokenOption{mint.Audience("nhn:other"), mint.Expired(), mint.Header("typ", "JWT")}},
		"changed signature":       {options: []mint.TokenOption{mint.BrokenSignature()}, want: verification.ReasonSignature},
		"alg none":                {options: []mint.TokenOption{mint.Header("alg", "none")}, want: verification.ReasonAlgorithm},
		"kid that nobody has":     {options: []mint.TokenOption{mint.Header("kid", "another")}, want: verification.ReasonKey},
		"a claim in another case": {options: []mint.TokenOption{mint.Claim("Sub", "another")}, want: verification.ReasonMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := server.Token(test.options...)
			payload, err := verification.Signature(t.Context(), newKeys(t, server), token, "sub")
			if test.want != "" {
				requireReason(t, err, test.want)
				require.Nil(t, payload)
				return
			}
			require.NoError(t, err)
			require.Contains(t, string(payload), `"iss":"`+server.Issuer()+`"`)
		})
	}
	keys := newKeys(t, server)
	_, err := verification.Signature(t.Context(), keys, server.Token()+strings.Repeat("A", verification.MaxToken))
	requireReason(t, err, verification.ReasonTooLong)
	_, err = verification.Signature(t.Context(), keys, strings.Repeat("A", verification.MaxToken))
	requireReason(t, err, verification.ReasonMalformed)
	_, err = verification.Signature(t.Context(), keys, "no token")
	requireReason(t, err, verification.ReasonMalformed)
}

// Every reason is explained.
func TestReasonText(t *testing.T) {
	t.Parallel()
	for _, reason := range []verification.Reason{
		verification.ReasonMalformed, verification.ReasonTooLong, verification.ReasonType, verification.ReasonAlgorithm,
		verification.ReasonKey, verification.ReasonSignature, verification.ReasonIssuer, verification.ReasonAudience,
		verification.ReasonExpired, verification.ReasonNotYet, verification.ReasonTime,
	} {
		require.NotEmpty(t, reason.Text(), "%s", reason)
	}
	require.Empty(t, verification.Reason("token_actors").Text())
}
