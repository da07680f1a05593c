package tokenvalidation_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// A token that has been let through is looked at again each time, as far as
// anything can have changed.
func TestRememberedTokenExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		validator := newValidator(t, server, nil)
		defer validator.Close()
		token := server.Token()
		for range 3 {
			_, err := validator.Validate(t.Context(), token)
			require.NoError(t, err)
		}
		wait(time.Hour + 4*time.Second) // of five seconds of leeway
		_, err := validator.Validate(t.Context(), token)
		require.NoError(t, err)
		wait(time.Second)
		_, err = validator.Validate(t.Context(), token)
		requireReason(t, err, tokenvalidation.ReasonExpired)
	})
}

func TestRememberedTokenIsNotYetValidWhenTheClockIsSetBack(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	offset := time.Duration(0)
	validator := newValidator(t, server, func(c *tokenvalidation.Config) {
		c.Time = func() time.Time { return time.Now().Add(offset) }
	})
	token := server.Token()
	_, err := validator.Validate(t.Context(), token)
	require.NoError(t, err)
	offset = -time.Minute
	_, err = validator.Validate(t.Context(), token)
	requireReason(t, err, tokenvalidation.ReasonNotYet)
}

// A retired key is noticed although nobody shows a token that is not known.
func TestRememberedTokenDiesWithItsKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		validator := newValidator(t, server, nil)
		defer validator.Close()
		token := server.Token()
		_, err := validator.Validate(t.Context(), token)
		require.NoError(t, err)
		require.NoError(t, server.RotateKey())
		server.RetireKeys()
		wait(9 * time.Minute)
		_, err = validator.Validate(t.Context(), token)
		require.NoError(t, err, "the keys are fresh")
		wait(time.Minute)
		_, err = validator.Validate(t.Context(), token)
		require.NoError(t, err, "the keys are being renewed")
		synctest.Wait()
		_, err = validator.Validate(t.Context(), token)
		requireReason(t, err, tokenvalidation.ReasonKey)
	})
}

// A token with a new key makes the keys known at once, and the old one's die.
func TestRememberedTokenDiesWhenAnotherBringsNewKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		validator := newValidator(t, server, nil)
		defer validator.Close()
		old := server.Token()
		_, err := validator.Validate(t.Context(), old)
		require.NoError(t, err)
		require.NoError(t, server.RotateKey())
		server.RetireKeys()
		_, err = validator.Validate(t.Context(), server.Token())
		require.NoError(t, err)
		_, err = validator.Validate(t.Context(), old)
		requireReason(t, err, tokenvalidation.ReasonKey)
	})
}

// A key that comes beside the old one changes nothing for its tokens.
func TestRememberedTokenSurvivesAnotherKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		validator := newValidator(t, server, nil)
		defer validator.Close()
		old := server.Token()
		_, err := validator.Validate(t.Context(), old)
		require.NoError(t, err)
		require.NoError(t, server.RotateKey())
		_, err = validator.Validate(t.Context(), server.Token())
		require.NoError(t, err)
		_, err = validator.Validate(t.Context(), old)
		require.NoError(t, err)
	})
}

// What has been validated before helps no further than the keys do.
func TestRememberedTokenIsUselessAfterTheStaleLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.TokenLifetime(72*time.Hour))
		down := false
		validator := newValidator(t, server, func(c *tokenvalidation.Config) {
			next := server.HTTPClient().Transport
			c.HTTPClient = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
				if down {
					return nil, errors.New("no route to host")
				}
				return next.RoundTrip(r)
			})}
		})
		defer validator.Close()
		token := server.Token()
		_, err := validator.Validate(t.Context(), token)
		require.NoError(t, err)
		down = true
		wait(24*time.Hour - time.Second)
		_, err = validator.Validate(t.Context(), token)
		require.NoError(t, err)
		wait(time.Second)
		_, err = validator.Validate(t.Context(), token)
		require.ErrorIs(t, err, tokenvalidation.ErrUnavailable)
		require.NotErrorIs(t, err, tokenvalidation.ErrInvalidToken)
	})
}

func TestRefusalIsNeverRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		validator := newValidator(t, server, nil)
		defer validator.Close()
		early := server.Token(mint.Claim("nbf", time.Now().Add(time.Minute).Unix()))
		_, err := validator.Validate(t.Context(), early)
		requireReason(t, err, tokenvalidation.ReasonNotYet)
		wait(time.Minute)
		_, err = validator.Validate(t.Context(), early)
		require.NoError(t, err)

		server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointJWKS, Status: http.StatusBadGateway})
		require.NoError(t, server.RotateKey())
		unknown := server.Token()
		_, err = validator.Validate(t.Context(), unknown)
		require.Error(t, err)
		wait(time.Minute)
		_, err = validator.Validate(t.Context(), unknown)
		require.NoError(t, err)
	})
}

// One character more or less makes another token.
func TestOnlyTheSameTokenIsRemembered(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	validator := newValidator(t, server, nil)
	token := server.Token()
	_, err := validator.Validate(t.Context(), token)
	require.NoError(t, err)
	for _, other := range []string{token + "A", token[:len(token)-1], token + " ", token + ".", "." + token} {
		_, err := validator.Validate(t.Context(), other)
		require.ErrorIs(t, err, tokenvalidation.ErrInvalidToken)
	}
}

// Two callers with one token get claims that are equal and have nothing in
// common that could be changed.
func TestRememberedClaimsAreCopies(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	validator := newValidator(t, server, nil)
	token := server.Token(mint.Clinician(),
		mint.Claim("nhn:tillitsrammeverk:parameters", json.RawMessage(attest)),
		mint.Claim("act", json.RawMessage(`{"client_id":"a","act":{"client_id":"b"}}`)),
		mint.Claim("idp", 1), // malformed
	)
	var all []*tokenvalidation.Claims
	for range 3 {
		claims, err := validator.Validate(t.Context(), token)
		require.NoError(t, err)
		all = append(all, claims)
	}
	places := make(map[uintptr]string)
	for i, claims := range all {
		before := len(places)
		notePlaces(t, places, strconv.Itoa(i), reflect.ValueOf(claims))
		require.GreaterOrEqual(t, len(places)-before, 9, "pointers and slices in the claims")
		require.Equal(t, all[0].User, claims.User)
		require.Equal(t, all[0].Attest, claims.Attest)
		require.Equal(t, all[0].Actor, claims.Actor)
		require.Equal(t, all[0].Audience, claims.Audience)
		require.Equal(t, all[0].Scopes, claims.Scopes)
		require.Equal(t, all[0].Malformed, claims.Malformed)
		require.Equal(t, "06828399789", claims.User.PersonalIdentityNumber.Reveal())
		raw, ok := claims.Raw("idp")
		require.True(t, ok)
		require.Equal(t, "1", string(raw))
	}
}

// notePlaces writes down where pointers and slices point to, by exported fields,
// and fails for a place that is known already.
func notePlaces(t *testing.T, places map[uintptr]string, path string, value reflect.Value) {
	t.Helper()
	note := func() {
		before, known := places[value.Pointer()]
		require.False(t, known, "%s and %s are in the same place", before, path)
		places[value.Pointer()] = path
	}
	switch value.Kind() {
	case reflect.Pointer:
		if !value.IsNil() {
			note()
			notePlaces(t, places, path, value.Elem())
		}
	case reflect.Slice:
		if value.Len() > 0 {
			note()
			for i := range value.Len() {
				notePlaces(t, places, path+"["+strconv.Itoa(i)+"]", value.Index(i))
			}
		}
	case reflect.Map:
		if !value.IsNil() {
			note()
		}
	case reflect.Struct:
		if value.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range value.NumField() {
			if value.Type().Field(i).IsExported() {
				notePlaces(t, places, path+"."+value.Type().Field(i).Name, value.Field(i))
			}
		}
	}
}

