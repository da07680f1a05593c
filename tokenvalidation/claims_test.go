package tokenvalidation_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/tokenvalidation"
)

const claimPrefix = "helseid://claims/"

// raw is JSON that goes into a token as it is.
func raw(text string) json.RawMessage { return json.RawMessage(text) }

func TestSystem(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]mint.TokenOption{
		"without sub":             nil,
		"sub is the client":       {mint.Claim("sub", "helseidtest-client")},
		"sub null":                {mint.Claim("sub", raw("null"))},
		"sub empty":               {mint.Claim("sub", "")},
		"all about the user null": {mint.Claim("sub", raw("null")), mint.Claim(claimPrefix+"identity/pid", raw("null")), mint.Claim(claimPrefix+"hpr/hpr_number", raw("null"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claims := validated(t, options...)
			require.Nil(t, claims.User)
			require.True(t, claims.IsSystem())
			require.Equal(t, "helseidtest-client", claims.ClientID)
			require.Equal(t, "helseidtest client", claims.ClientName)
			require.Equal(t, "private_key_jwt", claims.ClientAuthentication)
			require.Equal(t, identity.SingleTenant, claims.Tenancy)
			require.Equal(t, identity.Organization{Parent: mint.DefaultParentOrganization}, claims.Organization)
			require.False(t, claims.Organization.IsZero())
			require.Equal(t, []string{"nhn:test-api/read"}, claims.Scopes)
			require.True(t, claims.HasScope("nhn:test-api/read"))
			require.False(t, claims.HasScope("nhn:test-api"))
			require.Equal(t, []string{"nhn:test-api"}, claims.Audience)
			require.NotEmpty(t, claims.ID)
			require.Equal(t, time.Hour, claims.Expiry.Sub(claims.IssuedAt))
			require.Equal(t, claims.IssuedAt, claims.NotBefore)
			require.Equal(t, time.UTC, claims.Expiry.Location())
			require.True(t, claims.Confirmation.Present)
			require.Len(t, claims.Confirmation.Thumbprint, 43)
			require.False(t, claims.Confirmation.Unsupported)
			require.Nil(t, claims.Actor)
			require.Nil(t, claims.Attest)
			require.Empty(t, claims.Malformed)
		})
	}
}

// Each of these alone makes the token a person's.
func TestUserIsFound(t *testing.T) {
	t.Parallel()
	for _, option := range []mint.TokenOption{
		mint.Claim("sub", "a-pseudonym"),
		mint.Claim(claimPrefix+"identity/pid", mint.DefaultPersonalIdentityNumber),
		mint.Claim(claimPrefix+"identity/pid_pseudonym", "a-pseudonym"),
		mint.Claim(claimPrefix+"hpr/hpr_number", "1"),
	} {
		claims := validated(t, option)
		require.NotNil(t, claims.User)
		require.False(t, claims.IsSystem())
	}
	claims := validated(t, mint.Claim("sub", "helseidtest-client"), mint.HPRNumber("1"))
	require.Empty(t, claims.User.Subject, "the client is not the user")
}

func TestClinician(t *testing.T) {
	t.Parallel()
	login := time.Now().Add(-time.Hour).Truncate(time.Second)
	claims := validated(t, mint.Clinician(),
		mint.Claim("auth_time", login.Unix()),
		mint.Claim(claimPrefix+"identity/pid_pseudonym", "older"),
		mint.Claim(claimPrefix+"client/on_behalf_of", "999977775"),
		mint.Claim("middle_name", "VON"))
	require.False(t, claims.IsSystem())
	user := claims.User
	require.Equal(t, "0bq1hVF0yNRmqvCD6xLlwuYJ5vDOEgqUhpC8/xsm+mQ=", user.Subject)
	require.Equal(t, user.Subject, claims.Subject)
	require.Equal(t, mint.DefaultPersonalIdentityNumber, user.PersonalIdentityNumber.Reveal())
	require.Equal(t, "older", user.Pseudonym)
	require.Equal(t, identity.HPRNumber(mint.DefaultHPRNumber), user.HPRNumber)
	require.Equal(t, []string{"KVART GREVLING", "KVART", "VON", "GREVLING"}, []string{user.Name, user.GivenName, user.MiddleName, user.FamilyName})
	require.Equal(t, identity.SecurityLevel4, user.SecurityLevel)
	require.Equal(t, identity.AssuranceHigh, user.AssuranceLevel)
	require.Equal(t, "internett", user.Network)
	require.Equal(t, "testidp-oidc", user.IdentityProvider)
	require.Equal(t, []string{"pwd"}, user.AuthenticationMethods)
	require.Equal(t, login.UTC(), user.AuthenticatedAt)
	require.Equal(t, "7C2F6E9F1D0A4B35", user.SessionID)
	require.Equal(t, identity.OrganizationNumber("999977775"), user.OnBehalfOf)
	require.Empty(t, claims.Malformed)
}

