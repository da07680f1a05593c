package clientassertion_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/internal/testkit"
)

const organisation = `{"type":"helseid_authorization","practitioner_role":{"organization":{"identifier":{"system":"urn:oid:2.16.578.1.12.4.1.4.101","type":"ENH","value":"999977775"}}}}`

func TestAssertionClaims(t *testing.T) {
	t.Parallel()
	key := newKey(t, "ES256")
	assert := func(t *testing.T, details ...clientassertion.Detail) decoded {
		t.Helper()
		assertion, err := newSigner(t, key).Sign(context.Background(), details...)
		require.NoError(t, err)
		return decode(t, assertion, key)
	}
	t.Run("T001 a fixed clock gives these times", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			sleepUntil(t, "2024-12-31T13:37:00+01:00")
			claims := assert(t, detail(t, organisation)).claims
			require.Len(t, claims, 8)
			require.EqualValues(t, 1735648620, claims["iat"])
			require.EqualValues(t, 1735648620, claims["nbf"])
			require.EqualValues(t, 1735648630, claims["exp"])
			require.Len(t, claims["jti"], 32)
		})
	})
	t.Run("the times are whole seconds", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			testkit.Sleep(999 * time.Millisecond)
			text := assert(t).claimsJSON
			// Numbers, not strings: RFC 7519 section 2.
			require.Contains(t, text, `"iat":946684800,"nbf":946684800,"exp":946684810`)
		})
	})
	t.Run("T002 no detail means seven claims", func(t *testing.T) {
		t.Parallel()
		claims := assert(t).claims
		require.Len(t, claims, 7)
		require.NotContains(t, claims, "assertion_details")
		require.NotContains(t, claims, "authorization_details")
	})
	t.Run("T003 a detail is for the one assertion it is given to", func(t *testing.T) {
		t.Parallel()
		signer := newSigner(t, key)
		_, err := signer.Sign(context.Background(), detail(t, organisation))
		require.NoError(t, err)
		next, err := signer.Sign(context.Background())
		require.NoError(t, err)
		require.NotContains(t, decode(t, next, key).claims, "assertion_details")
	})
	t.Run("T004 a detail that cannot be right stops before the key is used", func(t *testing.T) {
		t.Parallel()
		signer, err := clientassertion.New(clientassertion.Config{ClientID: clientID, Audience: issuer, Key: remoteKey(t, &remote{err: fmt.Errorf("must not be asked")})})
		require.NoError(t, err)
		for _, details := range [][]clientassertion.Detail{{{}}, {detail(t, organisation), {}}} {
			_, err = signer.Sign(context.Background(), details...)
			require.ErrorContains(t, err, "ParseDetail")
		}
	})
	journal := `{"type":"nhn:sfm:journal-id","value":{"journal_id":"x"}}`
	attest := `{"type":"nhn:tillitsrammeverk:parameters"}`
	for _, test := range []struct {
		name  string
		texts []string
		want  string
	}{
		// One detail is an object, several are an array in the order given:
		// what Norsk helsenett's own libraries send.
		{"organisation", []string{organisation}, organisation},
		{"journal", []string{journal}, journal},
		{"attest", []string{attest}, attest},
		{"all three", []string{organisation, journal, attest}, "[" + organisation + "," + journal + "," + attest + "]"},
		{"two of a type", []string{journal, journal}, "[" + journal + "," + journal + "]"},
	} {
		t.Run("T005 T029 "+test.name, func(t *testing.T) {
			t.Parallel()
			var details []clientassertion.Detail
			for _, text := range test.texts {
				details = append(details, detail(t, text))
			}
			require.Contains(t, assert(t, details...).claimsJSON, `,"assertion_details":`+test.want+`}`)
		})
	}
	t.Run("T017 one audience, a string and the issuer", func(t *testing.T) {
		t.Parallel()
		// FAPI 2.0 security profile section 5.3.2.1 and HelseID: the issuer,
		// neither an array nor the token endpoint.
		got := assert(t)
		require.Equal(t, issuer, got.claims["aud"])
		require.Contains(t, got.claimsJSON, `"aud":"`+issuer+`"`)
		require.Equal(t, clientID, got.claims["iss"])
		require.Equal(t, clientID, got.claims["sub"])
		require.Equal(t, got.claims["iat"], got.claims["nbf"])
		require.InDelta(t, float64(time.Now().Unix()), got.claims["iat"], 2)
		require.LessOrEqual(t, got.claims["exp"].(float64)-got.claims["iat"].(float64), clientassertion.MaxLifetime.Seconds())
	})
	t.Run("a jti is never used again", func(t *testing.T) {
		t.Parallel()
		signer := newSigner(t, key)
		var group sync.WaitGroup
		assertions := make([]string, 100)
		for i := range assertions {
			group.Go(func() { assertions[i], _ = signer.Sign(context.Background()) })
		}
		group.Wait()
		seen := map[any]bool{}
		for _, assertion := range assertions {
			seen[decode(t, assertion, key).claims["jti"]] = true
		}
		require.Len(t, seen, 100)
	})
	t.Run("odd values stay strings", func(t *testing.T) {
		t.Parallel()
		odd := `cli"ent\æ` + "\n"
		signer, err := clientassertion.New(clientassertion.Config{ClientID: odd, Audience: issuer + `","admin":"x`, Key: key})
		require.NoError(t, err)
		assertion, err := signer.Sign(context.Background())
		require.NoError(t, err)
		claims := decode(t, assertion, key).claims
		require.Len(t, claims, 7)
		require.Equal(t, odd, claims["iss"])
	})
}

