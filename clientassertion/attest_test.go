package clientassertion_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
)

// attestJSON is the attest as the trust framework's documents give it: Norsk
// helsenett, "Tillitsrammeverk", information and data model.
type attestJSON struct {
	Type         string
	Practitioner struct {
		Authorization codeJSON
		LegalEntity   identifierJSON `json:"legal_entity"`
		PointOfCare   identifierJSON `json:"point_of_care"`
		Department    identifierJSON
	}
	CareRelationship struct {
		HealthcareService   codeJSON `json:"healthcare_service"`
		PurposeOfUse        codeJSON `json:"purpose_of_use"`
		PurposeOfUseDetails codeJSON `json:"purpose_of_use_details"`
		DecisionRef         struct {
			ID           string
			UserSelected bool `json:"user_selected"`
		} `json:"decision_ref"`
	} `json:"care_relationship"`
	Patients []struct {
		PointOfCare identifierJSON `json:"point_of_care"`
		Department  identifierJSON
	}
}

type codeJSON struct{ Code, System string }

type identifierJSON struct{ ID, System string }

func fullAttest() clientassertion.Attest {
	return clientassertion.Attest{
		Authorization:       clientassertion.Code{Code: "LE"},
		LegalEntity:         "111222333",
		PointOfCare:         "222333444",
		Department:          "4208723",
		HealthcareService:   clientassertion.Code{Code: "S01", System: clientassertion.SystemServiceSpecialist},
		PurposeOfUse:        clientassertion.PurposeTreatment,
		PurposeOfUseDetails: clientassertion.Code{Code: "BEHANDLER", System: clientassertion.SystemCareRelation},
		DecisionID:          "b9d2ff4c-1e5c-4b0f-8b0b-000000000001",
		UserSelected:        true,
		Patients: []clientassertion.AttestPatient{
			{PointOfCare: "333444555", Department: "4208724"}, {PointOfCare: "333444556"}, {Department: "4208725"}, {},
		},
	}
}

func leastAttest() clientassertion.Attest {
	return clientassertion.Attest{LegalEntity: "111222333", PurposeOfUse: clientassertion.PurposeTreatment, DecisionID: "d"}
}

func TestAttestGolden(t *testing.T) {
	t.Parallel()
	for name, attest := range map[string]clientassertion.Attest{"attest-full.golden": fullAttest(), "attest-least.golden": leastAttest()} {
		want, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(t, err)
		detail, err := attest.Detail()
		require.NoError(t, err)
		require.Equal(t, strings.TrimSpace(string(want)), detail.String(), name)
		require.Equal(t, "nhn:tillitsrammeverk:parameters", detail.Type())
	}
}

func TestAttestDefaults(t *testing.T) {
	t.Parallel()
	detail := func(change func(*clientassertion.Attest)) string {
		attest := leastAttest()
		change(&attest)
		detail, err := attest.Detail()
		require.NoError(t, err)
		return detail.String()
	}
	none := detail(func(*clientassertion.Attest) {})
	require.Contains(t, none, `"point_of_care":{"id":"111222333","system":"urn:oid:2.16.578.1.12.4.1.4.101"}`, "ATT-19: the legal entity, if there is no sub-unit")
	require.Contains(t, none, `"decision_ref":{"id":"d","user_selected":false}`, "ATT-48")
	for _, member := range []string{"authorization", "department", "healthcare_service", "purpose_of_use_details", "patients"} {
		require.NotContains(t, none, `"`+member+`"`, "what is not known is left out")
	}
	require.Contains(t, detail(func(a *clientassertion.Attest) { a.Authorization.Code = "SP" }),
		`"authorization":{"code":"SP","system":"urn:oid:2.16.578.1.12.4.1.1.9060"}`)
	require.Contains(t, detail(func(a *clientassertion.Attest) { a.Authorization = clientassertion.Code{Code: "SP", System: "urn:x"} }),
		`"authorization":{"code":"SP","system":"urn:x"}`)
	for _, purpose := range []string{"TREAT", "ETREAT", "COC", "BTG"} {
		require.Contains(t, detail(func(a *clientassertion.Attest) { a.PurposeOfUse = purpose }),
			`"purpose_of_use":{"code":"`+purpose+`","system":"urn:oid:2.16.840.1.113883.1.11.20448"}`)
	}
	for system, want := range map[string]string{
		clientassertion.SystemServiceSpecialist: "urn:oid:2.16.578.1.12.4.1.1.8655",
		clientassertion.SystemServiceMunicipal:  "urn:oid:2.16.578.1.12.4.1.1.8663",
		clientassertion.SystemServiceOther:      "urn:oid:2.16.578.1.12.4.1.1.8666",
	} {
		require.Contains(t, detail(func(a *clientassertion.Attest) { a.HealthcareService = clientassertion.Code{Code: "x", System: system} }),
			`"healthcare_service":{"code":"x","system":"`+want+`"}`)
	}
}