// What a careless handler does to its claims stays with it, also for the
// request that made the token known.
func TestCarelessHandlerHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	validator := newValidator(t, server, nil)
	token := server.Token(mint.Clinician(), mint.Claim("idp", 1))
	for range 3 {
		claims, err := validator.Validate(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, identity.HPRNumber(mint.DefaultHPRNumber), claims.User.HPRNumber)
		require.Equal(t, identity.SecurityLevel4, claims.User.SecurityLevel)
		require.Equal(t, []string{mint.DefaultAudience + "/read"}, claims.Scopes)
		require.Equal(t, []string{mint.DefaultAudience}, claims.Audience)
		require.Equal(t, []string{"idp"}, claims.Malformed)
		claims.User.HPRNumber, claims.User.SecurityLevel = "1", 2
		claims.Scopes[0], claims.Audience[0], claims.Malformed[0] = "x", "x", "x"
	}
}

func TestTokenMemoryConfig(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	for size, valid := range map[int]bool{-2: false, -1: true, 0: true, 1: false, 1<<20 - 1: false, 1 << 20: true, 1 << 30: true} {
		_, err := tokenvalidation.New(tokenvalidation.Config{Issuer: server.Issuer(), Audience: "a", TokenMemory: size})
		if valid {
			require.NoError(t, err, size)
			continue
		}
		require.ErrorIs(t, err, tokenvalidation.ErrConfig)
		require.ErrorContains(t, err, "TokenMemory")
	}
}

// By default a token is verified once, and a refusal is not kept.
func TestTokensAreRemembered(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	token := server.Token()
	for size, want := range map[int]struct{ limit, tokens int }{0: {64 << 20, 1}, 1 << 20: {1 << 20, 1}, -1: {}} {
		validator := newValidator(t, server, func(c *tokenvalidation.Config) { c.TokenMemory = size })
		for range 2 {
			_, err := validator.Validate(t.Context(), token)
			require.NoError(t, err)
			_, err = validator.Validate(t.Context(), server.Token(mint.Expired()))
			require.Error(t, err)
		}
		tokens, limit := validator.Remembered()
		require.Equal(t, want.tokens, tokens, size)
		require.Equal(t, want.limit, limit, size)
	}
}

// With and without memory the answers are the same.
func TestTokenMemoryOff(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	with, without := newValidator(t, server, nil), newValidator(t, server, func(c *tokenvalidation.Config) { c.TokenMemory = -1 })
	for _, token := range []string{server.Token(mint.Clinician()), server.Token(mint.Expired()), server.Token(mint.BrokenSignature()), "", "x"} {
		for range 2 {
			first, firstErr := with.Validate(t.Context(), token)
			second, secondErr := without.Validate(t.Context(), token)
			require.Equal(t, firstErr, secondErr)
			if firstErr == nil {
				require.Equal(t, first.User, second.User)
				require.Equal(t, first.ID, second.ID)
			}
		}
	}
}

// Keys change while many ask.
func TestMemoryUnderLoad(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	validator := newValidator(t, server, func(c *tokenvalidation.Config) { c.TokenMemory = 1 << 20 })
	tokens := make([]string, 50)
	for i := range tokens {
		tokens[i] = server.Token(mint.ClientID(strconv.Itoa(i)))
	}
	var callers sync.WaitGroup
	for caller := range 8 {
		callers.Go(func() {
			for i := range 400 {
				n := (i*7 + caller) % len(tokens)
				claims, err := validator.Validate(t.Context(), tokens[n])
				if err != nil || claims.ClientID != strconv.Itoa(n) {
					t.Errorf("token %d: %v", n, err)
					return
				}
				claims.Scopes[0] = "changed by a careless handler"
			}
		})
	}
	require.NoError(t, server.RotateKey())
	_, err := validator.Validate(t.Context(), server.Token())
	require.NoError(t, err)
	callers.Wait()
}