func TestMultiTenant(t *testing.T) {
	t.Parallel()
	claims := validated(t, mint.Organization("994598759", "999977775", "987654325"),
		mint.Claim("nhn:sfm:journal-id", "5e6d1b38-0ff3-4b2b-9f0e-3f4d5d2f2a11"),
		mint.Claim("e-helse:sfm.api/client/claims/sfm-id", "6e6d1b38-0ff3-4b2b-9f0e-3f4d5d2f2a22"))
	require.Equal(t, identity.Organization{Parent: "994598759", Child: "999977775", Supplier: "987654325"}, claims.Organization)
	require.Equal(t, identity.MultiTenant, claims.Tenancy)
	require.Equal(t, "5e6d1b38-0ff3-4b2b-9f0e-3f4d5d2f2a11", claims.JournalID)
	require.Equal(t, "6e6d1b38-0ff3-4b2b-9f0e-3f4d5d2f2a22", claims.SFMID)

	none := validated(t, mint.Organization("", "", ""), mint.Claim(claimPrefix+"client/client_tenancy", "none"))
	require.True(t, none.Organization.IsZero())
	require.Equal(t, identity.NoTenancy, none.Tenancy)
	missing := validated(t, mint.Claim(claimPrefix+"client/client_tenancy", nil))
	require.Equal(t, identity.SingleTenant, missing.Tenancy)
}

func TestTokenExchange(t *testing.T) {
	t.Parallel()
	claims := validated(t, mint.ClientID("third"), mint.Claim(claimPrefix+"client/original_client_id", "first"),
		mint.Claim("act", raw(`{"iss":"https://helseid.test","client_id":"second","helseid://claims/client/claims/orgnr_parent":"994598759",
			"helseid://claims/client/claims/orgnr_child":"999977775","act":{"client_id":"first"}}`)))
	require.Equal(t, "third", claims.ClientID)
	require.Equal(t, "first", claims.OriginalClientID)
	require.Equal(t, &tokenvalidation.Actor{
		Issuer: "https://helseid.test", ClientID: "second",
		Organization: identity.Organization{Parent: "994598759", Child: "999977775"},
		Actor:        &tokenvalidation.Actor{ClientID: "first"},
	}, claims.Actor)
	require.Empty(t, claims.Malformed)

	chain := func(length int) mint.TokenOption {
		actors := "null"
		for i := range length {
			actors = fmt.Sprintf(`{"client_id":"c%d","act":%s}`, i, actors)
		}
		return mint.Claim("act", raw(actors))
	}
	claims = validated(t, chain(10))
	depth := 0
	for actor := claims.Actor; actor != nil; actor = actor.Actor {
		depth++
	}
	require.Equal(t, 10, depth)
	require.Empty(t, claims.Malformed)
	for _, length := range []int{11, 15, 30} { // a part of the chain would pass for all of it
		server := newServer(t)
		_, err := newValidator(t, server, nil).Validate(t.Context(), server.Token(chain(length)))
		requireReason(t, err, tokenvalidation.ReasonActors)
	}

	claims = validated(t, mint.Claim("act", raw(`{"client_id":7,"act":"x"}`)))
	require.Equal(t, &tokenvalidation.Actor{}, claims.Actor)
	require.ElementsMatch(t, []string{"act", "act.client_id"}, claims.Malformed)
}