func TestAssertionLifetime(t *testing.T) {
	t.Parallel()
	key := newKey(t, "ES256")
	for lifetime, want := range map[time.Duration]float64{
		0: 10, time.Second: 1, 10 * time.Second: 10, 30 * time.Second: 30, 60 * time.Second: 60,
	} {
		t.Run("T013 T014 "+lifetime.String(), func(t *testing.T) {
			t.Parallel()
			signer, err := clientassertion.New(clientassertion.Config{ClientID: clientID, Audience: issuer, Key: key, Lifetime: lifetime})
			require.NoError(t, err)
			assertion, err := signer.Sign(context.Background())
			require.NoError(t, err)
			claims := decode(t, assertion, key).claims
			require.InDelta(t, want, claims["exp"].(float64)-claims["iat"].(float64), 0)
		})
	}
	// HelseID takes at most 60 seconds, so that more is a mistake here.
	for _, lifetime := range []time.Duration{-10 * time.Second, -1, 1, time.Millisecond, 1500 * time.Millisecond, 61 * time.Second, 120 * time.Second, 200 * time.Second, time.Hour} {
		t.Run("T014 refused: "+lifetime.String(), func(t *testing.T) {
			t.Parallel()
			_, err := clientassertion.New(clientassertion.Config{ClientID: clientID, Audience: issuer, Key: key, Lifetime: lifetime})
			require.ErrorContains(t, err, "Lifetime")
		})
	}
}

func TestNewReportsEverything(t *testing.T) {
	t.Parallel()
	t.Run("T009 T015 each mistake in one go", func(t *testing.T) {
		t.Parallel()
		_, err := clientassertion.New(clientassertion.Config{Lifetime: time.Hour})
		require.ErrorIs(t, err, clientassertion.ErrConfig)
		require.NotErrorIs(t, err, clientassertion.ErrKey)
		for _, field := range []string{"ClientID", "Audience", "Key", "Lifetime"} {
			require.ErrorContains(t, err, field)
		}
	})
	key := newKey(t, "ES256")
	for name, config := range map[string]clientassertion.Config{
		"ClientID": {Audience: issuer, Key: key},
		"Audience": {ClientID: clientID, Key: key},
		"Key":      {ClientID: clientID, Audience: issuer},
	} {
		t.Run("T009 T015 only "+name, func(t *testing.T) {
			t.Parallel()
			_, err := clientassertion.New(config)
			require.ErrorContains(t, err, name)
			for _, other := range []string{"ClientID", "Audience", "Key", "Lifetime"} {
				if other != name {
					require.NotContains(t, err.Error(), other+" is")
				}
			}
		})
	}
	for name, config := range map[string]clientassertion.Config{
		"blank ClientID": {ClientID: " \t", Audience: issuer, Key: key},
		"blank Audience": {ClientID: clientID, Audience: "\n", Key: key},
		"empty Key":      {ClientID: clientID, Audience: issuer, Key: &clientassertion.Key{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := clientassertion.New(config)
			require.Error(t, err)
		})
	}
}

