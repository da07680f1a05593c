package tokenvalidation_test

import (
	"crypto/sha256"
	"encoding/base64"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/tokenvalidation"
)

const loginClient = "the-login-client"

// idToken mints an ID token as HelseID writes them: type JWT, the client as
// audience, the nonce of the login.
func idToken(server *helseidtest.Server, opts ...mint.TokenOption) string {
	standard := []mint.TokenOption{
		mint.Clinician(),
		mint.Audience(loginClient),
		mint.Header("typ", "JWT"),
		mint.Claim("nonce", "the-nonce"),
		mint.Claim("client_id", nil),
		mint.Claim("scope", nil),
		mint.Unbound(),
	}
	return server.Token(append(standard, opts...)...)
}

func hashOf(accessToken string) string {
	digest := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(digest[:16])
}

// The rules of OpenID Connect Core section 3.1.3.7 and of HelseID's page on ID
// tokens, one fault at a time.
func TestIDToken(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	validator, err := tokenvalidation.NewIDToken(tokenvalidation.IDTokenConfig{Issuer: server.Issuer(), ClientID: loginClient})
	require.NoError(t, err)
	t.Cleanup(validator.Close)

	const accessToken = "an-access-token"
	claim, header := mint.Claim, mint.Header
	now := time.Now().Unix()
	type options = []mint.TokenOption
	for name, test := range map[string]struct {
		options options
		reason  tokenvalidation.Reason // empty: accepted
	}{
		"T166 genuine":                    {nil, ""},
		"T166 audience as array of one":   {options{claim("aud", []string{loginClient})}, ""},
		"T166 no type":                    {options{header("typ", nil)}, ""},
		"T166 own azp":                    {options{claim("azp", loginClient)}, ""},
		"T166 at_hash of the token":       {options{claim("at_hash", hashOf(accessToken))}, ""},
		"T166 no sub":                     {options{claim("sub", nil)}, tokenvalidation.ReasonSubject},
		"T166 empty sub":                  {options{claim("sub", "")}, tokenvalidation.ReasonSubject},
		"T166 sub of a wrong type":        {options{claim("sub", 7)}, tokenvalidation.ReasonSubject},
		"T166 sub that is the client":     {options{claim("sub", loginClient), claim("client_id", loginClient), claim("helseid://claims/identity/pid", nil), claim("helseid://claims/hpr/hpr_number", nil)}, tokenvalidation.ReasonSubject},
		"T166 no exp":                     {options{claim("exp", nil)}, tokenvalidation.ReasonTime},
		"T166 no iat":                     {options{claim("iat", nil)}, tokenvalidation.ReasonTime},
		"T166 no iss":                     {options{claim("iss", nil)}, tokenvalidation.ReasonIssuer},
		"T166 no aud":                     {options{claim("aud", nil)}, tokenvalidation.ReasonAudience},
		"T166 iat in the future":          {options{claim("iat", now+600)}, tokenvalidation.ReasonNotYet},
		"T166 nbf in the future":          {options{claim("nbf", now+600)}, tokenvalidation.ReasonNotYet},
		"T166 expired":                    {options{mint.Expired()}, tokenvalidation.ReasonExpired},
		"T166 another issuer":             {options{claim("iss", "https://evil.example")}, tokenvalidation.ReasonIssuer},
		"T166 another client":             {options{claim("aud", "another")}, tokenvalidation.ReasonAudience},
		"T166 several clients":            {options{claim("aud", []string{loginClient, "another"})}, tokenvalidation.ReasonAudience},
		"T166 no nonce":                   {options{claim("nonce", nil)}, tokenvalidation.ReasonNonce},
		"T166 another nonce":              {options{claim("nonce", "another")}, tokenvalidation.ReasonNonce},
		"T166 nonce of a wrong type":      {options{claim("nonce", 1)}, tokenvalidation.ReasonNonce},
		"another azp":                     {options{claim("azp", "another")}, tokenvalidation.ReasonAuthorizedParty},
		"azp of a wrong type":             {options{claim("azp", true)}, tokenvalidation.ReasonAuthorizedParty},
		"at_hash of another token":        {options{claim("at_hash", hashOf("another"))}, tokenvalidation.ReasonTokenHash},
		"at_hash of a wrong type":         {options{claim("at_hash", 1)}, tokenvalidation.ReasonTokenHash},
		"login too old":                   {options{claim("auth_time", now-3600)}, tokenvalidation.ReasonLoginAge},
		"login in the future":             {options{claim("auth_time", now+3600)}, tokenvalidation.ReasonLoginAge},
		"no auth_time":                    {options{claim("auth_time", nil)}, tokenvalidation.ReasonLoginAge},
		"an access token":                 {options{header("typ", "at+jwt")}, tokenvalidation.ReasonType},
		"a logout token":                  {options{header("typ", "logout+jwt")}, tokenvalidation.ReasonType},
		"a proof":                         {options{header("typ", "dpop+jwt")}, tokenvalidation.ReasonType},
		"type that is a number":           {options{header("typ", 7)}, tokenvalidation.ReasonType},
		"type that is a list":             {options{header("typ", []string{"JWT"})}, tokenvalidation.ReasonType},
		"type that is an object":          {options{header("typ", map[string]string{})}, tokenvalidation.ReasonType},
		"type that is true":               {options{header("typ", true)}, tokenvalidation.ReasonType},
		"alg none":                        {options{header("alg", "none")}, tokenvalidation.ReasonAlgorithm},
		"another algorithm":               {options{header("alg", "PS256")}, tokenvalidation.ReasonAlgorithm},
		"broken signature":                {options{mint.BrokenSignature()}, tokenvalidation.ReasonSignature},
		"a key that HelseID does not own": {options{mint.SignedWithUnknownKey()}, tokenvalidation.ReasonSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claims, err := validator.Validate(t.Context(), idToken(server, test.options...), tokenvalidation.IDTokenExpectation{
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
			var refused *tokenvalidation.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, test.reason, refused.Reason)
			require.ErrorIs(t, err, tokenvalidation.ErrInvalidToken)
			require.Nil(t, claims)
		})
	}
}