// A system's token stays one when it is exchanged, though its subject is then another
// client than the one that sends it.
func TestExchangedSystemToken(t *testing.T) {
	t.Parallel()
	original := mint.Claim(claimPrefix+"client/original_client_id", "first")
	claims := validated(t, mint.ClientID("second"), original, mint.Claim("sub", "first"))
	require.Nil(t, claims.User)
	require.True(t, claims.IsSystem())
	claims = validated(t, mint.ClientID("second"), original, mint.Claim("sub", "a-person"))
	require.Equal(t, "a-person", claims.User.Subject)
	claims = validated(t, mint.ClientID("second"), mint.Claim("sub", "first"))
	require.NotNil(t, claims.User, "nothing says that it is a client")
}

// attest is what HelseID makes of the client's: with names, texts and the
// clinician's identity.
const attest = `{
	"toa": 1700000000,
	"practitioner": {
		"identifier": {"id": "06828399789", "system": "urn:oid:2.16.578.1.12.4.1.4.1", "authority": "Skatteetaten", "name": "KVART GREVLING"},
		"hpr_nr": {"id": "565505933", "system": "urn:oid:2.16.578.1.12.4.1.4.4", "authority": "Helsedirektoratet"},
		"authorization": {"code": "LE", "text": "Lege", "system": "urn:oid:2.16.578.1.12.4.1.1.9060", "assigner": "Helsedirektoratet"},
		"legal_entity": {"id": "994598759", "name": "NORSK HELSENETT SF", "system": "urn:oid:2.16.578.1.12.4.1.4.101", "authority": "Brønnøysundregistrene"},
		"point_of_care": {"id": "999977775", "name": "KONTOR", "system": "urn:oid:2.16.578.1.12.4.1.4.101", "authority": "Brønnøysundregistrene"},
		"department": {"id": "4208723", "name": "AVDELING", "system": "urn:oid:2.16.578.1.12.4.1.4.102", "authority": "Norsk helsenett"}},
	"care_relationship": {
		"healthcare_service": {"code": "KX17", "text": "Fastlege", "system": "urn:oid:2.16.578.1.12.4.1.1.8655", "assigner": "Helsedirektoratet"},
		"purpose_of_use": {"code": "TREAT", "text": "Treatment", "system": "urn:oid:2.16.840.1.113883.1.11.20448", "assigner": "HL7"},
		"purpose_of_use_details": {"code": "BEHANDLER", "text": "Behandler", "system": "urn:AuditEventHL7Norway/CodeSystem/carerelation", "assigner": "HL7 Norge"},
		"decision_ref": {"id": "decision-1", "user_selected": true}},
	"patients": [
		{"identifier": {"id": "13116900216", "system": "urn:oid:2.16.578.1.12.4.1.4.1", "authority": "Skatteetaten", "name": "LINE DANSER"},
		 "point_of_care": {"id": "999977775", "name": "KONTOR"},
		 "department": {"id": "4208723", "name": "AVDELING"}},
		{"identifier": {"id": "12057900499"}}]}`

