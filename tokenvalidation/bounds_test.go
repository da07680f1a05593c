package tokenvalidation_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/tokenvalidation"
)

func listOf(n int, element string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(element+",", n), ",") + "]"
}

// What is copied at each call and written to each audit record is bounded, though
// HelseID has signed it.
func TestBoundedClaims(t *testing.T) {
	t.Parallel()
	const attest = "nhn:tillitsrammeverk:parameters"
	t.Run("patients", func(t *testing.T) {
		t.Parallel()
		claims := validated(t, helseidtest.Claim(attest, raw(`{"patients":`+listOf(32, "{}")+`}`)))
		require.Len(t, claims.Attest.Patients, 32)
		claims = validated(t, helseidtest.Claim(attest, raw(`{"patients":`+listOf(33, "{}")+`}`)))
		require.Empty(t, claims.Attest.Patients, "none is better than some")
		require.Equal(t, []string{attest + ".patients"}, claims.Malformed)
	})
	t.Run("scopes", func(t *testing.T) {
		t.Parallel()
		require.Len(t, validated(t, helseidtest.Claim("scope", raw(listOf(256, `"a"`)))).Scopes, 256)
		require.Len(t, validated(t, helseidtest.Claim("scope", strings.Repeat("a ", 256))).Scopes, 256)
		for _, scope := range []any{raw(listOf(257, `"a"`)), strings.Repeat("a ", 257)} {
			claims := validated(t, helseidtest.Claim("scope", scope))
			require.Empty(t, claims.Scopes)
			require.Equal(t, []string{"scope"}, claims.Malformed)
		}
	})
	t.Run("audiences", func(t *testing.T) {
		t.Parallel()
		server := newServer(t)
		validator := newValidator(t, server, func(c *tokenvalidation.Config) { c.AllowOtherAudiences = true })
		audience := func(n int) string {
			list := strings.TrimSuffix(listOf(n-1, `"a"`), "]") + fmt.Sprintf(`,%q]`, helseidtest.DefaultAudience)
			return server.Token(helseidtest.Claim("aud", raw(list)))
		}
		_, err := validator.Validate(t.Context(), audience(256))
		require.NoError(t, err)
		_, err = validator.Validate(t.Context(), audience(257))
		requireReason(t, err, tokenvalidation.ReasonAudience)
	})
	t.Run("malformed claims", func(t *testing.T) {
		t.Parallel()
		claims := validated(t, helseidtest.Claim(attest, raw(`{"patients":`+listOf(30, `{"department":{"id":1,"name":2}}`)+`}`)))
		require.Len(t, claims.Malformed, 17)
		require.Equal(t, "others", claims.Malformed[16])
	})
	t.Run("members", func(t *testing.T) {
		t.Parallel()
		server := newServer(t)
		validator := newValidator(t, server, nil)
		_, err := validator.Validate(t.Context(), server.Token(helseidtest.Claim("x", raw(listOf(400, "0")))))
		require.NoError(t, err)
		_, err = validator.Validate(t.Context(), server.Token(helseidtest.Claim("x", raw(listOf(512, "0")))))
		requireReason(t, err, tokenvalidation.ReasonMalformed)
	})
}
