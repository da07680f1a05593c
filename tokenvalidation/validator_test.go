package tokenvalidation_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/testkit"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// Each row of HelseID's page on access tokens.
func TestHelseIDRules(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	// The clock stands still, so that a slow machine does not use the leeway up.
	start := time.Now()
	now := func(seconds int64) int64 { return start.Unix() + seconds }
	issued := []mint.TokenOption{
		mint.Claim("iat", now(0)), mint.Claim("nbf", now(0)), mint.Claim("exp", now(3600)),
	}
	for name, test := range map[string]struct {
		options []mint.TokenOption
		reason  tokenvalidation.Reason // "" if it must be let through
	}{
		"1 signature by HelseID's key":    {nil, ""},
		"1 T150 by another key":           {[]mint.TokenOption{mint.SignedWithUnknownKey()}, tokenvalidation.ReasonSignature},
		"1 broken":                        {[]mint.TokenOption{mint.BrokenSignature()}, tokenvalidation.ReasonSignature},
		"1 alg none":                      {[]mint.TokenOption{mint.Header("alg", "none")}, tokenvalidation.ReasonAlgorithm},
		"1 alg of another kind":           {[]mint.TokenOption{mint.Header("alg", "PS256")}, tokenvalidation.ReasonAlgorithm},
		"1 unknown kid":                   {[]mint.TokenOption{mint.Header("kid", "x")}, tokenvalidation.ReasonKey},
		"1 no kid":                        {[]mint.TokenOption{mint.Header("kid", nil)}, tokenvalidation.ReasonKey},
		"2 typ at+jwt":                    {[]mint.TokenOption{mint.Header("typ", "at+jwt")}, ""},
		"2 typ application/at+jwt":        {[]mint.TokenOption{mint.Header("typ", "application/AT+JWT")}, ""},
		"2 typ JWT":                       {[]mint.TokenOption{mint.Header("typ", "JWT")}, tokenvalidation.ReasonType},
		"2 typ that is a number":          {[]mint.TokenOption{mint.Header("typ", 7)}, tokenvalidation.ReasonType},
		"2 typ that is a list":            {[]mint.TokenOption{mint.Header("typ", []string{"at+jwt"})}, tokenvalidation.ReasonType},
		"2 no typ":                        {[]mint.TokenOption{mint.Header("typ", nil)}, tokenvalidation.ReasonType},
		"3 T134 another issuer":           {[]mint.TokenOption{mint.Claim("iss", "https://helseid-sts.nhn.no")}, tokenvalidation.ReasonIssuer},
		"3 issuer with slash":             {[]mint.TokenOption{mint.Claim("iss", server.Issuer()+"/")}, tokenvalidation.ReasonIssuer},
		"3 no issuer":                     {[]mint.TokenOption{mint.Claim("iss", nil)}, tokenvalidation.ReasonIssuer},
		"4 T134 another audience":         {[]mint.TokenOption{mint.Audience("nhn:other")}, tokenvalidation.ReasonAudience},
		"4 no audience":                   {[]mint.TokenOption{mint.Claim("aud", nil)}, tokenvalidation.ReasonAudience},
		"4 audience in another case":      {[]mint.TokenOption{mint.Audience("nhn:Test-API")}, tokenvalidation.ReasonAudience},
		"5 a second audience":             {[]mint.TokenOption{mint.Audience(mint.DefaultAudience, "nhn:other")}, tokenvalidation.ReasonAudience},
		"5 an array of one":               {[]mint.TokenOption{mint.Claim("aud", []string{mint.DefaultAudience})}, ""},
		"6 T150 expired":                  {[]mint.TokenOption{mint.Expired()}, tokenvalidation.ReasonExpired},
		"6 no exp":                        {[]mint.TokenOption{mint.Claim("exp", nil)}, tokenvalidation.ReasonTime},
		"6 exp of a wrong type":           {[]mint.TokenOption{mint.Claim("exp", "soon")}, tokenvalidation.ReasonTime},
		"7 nbf in the future":             {[]mint.TokenOption{mint.Claim("nbf", now(60))}, tokenvalidation.ReasonNotYet},
		"7 iat in the future":             {[]mint.TokenOption{mint.Claim("iat", now(60))}, tokenvalidation.ReasonNotYet},
		"7 no nbf":                        {[]mint.TokenOption{mint.Claim("nbf", nil)}, ""},
		"8 a few seconds of leeway, nbf":  {[]mint.TokenOption{mint.Claim("nbf", now(3))}, ""},
		"8 a few seconds of leeway, exp":  {[]mint.TokenOption{mint.Claim("exp", now(-2))}, ""},
		"8 not more than a few, exp":      {[]mint.TokenOption{mint.Claim("exp", now(-6))}, tokenvalidation.ReasonExpired},
		"a system's token has no subject": {[]mint.TokenOption{mint.Claim("sub", nil)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			validator := newValidator(t, server, func(c *tokenvalidation.Config) { c.Time = func() time.Time { return start } })
			claims, err := validator.Validate(t.Context(), server.Token(slices.Concat(issued, test.options)...))
			if test.reason == "" {
				require.NoError(t, err)
				require.Equal(t, mint.DefaultAudience, claims.Audience[0])
				return
			}
			requireReason(t, err, test.reason)
			require.Nil(t, claims)
		})
	}
}