func TestAttest(t *testing.T) {
	t.Parallel()
	claims := validated(t, mint.Clinician(), mint.Claim("nhn:tillitsrammeverk:parameters", raw(attest)))
	require.Empty(t, claims.Malformed)
	found := claims.Attest
	require.Equal(t, time.Unix(1700000000, 0).UTC(), found.AttestedAt)
	practitioner := found.Practitioner
	require.Equal(t, "06828399789", practitioner.Identifier.Number.Reveal())
	require.Equal(t, []string{"KVART GREVLING", "urn:oid:2.16.578.1.12.4.1.4.1", "Skatteetaten"}, []string{practitioner.Identifier.Name, practitioner.Identifier.System, practitioner.Identifier.Authority})
	require.Equal(t, tokenvalidation.Identifier{ID: "565505933", System: "urn:oid:2.16.578.1.12.4.1.4.4", Authority: "Helsedirektoratet"}, practitioner.HPRNumber)
	require.Equal(t, tokenvalidation.Code{Code: "LE", Text: "Lege", System: "urn:oid:2.16.578.1.12.4.1.1.9060", Assigner: "Helsedirektoratet"}, practitioner.Authorization)
	require.Equal(t, "NORSK HELSENETT SF", practitioner.LegalEntity.Name)
	require.Equal(t, "999977775", practitioner.PointOfCare.ID)
	require.Equal(t, "4208723", practitioner.Department.ID)
	relationship := found.CareRelationship
	require.Equal(t, "KX17", relationship.HealthcareService.Code)
	require.Equal(t, tokenvalidation.Code{Code: "TREAT", Text: "Treatment", System: "urn:oid:2.16.840.1.113883.1.11.20448", Assigner: "HL7"}, relationship.PurposeOfUse)
	require.Equal(t, "BEHANDLER", relationship.PurposeOfUseDetails.Code)
	require.Equal(t, tokenvalidation.Decision{ID: "decision-1", UserSelected: true}, relationship.Decision)
	require.Len(t, found.Patients, 2)
	require.Equal(t, "13116900216", found.Patients[0].Identifier.Number.Reveal())
	require.Equal(t, "LINE DANSER", found.Patients[0].Identifier.Name)
	require.Equal(t, "KONTOR", found.Patients[0].PointOfCare.Name)
	require.Equal(t, "4208723", found.Patients[0].Department.ID)
	require.Equal(t, "12057900499", found.Patients[1].Identifier.Number.Reveal())
	require.Equal(t, tokenvalidation.Identifier{}, found.Patients[1].PointOfCare)
}

// Parts of the attest of a wrong type are left out and named; those that are
// null or missing are only left out.
func TestMalformedAttest(t *testing.T) {
	t.Parallel()
	const name = "nhn:tillitsrammeverk:parameters"
	for value, malformed := range map[string][]string{
		`{}`:   nil,
		`null`: nil,
		`"x"`:  {name},
		`[]`:   {name},
		`true`: {name},
		`{"toa":null,"practitioner":null,"care_relationship":null,"patients":null}`:                                    nil,
		`{"toa":"1","practitioner":1,"care_relationship":[],"patients":{}}`:                                            {name + ".toa", name + ".practitioner", name + ".care_relationship", name + ".patients"},
		`{"patients":[1,null,{"identifier":7},{"department":{"id":1}}]}`:                                               {name + ".patients", name + ".patients", name + ".patients.identifier", name + ".patients.department.id"},
		`{"practitioner":{"identifier":{"id":1,"name":"x"},"authorization":{"code":[],"text":null}}}`:                  {name + ".practitioner.identifier.id", name + ".practitioner.authorization.code"},
		`{"care_relationship":{"decision_ref":{"id":{},"user_selected":"true"},"purpose_of_use":"TREAT"}}`:             {name + ".care_relationship.decision_ref.id", name + ".care_relationship.decision_ref.user_selected", name + ".care_relationship.purpose_of_use"},
		`{"care_relationship":{"decision_ref":{"user_selected":1}},"practitioner":{"legal_entity":"x","hpr_nr":null}}`: {name + ".care_relationship.decision_ref.user_selected", name + ".practitioner.legal_entity"},
	} {
		claims := validated(t, mint.Claim(name, raw(value)))
		require.ElementsMatch(t, malformed, claims.Malformed, value)
		require.Equal(t, value == "null" || value[0] != '{', claims.Attest == nil)
		if claims.Attest != nil {
			require.False(t, claims.Attest.CareRelationship.Decision.UserSelected)
			require.True(t, claims.Attest.AttestedAt.IsZero())
		}
	}
}

