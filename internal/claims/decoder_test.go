package claims_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/claims"
	"github.com/helseid-go/sdk/internal/jose"
)

func decoderOf(t *testing.T, text string) *claims.Decoder {
	t.Helper()
	object, err := jose.ParseObject([]byte(text))
	require.NoError(t, err)
	return &claims.Decoder{Object: object}
}

// A token is about a person if its subject is not a client or if it says something about a
// person, even if that is of a wrong type.
func TestUserOfAToken(t *testing.T) {
	t.Parallel()
	parties := claims.Parties{ClientID: "the-client", OriginalClientID: "the-first-client"}
	for text, test := range map[string]struct {
		person  bool
		subject string
	}{
		`{}`:                         {},
		`{"sub":""}`:                 {},
		`{"sub":null}`:               {},
		`{"sub":"the-client"}`:       {},
		`{"sub":"the-first-client"}`: {},
		`{"sub":"a"}`:                {true, "a"},
		`{"sub":7}`:                  {true, ""},
		`{"sub":"the-client","helseid://claims/identity/pid":"06828399789"}`:                {true, ""},
		`{"sub":"the-client","helseid://claims/identity/pid":""}`:                           {},
		`{"sub":"the-client","helseid://claims/identity/pid":"the-client"}`:                 {true, ""},
		`{"sub":"the-client","helseid://claims/identity/pid":7}`:                            {true, ""},
		`{"sub":"the-client","helseid://claims/identity/pid_pseudonym":"x"}`:                {true, ""},
		`{"sub":"the-client","helseid://claims/hpr/hpr_number":"565501872"}`:                {true, ""},
		`{"sub":"the-client","helseid://claims/hpr/hpr_number":[]}`:                         {true, ""},
		`{"sub":"the-client","name":"KVART GREVLING"}`:                                      {},
		`{"sub":"the-first-client","helseid://claims/identity/pid_pseudonym":"the-client"}`: {true, ""},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			d := decoderOf(t, text)
			of := parties
			of.Subject, _ = d.Object.Get("sub").Text()
			user := d.User(of)
			require.Equal(t, test.person, user != nil)
			if user != nil {
				require.Equal(t, test.subject, user.Subject)
			}
		})
	}
}

// Malformed names sixteen claims and then says that there are others, however many.
func TestMalformedIsBounded(t *testing.T) {
	t.Parallel()
	for _, wrong := range []int{0, 1, 15, 16, 17, 18, 100} {
		d, want := decoderOf(t, `{}`), []string(nil)
		for i := range wrong {
			d.Wrong(strconv.Itoa(i))
			want = append(want, strconv.Itoa(i))
		}
		if wrong > 16 {
			want = append(slices.Clone(want[:16]), "others")
		}
		require.Equal(t, want, d.Malformed)
	}
}
