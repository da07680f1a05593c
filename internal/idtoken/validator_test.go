package idtoken_test

import (
	"crypto/sha256"
	"encoding/base64"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/idtoken"
	"github.com/helseid-go/sdk/internal/jwks"
	"github.com/helseid-go/sdk/internal/verification"
)

func hashOf(accessToken string) string {
	digest := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(digest[:16])
}

// The rules of OpenID Connect Core section 3.1.3.7 and of HelseID's page on ID
// tokens, one fault at a time.
func TestIDToken(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	validator := newValidator(t, server)

	const accessToken = "an-access-token"
	claim, header := mint.Claim, mint.Header
	now := time.Now().Unix()
	type options = []mint.TokenOption
	for name, test := range map[string]struct {
		options options
		reason  verification.Reason // empty: accepted
	}{
		"T166 genuine":                    {nil, ""},
		"T166 audience as array of one":   {options{claim("aud", []string{loginClient})}, ""},
		"T166 no type":                    {options{header("typ", nil)}, ""},
		"T166 own azp":                    {options{claim("azp", loginClient)}, ""},
		"T166 at_hash of the token":       {options{claim("at_hash", hashOf(accessToken))}, ""},
		"T166 no sub":                     {options{claim("sub", nil)}, idtoken.ReasonSubject},
		"T166 empty sub":                  {options{claim("sub", "")}, idtoken.ReasonSubject},
		"T166 sub of a wrong type":        {options{claim("sub", 7)}, idtoken.ReasonSubject},
		"T166 sub that is the client":     {options{claim("sub", loginClient), claim("client_id", loginClient), claim("helseid://claims/identity/pid", nil), claim("helseid://claims/hpr/hpr_number", nil)}, idtoken.ReasonSubject},
		"T166 no exp":                     {options{claim("exp", nil)}, verification.ReasonTime},
		"T166 no iat":                     {options{claim("iat", nil)}, verification.ReasonTime},
		"T166 no iss":                     {options{claim("iss", nil)}, verification.ReasonIssuer},
		"T166 no aud":                     {options{claim("aud", nil)}, verification.ReasonAudience},
		"T166 iat in the future":          {options{claim("iat", now+600)}, verification.ReasonNotYet},
		"T166 nbf in the future":          {options{claim("nbf", now+600)}, verification.ReasonNotYet},
		"T166 expired":                    {options{mint.Expired()}, verification.ReasonExpired},
		"T166 another issuer":             {options{claim("iss", "https://evil.example")}, verification.ReasonIssuer},
		"T166 another client":             {options{claim("aud", "another")}, verification.ReasonAudience},
		"T166 several clients":            {options{claim("aud", []string{loginClient, "another"})}, verification.ReasonAudience},
		"T166 no nonce":                   {options{claim("nonce", nil)}, idtoken.ReasonNonce},
		"T166 another nonce":              {options{claim("nonce", "another")}, idtoken.ReasonNonce},
		"T166 nonce of a wrong type":      {options{claim("nonce", 1)}, idtoken.ReasonNonce},
		"another azp":                     {options{claim("azp", "another")}, idtoken.ReasonAuthorizedParty},
		"azp of a wrong type":             {options{claim("azp", true)}, idtoken.ReasonAuthorizedParty},
		"at_hash of another token":        {options{claim("at_hash", hashOf("another"))}, idtoken.ReasonTokenHash},
		"at_hash of a wrong type":         {options{claim("at_hash", 1)}, idtoken.ReasonTokenHash},
		"login too old":                   {options{claim("auth_time", now-3600)}, idtoken.ReasonLoginAge},
		"login in the future":             {options{claim("auth_time", now+3600)}, idtoken.ReasonLoginAge},
		"no auth_time":                    {options{claim("auth_time", nil)}, idtoken.ReasonLoginAge},
		"an access token":                 {options{header("typ", "at+jwt")}, verification.ReasonType},
		"a logout token":                  {options{header("typ", "logout+jwt")}, verification.ReasonType},
		"a proof":                         {options{header("typ", "dpop+jwt")}, verification.ReasonType},
		"type that is a number":           {options{header("typ", 7)}, verification.ReasonType},
		"type that is a list":             {options{header("typ", []string{"JWT"})}, verification.ReasonType},
		"type that is an object":          {options{header("typ", map[string]string{})}, verification.ReasonType},
		"type that is true":               {options{header("typ", true)}, verification.ReasonType},
		"alg none":                        {options{header("alg", "none")}, verification.ReasonAlgorithm},
		"another algorithm":               {options{header("alg", "PS256")}, verification.ReasonAlgorithm},
		"broken signature":                {options{mint.BrokenSignature()}, verification.ReasonSignature},
		"a key that HelseID does not own": {options{mint.SignedWithUnknownKey()}, verification.ReasonSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claims, err := validator.Validate(t.Context(), idToken(server, test.options...), idtoken.Expectation{
				Nonce: "the-nonce", AccessToken: accessToken, MaxAge: 10 * time.Minute,
			})
			if test.reason == "" {
				require.NoError(t, err)
				require.Equal(t, identity.HPRNumber(mint.DefaultHPRNumber), claims.User.HPRNumber)
				require.Equal(t, identity.SecurityLevel4, claims.User.SecurityLevel)
				require.Equal(t, mint.DefaultPersonalIdentityNumber, claims.User.PersonalIdentityNumber.Reveal())
				require.WithinDuration(t, time.Now().Add(10*time.Minute), claims.Expiry, time.Minute)
				return
			}
			var refused *idtoken.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, test.reason, refused.Reason)
			require.ErrorIs(t, err, idtoken.ErrInvalid)
			require.Nil(t, claims)
		})
	}
}