// A claim that is null is absent; one of a wrong type is absent and named. No
// claim that has no influence on the token's validity makes it invalid.
func TestWrongTypes(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	validator := newValidator(t, server, nil)
	texts := []string{"client_id", "client_amr", "jti", "sub", "name", "given_name", "middle_name", "family_name", "idp", "sid",
		"nhn:sfm:journal-id", "e-helse:sfm.api/client/claims/sfm-id"}
	for _, name := range []string{"identity/pid", "identity/pid_pseudonym", "identity/security_level", "identity/assurance_level", "identity/network", "hpr/hpr_number",
		"client/client_name", "client/client_tenancy", "client/claims/orgnr_parent", "client/claims/orgnr_child", "client/claims/orgnr_supplier",
		"client/on_behalf_of", "client/original_client_id"} {
		texts = append(texts, claimPrefix+name)
	}
	for _, name := range texts {
		for _, value := range []string{`null`, `1`, `4.5`, `true`, `[]`, `["x"]`, `{}`, `{"a":null}`} {
			claims, err := validator.Validate(t.Context(), server.Token(mint.Clinician(), mint.Claim(name, raw(value))))
			require.NoError(t, err, name)
			if value == "null" {
				require.Empty(t, claims.Malformed, name)
			} else {
				require.Equal(t, []string{name}, claims.Malformed, value)
			}
		}
	}
	for name, values := range map[string][]string{
		"scope":                                  {`1`, `{}`, `[1]`, `["a",null]`, `[["a"]]`, `true`},
		"amr":                                    {`1`, `{}`, `[1]`, `[null]`},
		"auth_time":                              {`"1"`, `true`, `[]`, `1e300`},
		"act":                                    {`"x"`, `1`, `[]`, `true`},
		claimPrefix + "identity/pid":             {`"0682839978"`, `"068283997890"`, `"0682839978x"`, `" 06828399789"`, `"٠٦٨٢٨٣٩٩٧٨٩"`},
		claimPrefix + "identity/security_level":  {`"5"`, `"1"`, `"04"`, `"4 "`, `"Level4"`, `"high"`},
		claimPrefix + "identity/assurance_level": {`"HIGH"`, `"4"`, `"very high"`},
		claimPrefix + "hpr/hpr_number":           {`"0565505933"`, `"1234567890"`, `"x"`, `"-1"`, `"0"`, `"1.5"`},
		claimPrefix + "client/client_tenancy":    {`"multi"`, `"single"`, `"MULTI-TENANT"`},
		claimPrefix + "client/claims/orgnr_parent":   {`"99459875"`, `"9945987590"`, `"NO994598759"`, `"994 598 759"`, `"99459875x"`},
		claimPrefix + "client/claims/orgnr_child":    {`"x"`},
		claimPrefix + "client/claims/orgnr_supplier": {`"x"`},
		claimPrefix + "client/on_behalf_of":          {`"x"`},
	} {
		for _, value := range values {
			claims, err := validator.Validate(t.Context(), server.Token(mint.Clinician(), mint.Claim(name, raw(value))))
			require.NoError(t, err, name)
			require.Equal(t, []string{name}, claims.Malformed, value)
		}
	}
	// What is left is empty, and nothing is more than it says.
	claims, err := validator.Validate(t.Context(), server.Token(mint.Clinician(),
		mint.Claim(claimPrefix+"identity/security_level", 4), mint.Claim(claimPrefix+"hpr/hpr_number", 565505933),
		mint.Claim("scope", raw(`{"nhn:test-api/read":true}`)), mint.Claim(claimPrefix+"client/client_tenancy", "multi"),
		mint.Claim(claimPrefix+"client/claims/orgnr_parent", 994598759)))
	require.NoError(t, err)
	require.Zero(t, claims.User.SecurityLevel)
	require.Empty(t, claims.User.HPRNumber)
	require.Empty(t, claims.Scopes)
	require.Equal(t, identity.NoTenancy, claims.Tenancy)
	require.True(t, claims.Organization.IsZero())
}

// A token with a malformed subject or number is not a system's: what is open to
// systems only must not open to a user whose claims cannot be read.
func TestMalformedUserIsNoSystem(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"sub":                                  `7`,
		claimPrefix + "identity/pid":           `"0682839978"`,
		claimPrefix + "identity/pid_pseudonym": `{}`,
		claimPrefix + "hpr/hpr_number":         `565505933`,
	} {
		claims := validated(t, mint.Claim(name, raw(value)))
		require.Equal(t, []string{name}, claims.Malformed)
		require.False(t, claims.IsSystem(), name)
	}
}

