package tokenvalidation_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
)

// everyPrint is what a careless developer could make of a value.
func everyPrint(t testing.TB, value any) []string {
	t.Helper()
	var printed []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v", "%10s", "%-20v", "%o", "%c", "%U", "%e", "%t", "%p"} {
		printed = append(printed, fmt.Sprintf(verb, value))
	}
	printed = append(printed, fmt.Sprint(value), fmt.Sprintln(value), fmt.Errorf("%v", value).Error())
	data, err := json.Marshal(value)
	require.NoError(t, err)
	printed = append(printed, string(data))
	for _, handler := range []func(*bytes.Buffer) slog.Handler{
		func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var buffer bytes.Buffer
		logger := slog.New(handler(&buffer))
		logger.Info("x", "value", value)
		logger.Info("x", slog.Any("value", value), slog.Group("g", slog.Any("value", value)))
		printed = append(printed, buffer.String())
	}
	return printed
}

// hidden are the digits in every form that formatting could give them.
func requireHidden(t testing.TB, printed []string) {
	t.Helper()
	const digits = mint.DefaultPersonalIdentityNumber
	for _, text := range printed {
		for _, form := range []string{digits, fmt.Sprintf("%x", digits), fmt.Sprintf("%X", digits), digits[:8], digits[3:]} {
			require.NotContains(t, text, form)
		}
	}
}

// A national identity number is never printed, whatever it is a part of: the
// claims, the user, somebody's own type, a pointer, a map or an error.
func TestPersonalIdentityNumberIsNeverPrinted(t *testing.T) {
	t.Parallel()
	claims := validated(t, mint.Clinician(), mint.Claim("nhn:tillitsrammeverk:parameters", raw(
		`{"practitioner":{"identifier":{"id":"06828399789"}},"patients":[{"identifier":{"id":"06828399789"}}]}`)))
	number := claims.User.PersonalIdentityNumber
	require.Equal(t, mint.DefaultPersonalIdentityNumber, number.Reveal())
	type own struct {
		Exported   identity.PersonalIdentityNumber
		unexported identity.PersonalIdentityNumber
		user       identity.User
	}
	for name, value := range map[string]any{
		"the number":         number,
		"a pointer to it":    &number,
		"a slice":            []identity.PersonalIdentityNumber{number},
		"a map":              map[string]any{"pid": number},
		"an array":           [1]identity.PersonalIdentityNumber{number},
		"the user":           claims.User,
		"the user's value":   *claims.User,
		"the claims":         claims,
		"the claims's value": *claims,
		"the attest":         claims.Attest,
		"the attest's value": *claims.Attest,
		"a type of one's own": own{
			Exported: number, unexported: number, user: *claims.User,
		},
		"a pointer to a type of one's own": &own{Exported: number, unexported: number, user: *claims.User},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireHidden(t, everyPrint(t, value))
		})
	}
	for _, verb := range []string{"%v", "%s", "%q", "%x", "%d", "%#v", "%+v"} {
		require.Equal(t, "***********", fmt.Sprintf(verb, number))
	}
	data, err := json.Marshal(map[string]any{"pid": number})
	require.NoError(t, err)
	require.JSONEq(t, `{"pid":"***********"}`, string(data))
	data, err = json.Marshal(map[identity.PersonalIdentityNumber]int{number: 1})
	require.NoError(t, err)
	require.JSONEq(t, `{"***********":1}`, string(data))
	type person struct {
		PID identity.PersonalIdentityNumber
	}
	data, err = xml.Marshal(person{number})
	require.NoError(t, err)
	requireHidden(t, []string{string(data)})
	require.Equal(t, "***********", number.String())
	require.Equal(t, "***********", number.GoString())
	require.Equal(t, "***********", number.LogValue().String())
}

func TestPersonalIdentityNumber(t *testing.T) {
	t.Parallel()
	var zero identity.PersonalIdentityNumber
	require.True(t, zero.IsZero())
	require.Empty(t, zero.String())
	require.Empty(t, fmt.Sprint(zero))
	require.Empty(t, zero.Reveal())
	one := validated(t, mint.Clinician()).User.PersonalIdentityNumber
	same := validated(t, mint.Clinician()).User.PersonalIdentityNumber
	other := validated(t, mint.Clinician(), mint.Claim(claimPrefix+"identity/pid", "13116900216")).User.PersonalIdentityNumber
	require.False(t, one.IsZero())
	require.True(t, one.Equal(same))
	require.False(t, one.Equal(other))
	require.False(t, one.Equal(zero))
}

func TestLevels(t *testing.T) {
	t.Parallel()
	require.Less(t, identity.SecurityLevel(0), identity.SecurityLevel2)
	require.Less(t, identity.SecurityLevel2, identity.SecurityLevel3)
	require.Less(t, identity.SecurityLevel3, identity.SecurityLevel4)
	require.Less(t, identity.AssuranceLevel(0), identity.AssuranceLow)
	require.Less(t, identity.AssuranceLow, identity.AssuranceSubstantial)
	require.Less(t, identity.AssuranceSubstantial, identity.AssuranceHigh)
	for text, want := range map[string]identity.AssuranceLevel{"low": identity.AssuranceLow, "substantial": identity.AssuranceSubstantial, "high": identity.AssuranceHigh} {
		require.Equal(t, want, validated(t, mint.Clinician(), mint.AssuranceLevel(text)).User.AssuranceLevel)
		require.Equal(t, text, want.String())
		data, err := json.Marshal(want)
		require.NoError(t, err)
		require.Equal(t, `"`+text+`"`, string(data))
	}
	require.Empty(t, identity.AssuranceLevel(9).String())
	for level := range 3 {
		require.Equal(t, identity.SecurityLevel(level+2), validated(t, mint.Clinician(), mint.SecurityLevel(level+2)).User.SecurityLevel)
	}
}