// What was not asked for is not required: after a refresh there is no nonce.
func TestIDTokenWithoutExpectations(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	validator := newValidator(t, server)
	token := idToken(server, mint.Claim("nonce", nil), mint.Claim("auth_time", nil), mint.Claim("at_hash", "x"))
	_, err := validator.Validate(t.Context(), token, idtoken.Expectation{})
	require.NoError(t, err)
}

// A HelseID that is down is not a forged token.
func TestIDTokenOutage(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	token := idToken(server)
	server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointJWKS, Status: 503, Times: -1})
	validator := newValidator(t, server)
	_, err := validator.Validate(t.Context(), token, idtoken.Expectation{Nonce: "the-nonce"})
	require.ErrorIs(t, err, jwks.ErrUnavailable)
	require.NotErrorIs(t, err, idtoken.ErrInvalid)
}

// T167: a refreshed ID token is compared with the one before, in what both have.
func TestT167RefreshedIDToken(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	validator := newValidator(t, server)
	claim := mint.Claim
	now := time.Now().Unix()
	first, err := validator.Validate(t.Context(), idToken(server, claim("iat", now-60), claim("auth_time", now-100)), idtoken.Expectation{})
	require.NoError(t, err)
	require.Equal(t, "the-nonce", first.Nonce)
	for name, test := range map[string]struct {
		options []mint.TokenOption
		reason  verification.Reason
	}{
		"the same":           {nil, ""},
		"without nonce":      {[]mint.TokenOption{claim("nonce", nil)}, ""},
		"without auth_time":  {[]mint.TokenOption{claim("auth_time", nil)}, ""},
		"without level":      {[]mint.TokenOption{claim("helseid://claims/identity/security_level", nil)}, ""},
		"without sid":        {[]mint.TokenOption{claim("sid", nil)}, ""},
		"same iat":           {[]mint.TokenOption{claim("iat", now-60)}, ""},
		"older iat":          {[]mint.TokenOption{claim("iat", now-61)}, verification.ReasonTime},
		"another person":     {[]mint.TokenOption{claim("sub", "x")}, idtoken.ReasonOtherLogin},
		"another pid":        {[]mint.TokenOption{claim("helseid://claims/identity/pid", helseidtest.ClinicianAtLevel3)}, idtoken.ReasonOtherLogin},
		"another auth_time":  {[]mint.TokenOption{claim("auth_time", now-99)}, idtoken.ReasonOtherLogin},
		"another nonce":      {[]mint.TokenOption{claim("nonce", "x")}, idtoken.ReasonOtherLogin},
		"another sid":        {[]mint.TokenOption{claim("sid", "x")}, idtoken.ReasonOtherLogin},
		"another level":      {[]mint.TokenOption{claim("helseid://claims/identity/security_level", "3")}, idtoken.ReasonOtherLogin},
		"another client":     {[]mint.TokenOption{claim("aud", "x")}, verification.ReasonAudience},
		"another authorized": {[]mint.TokenOption{claim("azp", "x")}, idtoken.ReasonAuthorizedParty},
		"another issuer":     {[]mint.TokenOption{claim("iss", "https://x.example")}, verification.ReasonIssuer},
		"another assurance":  {[]mint.TokenOption{mint.AssuranceLevel("low")}, idtoken.ReasonOtherLogin},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := append([]mint.TokenOption{claim("auth_time", now-100)}, test.options...)
			_, err := validator.Validate(t.Context(), idToken(server, options...), idtoken.Expectation{Previous: first})
			if test.reason == "" {
				require.NoError(t, err)
				return
			}
			requireReason(t, err, test.reason)
		})
	}
}

// The level that was asked for, T166's acr.
func TestT166SecurityLevel(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	validator := newValidator(t, server)
	const name = "helseid://claims/identity/security_level"
	for value, levels := range map[any]identity.SecurityLevel{"4": 4, "3": 3, "2": 2, nil: 0, "": 0, 4: 0, "5": 0, "high": 0} {
		for _, least := range []identity.SecurityLevel{0, 2, 3, 4} {
			_, err := validator.Validate(t.Context(), idToken(server, mint.Claim(name, value)), idtoken.Expectation{SecurityLevel: least})
			if levels >= least {
				require.NoError(t, err)
				continue
			}
			requireReason(t, err, idtoken.ReasonSecurityLevel)
		}
	}
}