func TestRefusedWithoutKeys(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	validator := newValidator(t, server, nil)
	for token, reason := range map[string]tokenvalidation.Reason{
		"":                                 tokenvalidation.ReasonMalformed,
		"a.b.c":                            tokenvalidation.ReasonMalformed,
		"e30.e30.AA":                       tokenvalidation.ReasonType,
		strings.Repeat("A", 16<<10+1):      tokenvalidation.ReasonTooLong,
		strings.Repeat(".", 16<<10):        tokenvalidation.ReasonMalformed,
		server.Token(mint.Expired()):       tokenvalidation.ReasonExpired,
		server.Token(mint.Audience("x")):   tokenvalidation.ReasonAudience,
		server.Token(mint.Claim("x", 1)):   "",
		server.Token(mint.Claim("iss", 1)): tokenvalidation.ReasonIssuer,
	} {
		if reason == "" {
			continue
		}
		_, err := validator.Validate(t.Context(), token)
		requireReason(t, err, reason)
	}
	require.Empty(t, server.Requests())
}

func TestLeeway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		for _, leeway := range []time.Duration{0, time.Second, time.Minute} {
			validator := newValidator(t, server, func(c *tokenvalidation.Config) { c.Leeway = leeway })
			seconds := int64(leeway / time.Second)
			if leeway == 0 {
				seconds = 5
			}
			now := time.Now().Unix()
			for claim, at := range map[string][2]int64{"exp": {now - seconds + 1, now - seconds}, "nbf": {now + seconds, now + seconds + 1}, "iat": {now + seconds, now + seconds + 1}} {
				_, err := validator.Validate(t.Context(), server.Token(mint.Claim(claim, at[0])))
				require.NoError(t, err, "%s %v", claim, leeway)
				_, err = validator.Validate(t.Context(), server.Token(mint.Claim(claim, at[1])))
				require.ErrorIs(t, err, tokenvalidation.ErrInvalidToken, "%s %v", claim, leeway)
			}
			validator.Close()
		}
	})
}

func TestOwnClock(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	token := server.Token()
	for offset, valid := range map[time.Duration]bool{-time.Minute: false, 0: true, 59 * time.Minute: true, 2 * time.Hour: false} {
		validator := newValidator(t, server, func(c *tokenvalidation.Config) {
			c.Time = func() time.Time { return time.Now().Add(offset) }
		})
		_, err := validator.Validate(t.Context(), token)
		require.Equal(t, valid, err == nil, "%v: %v", offset, err)
	}
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	validator := newValidator(t, server, func(c *tokenvalidation.Config) {
		c.HTTPClient = &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") })}
	})
	_, err := validator.Validate(t.Context(), server.Token())
	require.ErrorIs(t, err, tokenvalidation.ErrUnavailable)
	require.NotErrorIs(t, err, tokenvalidation.ErrInvalidToken)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = newValidator(t, server, nil).Validate(ctx, server.Token())
	require.ErrorIs(t, err, tokenvalidation.ErrUnavailable)
}

