package claims_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/claims"
)

const details = "helseid://claims/hpr/hpr_details"

func TestParseUserInfo(t *testing.T) {
	t.Parallel()
	info, err := claims.ParseUserInfo([]byte(`{
		"sub": "c3Vi", "name": "KVART GREVLING", "helseid://claims/identity/pid": "06828399789", "userinfo_issued_at": 1767323045,
		"helseid://claims/identity/security_level": "4", "helseid://claims/hpr/hpr_number": "565501872",
		"helseid://claims/hpr/hpr_details": {
			"approvals": [{
				"profession": "LE", "authorization": {"value": "1", "description": "Autorisasjon"},
				"requisition_rights": [{"value": "1", "description": "Full rekvisisjonsrett"}],
				"specialities": [{"value": "34", "description": "Allmennmedisin"}, {"value": "2"}]
			}, {"profession": "SP"}],
			"hpr_number": 565501872, "no_hpr_number": false
		}}`))
	require.NoError(t, err)
	require.Equal(t, "KVART GREVLING", info.User.Name)
	require.Equal(t, identity.SecurityLevel4, info.User.SecurityLevel)
	require.Equal(t, "06828399789", info.User.PersonalIdentityNumber.Reveal())
	require.Equal(t, time.Unix(1767323045, 0).UTC(), info.IssuedAt)
	require.Equal(t, &identity.HPRDetails{
		HPRNumber: "565501872",
		Approvals: []identity.HPRApproval{
			{
				Profession: "LE", Authorization: identity.HPRCode{Value: "1", Description: "Autorisasjon"},
				RequisitionRights: []identity.HPRCode{{Value: "1", Description: "Full rekvisisjonsrett"}},
				Specialities:      []identity.HPRCode{{Value: "34", Description: "Allmennmedisin"}, {Value: "2"}},
			},
			{Profession: "SP"},
		},
	}, info.HPRDetails)
	require.Empty(t, info.Malformed)
}

// The number comes as a number or a string, and what is amiss is left out and
// named.
func TestParseUserInfoVariants(t *testing.T) {
	t.Parallel()
	for body, test := range map[string]struct {
		number    identity.HPRNumber
		without   bool // no details at all
		flag      bool
		malformed []string
	}{
		`{"sub":"a"}`:                                                                  {without: true},
		`{"sub":"a","` + details + `":null}`:                                           {without: true},
		`{"sub":"a","` + details + `":{}}`:                                             {},
		`{"sub":"a","` + details + `":{"hpr_number":"565501872"}}`:                     {number: "565501872"},
		`{"sub":"a","` + details + `":{"hpr_number":565501872}}`:                       {number: "565501872"},
		`{"sub":"a","` + details + `":{"hpr_number":null,"no_hpr_number":true}}`:       {flag: true},
		`{"sub":"a","` + details + `":{"hpr_number":5.5}}`:                             {malformed: []string{details + ".hpr_number"}},
		`{"sub":"a","` + details + `":{"hpr_number":-1}}`:                              {malformed: []string{details + ".hpr_number"}},
		`{"sub":"a","` + details + `":{"hpr_number":"abc"}}`:                           {malformed: []string{details + ".hpr_number"}},
		`{"sub":"a","` + details + `":{"hpr_number":[1]}}`:                             {malformed: []string{details + ".hpr_number"}},
		`{"sub":"a","` + details + `":{"no_hpr_number":"true"}}`:                       {malformed: []string{details + ".no_hpr_number"}},
		`{"sub":"a","` + details + `":{"approvals":{}}}`:                               {malformed: []string{details + ".approvals"}},
		`{"sub":"a","` + details + `":{"approvals":[1]}}`:                              {malformed: []string{details + ".approvals"}},
		`{"sub":"a","` + details + `":{"approvals":[{"authorization":"1"}]}}`:          {malformed: []string{details + ".authorization"}},
		`{"sub":"a","` + details + `":{"approvals":[{"specialities":{"value":1}}]}}`:   {malformed: []string{details + ".specialities"}},
		`{"sub":"a","` + details + `":"x"}`:                                            {without: true, malformed: []string{details}},
		`{"sub":"a","userinfo_issued_at":"x"}`:                                         {without: true, malformed: []string{"userinfo_issued_at"}},
		`{"sub":"a","helseid://claims/identity/pid":"x","` + details + `":{"x":[[]]}}`: {malformed: []string{"helseid://claims/identity/pid"}},
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			info, err := claims.ParseUserInfo([]byte(body))
			require.NoError(t, err)
			require.Equal(t, test.malformed, info.Malformed)
			if test.without {
				require.Nil(t, info.HPRDetails)
				return
			}
			require.Equal(t, test.number, info.HPRDetails.HPRNumber)
			require.Equal(t, test.flag, info.HPRDetails.NoHPRNumber)
		})
	}
	for body, want := range map[string]error{
		``: claims.ErrMalformed, `[]`: claims.ErrMalformed, `{"sub":"a","sub":"b"}`: claims.ErrMalformed,
		`{}`: claims.ErrNoSubject, `{"sub":""}`: claims.ErrNoSubject, `{"sub":7}`: claims.ErrNoSubject,
		`{"sub":null,"helseid://claims/identity/pid":"06828399789"}`: claims.ErrNoSubject,
	} {
		_, err := claims.ParseUserInfo([]byte(body))
		require.ErrorIs(t, err, want)
	}
}

func FuzzParseUserInfo(f *testing.F) {
	f.Add([]byte(`{"sub":"a","` + details + `":{"approvals":[{"profession":"LE","authorization":{"value":"1"}}],"hpr_number":565501872}}`))
	f.Add([]byte(`{"sub":"a","` + details + `":{"approvals":[[]],"hpr_number":1e9}}`))
	f.Add([]byte(`{"sub":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		info, err := claims.ParseUserInfo(body)
		switch {
		case err != nil && info != nil:
			t.Fatal("an error and a person")
		case err == nil && info.User.Subject == "":
			t.Fatal("nobody")
		case err == nil && info.HPRDetails != nil && info.HPRDetails.HPRNumber != "" && !info.HPRDetails.HPRNumber.Valid():
			t.Fatal("a number that is none")
		}
	})
}