func TestAttestMistakes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*clientassertion.Attest)
		field  string
	}{
		"no legal entity":               {func(a *clientassertion.Attest) { a.LegalEntity = "" }, "LegalEntity is required"},
		"legal entity is no number":     {func(a *clientassertion.Attest) { a.LegalEntity = "11122233" }, "LegalEntity: an organisation number"},
		"point of care is no number":    {func(a *clientassertion.Attest) { a.PointOfCare = "the ward" }, "PointOfCare: an organisation number"},
		"patient's is no number":        {func(a *clientassertion.Attest) { a.Patients[1].PointOfCare = "1" }, "Patients[1].PointOfCare: an organisation number"},
		"no purpose":                    {func(a *clientassertion.Attest) { a.PurposeOfUse = "" }, "PurposeOfUse"},
		"purpose in lower case":         {func(a *clientassertion.Attest) { a.PurposeOfUse = "treat" }, "PurposeOfUse"},
		"another purpose":               {func(a *clientassertion.Attest) { a.PurposeOfUse = "HMARKT" }, "PurposeOfUse"},
		"no decision":                   {func(a *clientassertion.Attest) { a.DecisionID = "" }, "DecisionID is required"},
		"authorisation without code":    {func(a *clientassertion.Attest) { a.Authorization = clientassertion.Code{System: "urn:x"} }, "Authorization"},
		"service without code":          {func(a *clientassertion.Attest) { a.HealthcareService.Code = "" }, "HealthcareService"},
		"service without system":        {func(a *clientassertion.Attest) { a.HealthcareService.System = "" }, "HealthcareService"},
		"purpose detail without code":   {func(a *clientassertion.Attest) { a.PurposeOfUseDetails.Code = "" }, "PurposeOfUseDetails"},
		"purpose detail without system": {func(a *clientassertion.Attest) { a.PurposeOfUseDetails.System = "" }, "PurposeOfUseDetails"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			attest := fullAttest()
			test.change(&attest)
			detail, err := attest.Detail()
			require.ErrorContains(t, err, "attest: ")
			require.ErrorContains(t, err, "field "+test.field)
			require.NotContains(t, err.Error(), "\n", "one mistake, one line")
			require.Equal(t, clientassertion.Detail{}, detail)
		})
	}
	_, err := clientassertion.Attest{PointOfCare: "x", HealthcareService: clientassertion.Code{Code: "a"}}.Detail()
	for _, field := range []string{"LegalEntity", "PointOfCare", "PurposeOfUse", "DecisionID", "HealthcareService"} {
		require.ErrorContains(t, err, field, "all at once")
	}
	_, err = clientassertion.Attest{LegalEntity: "111222333", PurposeOfUse: "TREAT", DecisionID: strings.Repeat("x", 20_000)}.Detail()
	require.ErrorContains(t, err, "16384")
}