func TestConfirmation(t *testing.T) {
	t.Parallel()
	const jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	for cnf, want := range map[string]tokenvalidation.Confirmation{
		`{"jkt":"` + jkt + `"}`:                  {Present: true, Thumbprint: jkt},
		`{"jkt":"` + jkt + `","x5t#S256":"AAA"}`: {Present: true, Unsupported: true},
		`{"jkt":"` + jkt + `","x":null}`:         {Present: true, Unsupported: true},
		`{"x5t#S256":"AAA"}`:                     {Present: true, Unsupported: true},
		`{"jkt":""}`:                             {Present: true, Unsupported: true},
		`{"jkt":1}`:                              {Present: true, Unsupported: true},
		`{"jkt":null}`:                           {Present: true, Unsupported: true},
		`{}`:                                     {Present: true, Unsupported: true},
		`null`:                                   {Present: true, Unsupported: true},
		`"x"`:                                    {Present: true, Unsupported: true},
		`[]`:                                     {Present: true, Unsupported: true},
		`false`:                                  {Present: true, Unsupported: true},
	} {
		require.Equal(t, want, validated(t, mint.Claim("cnf", raw(cnf))).Confirmation, cnf)
	}
	require.Equal(t, tokenvalidation.Confirmation{}, validated(t, mint.Unbound()).Confirmation)
}

func TestScopes(t *testing.T) {
	t.Parallel()
	for value, want := range map[string][]string{
		`["a","b c"]`: {"a", "b c"}, `"a b  c"`: {"a", "b", "c"}, `""`: nil, `[]`: nil, `null`: nil, `"a"`: {"a"},
		`"a\tb c"`: {"a\tb", "c"}, `"a\nb"`: {"a\nb"}, `"a\u00a0b"`: {"a\u00a0b"},
	} {
		claims := validated(t, mint.Claim("scope", raw(value)))
		require.Len(t, claims.Scopes, len(want))
		for _, scope := range want {
			require.True(t, claims.HasScope(scope), value)
		}
		require.False(t, claims.HasScope(""))
		require.False(t, claims.HasScope("A"))
	}
}

// Claims of an API's own are read by name.
func TestOwnClaims(t *testing.T) {
	t.Parallel()
	claims := validated(t, mint.Claim("nhn:vkp/client/claims/vkp-id", "vkp-1"), mint.Claim("n", 7), mint.Claim("o", raw(`{"a":[1,2]}`)),
		mint.Claim("empty", raw("null")), mint.Claim("secret", "06828399789"))
	id, err := tokenvalidation.Claim[string](claims, "nhn:vkp/client/claims/vkp-id")
	require.NoError(t, err)
	require.Equal(t, "vkp-1", id)
	n, err := tokenvalidation.Claim[int](claims, "n")
	require.NoError(t, err)
	require.Equal(t, 7, n)
	o, err := tokenvalidation.Claim[struct{ A []int }](claims, "o")
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, o.A)
	for _, name := range []string{"missing", "empty", "N"} {
		_, err = tokenvalidation.Claim[string](claims, name)
		require.ErrorIs(t, err, tokenvalidation.ErrNoClaim, name)
		_, ok := claims.Raw(name)
		require.False(t, ok)
	}
	_, err = tokenvalidation.Claim[int](claims, "secret")
	require.Error(t, err)
	require.NotErrorIs(t, err, tokenvalidation.ErrNoClaim)
	require.NotContains(t, err.Error(), "0682")
	text, ok := claims.Raw("o")
	require.True(t, ok)
	require.JSONEq(t, `{"a":[1,2]}`, string(text))
}

// A test of a handler makes claims without a token, for middleware.NewContext.
func TestClaimOfClaimsWithoutAToken(t *testing.T) {
	t.Parallel()
	_, err := tokenvalidation.Claim[string](&tokenvalidation.Claims{ClientID: "a-client"}, "nhn:some-api/client/claims/some-id")
	require.ErrorIs(t, err, tokenvalidation.ErrNoClaim)
}
