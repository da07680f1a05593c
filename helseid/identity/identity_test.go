package identity_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/identity"
)

func TestOrganizationNumber(t *testing.T) {
	t.Parallel()
	for number, want := range map[identity.OrganizationNumber][2]bool{
		"994598759": {true, true}, "974760673": {true, true}, "923609016": {true, true}, // Norsk helsenett, Brønnøysund, Equinor
		"994598758": {true, false}, "123456789": {true, false}, "000000000": {true, true},
		"100000020": {true, false}, // its check digit would be ten
		"":          {false, false}, "99459875": {false, false}, "9945987590": {false, false}, "99459875x": {false, false}, "٩٩٤": {false, false}, "994 598 75": {false, false},
	} {
		require.Equal(t, want, [2]bool{number.Valid(), number.ValidCheckDigit()}, string(number))
	}
}

func TestHPRNumber(t *testing.T) {
	t.Parallel()
	for number, want := range map[identity.HPRNumber]bool{
		"1": true, "565505933": true, "999999999": true, "": false, "0": false, "0123": false, "1234567890": false, "x": false, "12 3": false, "-1": false,
	} {
		require.Equal(t, want, number.Valid(), string(number))
	}
}

func TestPersonalIdentityNumber(t *testing.T) {
	t.Parallel()
	number := identity.NewPersonalIdentityNumber("06828399789")
	require.True(t, number.Valid())
	require.Equal(t, "06828399789", number.Reveal())
	require.Equal(t, "*********** ***********", fmt.Sprintf("%s %#v", number, number))
	for _, text := range []string{"", "0682839978", "068283997890", "0682839978x", "٠٦٨٢٨٣٩٩٧٨٩"} {
		require.False(t, identity.NewPersonalIdentityNumber(text).Valid(), text)
	}
	require.True(t, identity.NewPersonalIdentityNumber("").IsZero())
}

func TestAssuranceLevel(t *testing.T) {
	t.Parallel()
	for level, want := range map[identity.AssuranceLevel]string{
		identity.AssuranceLow: "low", identity.AssuranceSubstantial: "substantial", identity.AssuranceHigh: "high", 0: "", -1: "", 4: "",
	} {
		data, err := json.Marshal(level)
		require.NoError(t, err)
		require.Equal(t, `"`+want+`"`, string(data))
	}
}