// What was not asked for is not demanded: after a refresh there is no nonce.
func TestIDTokenWithoutExpectations(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	validator, err := tokenvalidation.NewIDToken(tokenvalidation.IDTokenConfig{Issuer: server.Issuer() + "/", ClientID: loginClient})
	require.NoError(t, err)
	t.Cleanup(validator.Close)
	token := idToken(server, mint.Claim("nonce", nil), mint.Claim("auth_time", nil), mint.Claim("at_hash", "x"))
	_, err = validator.Validate(t.Context(), token, tokenvalidation.IDTokenExpectation{})
	require.NoError(t, err)
}

// A HelseID that is down is not a forged token.
func TestIDTokenOutage(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	token := idToken(server)
	server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointJWKS, Status: 503, Times: -1})
	validator, err := tokenvalidation.NewIDToken(tokenvalidation.IDTokenConfig{Issuer: server.Issuer(), ClientID: loginClient})
	require.NoError(t, err)
	t.Cleanup(validator.Close)
	_, err = validator.Validate(t.Context(), token, tokenvalidation.IDTokenExpectation{Nonce: "the-nonce"})
	require.ErrorIs(t, err, tokenvalidation.ErrUnavailable)
	require.NotErrorIs(t, err, tokenvalidation.ErrInvalidToken)
}

func TestIDTokenConfig(t *testing.T) {
	t.Parallel()
	_, err := tokenvalidation.NewIDToken(tokenvalidation.IDTokenConfig{Issuer: "http://example.no"})
	require.ErrorIs(t, err, tokenvalidation.ErrConfig)
	require.ErrorContains(t, err, "Issuer")
	require.ErrorContains(t, err, "ClientID")
}