// The same for the assurance level.
func TestAssuranceLevel(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	validator := newValidator(t, server)
	for value, level := range map[string]identity.AssuranceLevel{
		"high": identity.AssuranceHigh, "substantial": identity.AssuranceSubstantial, "low": identity.AssuranceLow, "": 0, "other": 0,
	} {
		for _, least := range []identity.AssuranceLevel{0, identity.AssuranceLow, identity.AssuranceSubstantial, identity.AssuranceHigh} {
			_, err := validator.Validate(t.Context(), idToken(server, mint.AssuranceLevel(value)), idtoken.Expectation{AssuranceLevel: least})
			if level >= least {
				require.NoError(t, err)
				continue
			}
			requireReason(t, err, idtoken.ReasonAssuranceLevel)
		}
	}
}

// How old a login may be, and when it may have been, to the second.
func TestLoginAge(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	now := time.Now()
	validator := newValidator(t, server).At(func() time.Time { return now })
	const leeway = verification.DefaultLeeway
	maxAge := func(d time.Duration) idtoken.Expectation { return idtoken.Expectation{MaxAge: d} }
	since := func(d time.Duration) idtoken.Expectation {
		return idtoken.Expectation{LoggedInSince: now.Add(d)}
	}
	for name, test := range map[string]struct {
		expected idtoken.Expectation
		login    time.Duration // beside now
		accepted bool
	}{
		"any age":                     {idtoken.Expectation{}, -1000 * time.Hour, true},
		"as old as it may be":         {maxAge(time.Minute), -time.Minute - leeway, true},
		"older":                       {maxAge(time.Minute), -time.Minute - leeway - time.Second, false},
		"ahead by the leeway":         {maxAge(time.Minute), leeway, true},
		"in the future":               {maxAge(time.Minute), leeway + time.Second, false},
		"no login is young enough":    {maxAge(-1), 0, false},
		"as early as it may be":       {since(-time.Hour), -time.Hour - leeway, true},
		"earlier":                     {since(-time.Hour), -time.Hour - leeway - time.Second, false},
		"later, but in the future":    {since(-time.Hour), leeway + time.Second, false},
		"both, old but late enough":   {idtoken.Expectation{MaxAge: time.Minute, LoggedInSince: now.Add(-time.Hour)}, -2 * time.Minute, false},
		"both, young but not in time": {idtoken.Expectation{MaxAge: time.Hour, LoggedInSince: now.Add(-time.Minute)}, -2 * time.Minute, false},
		"both, young and in time":     {idtoken.Expectation{MaxAge: time.Hour, LoggedInSince: now.Add(-time.Minute)}, -time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := idToken(server, mint.Claim("auth_time", now.Add(test.login).Unix()), mint.Claim("iat", now.Unix()), mint.Claim("nbf", now.Unix()))
			_, err := validator.Validate(t.Context(), token, test.expected)
			if test.accepted {
				require.NoError(t, err)
				return
			}
			requireReason(t, err, idtoken.ReasonLoginAge)
		})
	}
}

// Restore reads what was validated before, whatever the time, and decides
// nothing.
func TestRestoreIDToken(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	validator := newValidator(t, server)
	token := idToken(server)
	validated, err := validator.Validate(t.Context(), token, idtoken.Expectation{})
	require.NoError(t, err)
	restored, err := validator.Restore(token)
	require.NoError(t, err)
	require.Equal(t, validated, restored)
	_, err = validator.Restore(idToken(server, mint.Expired()))
	require.NoError(t, err)
	for _, broken := range []string{"", "a.b.c", "x", token[:40]} {
		_, err = validator.Restore(broken)
		requireReason(t, err, verification.ReasonMalformed)
	}
}

// Another clock counts for both kinds of tokens, and leaves the validator's own alone.
func TestAt(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	validator := newValidator(t, server)
	earlier := validator.At(func() time.Time { return time.Now().Add(-90 * time.Minute) })
	token, logout := idToken(server, mint.Expired()), server.LogoutToken(mint.Audience(loginClient), mint.Claim("iat", time.Now().Add(-2*time.Hour).Unix()), mint.Claim("exp", time.Now().Add(-time.Hour).Unix()))
	_, err := earlier.Validate(t.Context(), idToken(server, mint.Expired(), mint.Claim("exp", time.Now().Add(-time.Hour).Unix())), idtoken.Expectation{})
	require.NoError(t, err)
	_, err = earlier.ValidateLogout(t.Context(), logout)
	require.NoError(t, err)
	_, err = validator.Validate(t.Context(), token, idtoken.Expectation{})
	requireReason(t, err, verification.ReasonExpired)
	_, err = validator.ValidateLogout(t.Context(), logout)
	requireReason(t, err, verification.ReasonExpired)
	_, err = earlier.Validate(t.Context(), idToken(server), idtoken.Expectation{})
	requireReason(t, err, verification.ReasonNotYet)
}