func TestAssertionAlgorithms(t *testing.T) {
	t.Parallel()
	for _, algorithm := range testkit.Algorithms {
		t.Run("T016 "+algorithm, func(t *testing.T) {
			t.Parallel()
			key := newKey(t, algorithm)
			assertion, err := newSigner(t, key).Sign(context.Background())
			require.NoError(t, err)
			require.Equal(t, map[string]any{"typ": "client-authentication+jwt", "alg": algorithm, "kid": "kid-1"},
				decode(t, assertion, key).header)
		})
	}
}

func TestAssertionHeaderFromJWK(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		algorithm string
		changes   map[string]any
		alg, kid  string
	}{
		"T008 alg and kid of the JWK":         {"PS384", map[string]any{"kid": "from-jwk"}, "PS384", "from-jwk"},
		"T010 RSA without alg means PS256":    {"RS512", map[string]any{"alg": nil, "kid": "from-jwk"}, "PS256", "from-jwk"},
		"T010 P-384 without alg means ES384":  {"ES384", map[string]any{"alg": nil, "kid": "from-jwk"}, "ES384", "from-jwk"},
		"T011 PS512":                          {"PS512", map[string]any{"kid": "from-jwk"}, "PS512", "from-jwk"},
		"T012 RS512":                          {"RS512", map[string]any{"kid": "from-jwk"}, "RS512", "from-jwk"},
		"T093 without kid it is a thumbprint": {"ES256", map[string]any{"kid": nil}, "ES256", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := clientassertion.ParseKey(jwkFor(t, test.algorithm, test.changes), clientassertion.KeyOptions{})
			require.NoError(t, err)
			assertion, err := newSigner(t, key).Sign(context.Background())
			require.NoError(t, err)
			got := decode(t, assertion, key)
			if test.kid == "" {
				test.kid = key.Thumbprint()
			}
			require.Equal(t, map[string]any{"typ": "client-authentication+jwt", "alg": test.alg, "kid": test.kid}, got.header)
			require.Len(t, got.claims, 7)
		})
	}
}

func TestType(t *testing.T) {
	t.Parallel()
	// RFC 7523 section 2.2.
	require.Equal(t, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", clientassertion.Type)
	require.Equal(t, time.Minute, clientassertion.MaxLifetime)
}

func TestAssertionGolden(t *testing.T) {
	t.Parallel()
	// The bytes on the wire, with the jti (random) replaced.
	synctest.Test(t, func(t *testing.T) {
		sleepUntil(t, "2026-01-02T03:04:05Z")
		key := newKey(t, "ES256")
		signer := newSigner(t, key)
		for file, details := range map[string][]clientassertion.Detail{
			"plain.golden":   nil,
			"details.golden": {detail(t, organisation), detail(t, `{"type":"nhn:sfm:journal-id","value":{"journal_id":"8a4b"}}`)},
		} {
			assertion, err := signer.Sign(t.Context(), details...)
			require.NoError(t, err)
			got := decode(t, assertion, key)
			text := got.headerJSON + "\n" + strings.ReplaceAll(got.claimsJSON, got.claims["jti"].(string), "JTI") + "\n"
			want, err := os.ReadFile("testdata/" + file)
			require.NoError(t, err)
			require.Equal(t, string(want), text, file)
			require.True(t, json.Valid([]byte(got.claimsJSON)))
		}
	})
}

// The request object of a login: the details under their older name, which is
// right there, and the client id in place of the subject.
func TestRequestObjectGolden(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sleepUntil(t, "2026-01-02T03:04:05Z")
		key := newKey(t, "ES256")
		signer := newSigner(t, key)
		object, err := signer.SignRequestObject(t.Context(), detail(t, organisation))
		require.NoError(t, err)
		got := decode(t, object, key)
		text := got.headerJSON + "\n" + strings.ReplaceAll(got.claimsJSON, got.claims["jti"].(string), "JTI") + "\n"
		want, err := os.ReadFile("testdata/request-object.golden")
		require.NoError(t, err)
		require.Equal(t, string(want), text)

		again, err := signer.SignRequestObject(t.Context(), detail(t, organisation))
		require.NoError(t, err)
		require.NotEqual(t, got.claims["jti"], decode(t, again, key).claims["jti"])
		_, err = signer.SignRequestObject(t.Context())
		require.Error(t, err, "without details there is nothing to sign")
		_, err = signer.SignRequestObject(t.Context(), clientassertion.Detail{})
		require.Error(t, err)
	})
}
