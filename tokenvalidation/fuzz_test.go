package tokenvalidation_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// FuzzValidate: a token that nobody has signed is refused, with a reason and
// without a panic, and causes no more requests than the allowance.
func FuzzValidate(f *testing.F) {
	server := newServer(f)
	validator := newValidator(f, server, nil)
	genuine := server.Token(mint.Clinician())
	parts := strings.Split(genuine, ".")
	for _, seed := range []string{
		"", "..", "a.b.c", "e30.e30.AA", genuine[:len(genuine)-2] + "AA", server.Token(mint.Header("alg", "none")), server.Token(mint.Header("kid", "../../x")),
		server.Token(mint.Claim("exp", 1e300)), server.Token(mint.Claim("cnf", []int{1})), parts[0] + ".." + parts[2], parts[0] + "." + parts[1] + ".",
		server.Token(mint.SignedWithUnknownKey()),
	} {
		f.Add(seed)
	}
	if _, err := validator.Validate(context.Background(), genuine); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, token string) {
		claims, err := validator.Validate(t.Context(), token)
		if err == nil {
			// The seeds may be genuine but for a claim that does not matter.
			require.Equal(t, server.Issuer(), claims.Issuer)
			return
		}
		if errors.Is(err, tokenvalidation.ErrUnavailable) {
			// The fuzzer's processes have a HelseID each: a seed of another one is signed
			// with a key that this one was not asked about.
			require.ErrorContains(t, err, "the key is not among those that are known")
			return
		}
		var refused *tokenvalidation.Error
		require.ErrorAs(t, err, &refused, err)
		require.NotEmpty(t, refused.Error())
	})
}

// FuzzClaims: whatever a genuine token's claims are, reading them neither fails
// nor makes more of them than they say.
func FuzzClaims(f *testing.F) {
	server := newServer(f)
	validator := newValidator(f, server, nil)
	for _, seed := range []string{`null`, `1`, `"x"`, `[]`, `["a",1]`, `{}`, attest, `{"act":{"act":{}}}`, `{"jkt":1}`, `1e300`, `"06828399789"`, `true`} {
		for _, name := range []string{"scope", "act", "cnf", "nhn:tillitsrammeverk:parameters", claimPrefix + "identity/pid", "auth_time"} {
			f.Add(name, seed)
		}
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		token, ok := tryMint(func() string { return server.Token(mint.Claim(name, raw(value))) })
		if !ok {
			return
		}
		claims, err := validator.Validate(t.Context(), token)
		if err != nil {
			require.ErrorIs(t, err, tokenvalidation.ErrInvalidToken)
			return
		}
		if claims.User != nil {
			require.True(t, claims.User.HPRNumber == "" || claims.User.HPRNumber.Valid())
			require.LessOrEqual(t, claims.User.SecurityLevel, identity.SecurityLevel4)
		}
		require.True(t, claims.Organization.Parent == "" || claims.Organization.Parent.Valid())
	})
}

// tryMint mints a token with a claim that need not be JSON.
func tryMint(mint func() string) (token string, ok bool) {
	defer func() { ok = recover() == nil }()
	return mint(), true
}