// The client that is given stays as it was.
func TestClientIsCopied(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	client := server.HTTPClient()
	before := *client
	validator := newValidator(t, server, func(c *tokenvalidation.Config) { c.HTTPClient = client })
	_, err := validator.Validate(t.Context(), server.Token())
	require.NoError(t, err)
	require.Nil(t, client.CheckRedirect)
	require.Equal(t, before.Timeout, client.Timeout)
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		validator := newValidator(t, server, nil)
		_, err := validator.Snapshot()
		require.Error(t, err)
		_, err = validator.Validate(t.Context(), server.Token())
		require.NoError(t, err)
		snapshot, err := validator.Snapshot()
		require.NoError(t, err)
		require.NotRegexp(t, testkit.JWS, string(snapshot))
		validator.Close()

		down := func(c *tokenvalidation.Config) {
			c.Snapshot = snapshot
			c.HTTPClient = &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) { return nil, errors.New("down") })}
		}
		wait(time.Hour)
		restarted := newValidator(t, server, down)
		_, err = restarted.Validate(t.Context(), server.Token())
		require.NoError(t, err)
		restarted.Close()
		wait(24 * time.Hour)
		late := newValidator(t, server, down)
		_, err = late.Validate(t.Context(), server.Token())
		require.ErrorIs(t, err, tokenvalidation.ErrUnavailable)
		late.Close()
	})
	for _, snapshot := range []string{"", "x", "{}", `{"version":1,"issuer":"https://other.test"}`} {
		_, err := tokenvalidation.New(tokenvalidation.Config{Issuer: "https://helseid.test", Audience: "a", Snapshot: []byte(snapshot)})
		require.ErrorIs(t, err, tokenvalidation.ErrConfig)
		require.ErrorContains(t, err, "Snapshot")
	}
}

// All mistakes are reported at once, each with its field.
func TestConfig(t *testing.T) {
	t.Parallel()
	_, err := tokenvalidation.New(tokenvalidation.Config{Issuer: "http://issuer.example", Audience: " ", Leeway: 2 * time.Minute, TokenTypes: []string{"at+jwt", " "}})
	require.ErrorIs(t, err, tokenvalidation.ErrConfig)
	for _, field := range []string{"Issuer", "Audience", "Leeway", "TokenTypes"} {
		require.ErrorContains(t, err, field)
	}
	for _, config := range []tokenvalidation.Config{
		{},
		{Issuer: "https://issuer.example"},
		{Audience: "a"},
		{Issuer: "issuer.example", Audience: "a"},
		{Issuer: "https://issuer.example?x=y", Audience: "a"},
		{Issuer: "https://user@issuer.example", Audience: "a"},
		{Issuer: "https://issuer.example", Audience: "a", Leeway: -time.Second},
		{Issuer: "https://issuer.example", Audience: "a", Leeway: time.Minute + 1},
		{Issuer: "https://issuer.example", Audience: "a", Leeway: 500 * time.Millisecond},
		{Issuer: "https://issuer.example", Audience: "a", TokenTypes: []string{""}},
		{Issuer: "https://issuer.example", Audience: "a", TokenTypes: []string{"at+jwt", " "}},
		{Issuer: "https://issuer.example", Audience: "a", EndpointOrigins: []string{"keys.example"}},
		{Issuer: "https://issuer.example", Audience: "a", HTTPClient: unverified()},
	} {
		_, err := tokenvalidation.New(config)
		require.ErrorIs(t, err, tokenvalidation.ErrConfig)
	}
	for _, config := range []tokenvalidation.Config{
		{Issuer: "https://issuer.example", Audience: "a", TokenTypes: []string{"JWT", " AT+JWT "}},
		{Issuer: "https://issuer.example", Audience: "a", EndpointOrigins: []string{"https://keys.example"}},
		{Issuer: "http://127.0.0.1:8080", Audience: "a", HTTPClient: unverified()},
	} {
		_, err := tokenvalidation.New(config)
		require.NoError(t, err)
	}
	server := newServer(t)
	validator := newValidator(t, server, func(c *tokenvalidation.Config) { c.Issuer += "/" })
	_, err = validator.Validate(t.Context(), server.Token())
	require.NoError(t, err, "a trailing slash in the configuration is cut off")
}

// unverified is a client that accepts answers, and so keys, from anybody.
func unverified() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // it is refused
}