// T167: a refreshed ID token is compared with the one before, in what both have.
func TestT167RefreshedIDToken(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	validator, err := tokenvalidation.NewIDToken(tokenvalidation.IDTokenConfig{Issuer: server.Issuer(), ClientID: loginClient})
	require.NoError(t, err)
	t.Cleanup(validator.Close)
	claim := mint.Claim
	now := time.Now().Unix()
	first, err := validator.Validate(t.Context(), idToken(server, claim("iat", now-60), claim("auth_time", now-100)), tokenvalidation.IDTokenExpectation{})
	require.NoError(t, err)
	require.Equal(t, "the-nonce", first.Nonce)
	for name, test := range map[string]struct {
		options []mint.TokenOption
		reason  tokenvalidation.Reason
	}{
		"the same":           {nil, ""},
		"without nonce":      {[]mint.TokenOption{claim("nonce", nil)}, ""},
		"without auth_time":  {[]mint.TokenOption{claim("auth_time", nil)}, ""},
		"without level":      {[]mint.TokenOption{claim("helseid://claims/identity/security_level", nil)}, ""},
		"without sid":        {[]mint.TokenOption{claim("sid", nil)}, ""},
		"same iat":           {[]mint.TokenOption{claim("iat", now-60)}, ""},
		"older iat":          {[]mint.TokenOption{claim("iat", now-61)}, tokenvalidation.ReasonTime},
		"another person":     {[]mint.TokenOption{claim("sub", "x")}, tokenvalidation.ReasonOtherLogin},
		"another pid":        {[]mint.TokenOption{claim("helseid://claims/identity/pid", helseidtest.ClinicianAtLevel3)}, tokenvalidation.ReasonOtherLogin},
		"another auth_time":  {[]mint.TokenOption{claim("auth_time", now-99)}, tokenvalidation.ReasonOtherLogin},
		"another nonce":      {[]mint.TokenOption{claim("nonce", "x")}, tokenvalidation.ReasonOtherLogin},
		"another sid":        {[]mint.TokenOption{claim("sid", "x")}, tokenvalidation.ReasonOtherLogin},
		"another level":      {[]mint.TokenOption{claim("helseid://claims/identity/security_level", "3")}, tokenvalidation.ReasonOtherLogin},
		"another client":     {[]mint.TokenOption{claim("aud", "x")}, tokenvalidation.ReasonAudience},
		"another authorized": {[]mint.TokenOption{claim("azp", "x")}, tokenvalidation.ReasonAuthorizedParty},
		"another issuer":     {[]mint.TokenOption{claim("iss", "https://x.example")}, tokenvalidation.ReasonIssuer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := append([]mint.TokenOption{claim("auth_time", now-100)}, test.options...)
			_, err := validator.Validate(t.Context(), idToken(server, options...), tokenvalidation.IDTokenExpectation{Previous: first})
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
	validator, err := tokenvalidation.NewIDToken(tokenvalidation.IDTokenConfig{Issuer: server.Issuer(), ClientID: loginClient})
	require.NoError(t, err)
	t.Cleanup(validator.Close)
	const name = "helseid://claims/identity/security_level"
	for value, levels := range map[any]identity.SecurityLevel{"4": 4, "3": 3, "2": 2, nil: 0, "": 0, 4: 0, "5": 0, "high": 0} {
		for _, least := range []identity.SecurityLevel{0, 2, 3, 4} {
			_, err := validator.Validate(t.Context(), idToken(server, mint.Claim(name, value)), tokenvalidation.IDTokenExpectation{SecurityLevel: least})
			if levels >= least {
				require.NoError(t, err)
				continue
			}
			requireReason(t, err, tokenvalidation.ReasonSecurityLevel)
		}
	}
}

// Restore reads what was validated before, whatever the time, and decides
// nothing.
func TestRestoreIDToken(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	validator, err := tokenvalidation.NewIDToken(tokenvalidation.IDTokenConfig{Issuer: server.Issuer(), ClientID: loginClient})
	require.NoError(t, err)
	t.Cleanup(validator.Close)
	token := idToken(server)
	validated, err := validator.Validate(t.Context(), token, tokenvalidation.IDTokenExpectation{})
	require.NoError(t, err)
	restored, err := validator.Restore(token)
	require.NoError(t, err)
	require.Equal(t, validated, restored)
	_, err = validator.Restore(idToken(server, mint.Expired()))
	require.NoError(t, err)
	for _, broken := range []string{"", "a.b.c", "x", token[:40]} {
		_, err = validator.Restore(broken)
		requireReason(t, err, tokenvalidation.ReasonMalformed)
	}
}
