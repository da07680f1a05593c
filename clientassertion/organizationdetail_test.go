package clientassertion_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/claims"
	"github.com/helseid-go/sdk/internal/testkit"
)

const uuid = "8a4b6b0e-52b5-4c6b-9d0c-3f5d5a0e7c11"

func organizationJSON(system, value string) string {
	return `{"type":"helseid_authorization","practitioner_role":{"organization":{"identifier":{"system":"` + system + `","type":"ENH","value":"` + value + `"}}}}`
}

// The shapes that Norsk helsenett's two libraries send (HelseID.Library and
// HelseID.Library.Java on GitHub); where they or an older sample disagree, both
// forms are here.
func TestOrganizationDetail(t *testing.T) {
	t.Parallel()
	const single, multi = identity.SingleTenant, identity.MultiTenant
	const parent, child = "111222333", "222333444"
	type organization = clientassertion.Organization
	type variants = clientassertion.Variants
	for name, test := range map[string]struct {
		organization organization
		tenancy      identity.Tenancy
		variants     variants
		system       string
		value        string
	}{
		"T021 single-tenant child":                       {organization{Child: child}, single, variants{}, "urn:oid:2.16.578.1.12.4.1.4.101", child},
		"T021 single-tenant child, older system":         {organization{Child: child}, single, variants{OldSingleTenantSystem: true}, "urn:oid:2.16.578.1.12.4.1.2.101", child},
		"T032 child alone is single-tenant":              {organization{Child: child}, "", variants{}, "urn:oid:2.16.578.1.12.4.1.4.101", child},
		"T023 parent and child":                          {organization{parent, child}, multi, variants{}, "urn:oid:1.0.6523", "NO:ORGNR:111222333:222333444"},
		"T023 parent and child, tenancy not said":        {organization{parent, child}, "", variants{}, "urn:oid:1.0.6523", "NO:ORGNR:111222333:222333444"},
		"T023 every variant":                             {organization{parent, child}, multi, variants{true, true, true}, "urn:oid:1.0.6523", "NO:ORGNR:111222333:222333444"},
		"T025 parent alone":                              {organization{Parent: parent}, multi, variants{}, "urn:oid:1.0.6523", "NO:ORGNR:111222333"},
		"T024 parent alone, with the colon":              {organization{Parent: parent}, multi, variants{TrailingColon: true}, "urn:oid:1.0.6523", "NO:ORGNR:111222333:"},
		"T024 the colon is not for a single-tenant one":  {organization{Child: child}, "", variants{TrailingColon: true}, "urn:oid:2.16.578.1.12.4.1.4.101", child},
		"T021 the older system is not for multi-tenants": {organization{Parent: parent}, "", variants{OldSingleTenantSystem: true}, "urn:oid:1.0.6523", "NO:ORGNR:111222333"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			detail, err := clientassertion.OrganizationDetail(test.organization, test.tenancy, test.variants)
			require.NoError(t, err)
			require.Equal(t, "helseid_authorization", detail.Type())
			require.Equal(t, organizationJSON(test.system, test.value), detail.String())
			// T033: on the wire it is the eighth claim, as an object.
			key := newKey(t, "ES256")
			assertion, err := newSigner(t, key).Sign(t.Context(), detail)
			require.NoError(t, err)
			got := decode(t, assertion, key)
			require.Len(t, got.claims, 8)
			require.Contains(t, got.claimsJSON, `"assertion_details":`+detail.String()+`}`)
		})
	}
	for name, test := range map[string]struct {
		organization organization
		tenancy      identity.Tenancy
		words        []string
	}{
		"T022 single-tenant without child":      {organization{}, single, []string{"child", "missing"}},
		"T022 nobody at all":                    {organization{}, "", []string{"child", "missing"}},
		"T022 single-tenant parent":             {organization{Parent: parent}, single, []string{"parent", "single-tenant"}},
		"T022 single-tenant parent and child":   {organization{parent, child}, single, []string{"parent", "single-tenant"}},
		"T026 multi-tenant without parent":      {organization{}, multi, []string{"parent", "multi-tenant"}},
		"T026 multi-tenant child":               {organization{Child: child}, multi, []string{"parent", "multi-tenant"}},
		"T031 single-tenant child is a UUID":    {organization{Child: uuid}, single, []string{"child", "nine digits"}},
		"T031 multi-tenant parent is a UUID":    {organization{uuid, child}, multi, []string{"parent", "nine digits"}},
		"T031 multi-tenant child is a UUID":     {organization{parent, uuid}, multi, []string{"child", "nine digits"}},
		"T031 both at once":                     {organization{uuid, uuid}, "", []string{"parent", "child", "nine digits"}},
		"T031 with a space":                     {organization{Parent: "111 222 333"}, "", []string{"parent", "nine digits"}},
		"T031 that would break out of the JSON": {organization{Child: `1"},"x":{`}, "", []string{"child", "nine digits"}},
		"a tenancy that there is not":           {organization{Parent: parent}, "both", []string{"tenancy", "single-tenant", "multi-tenant"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			detail, err := clientassertion.OrganizationDetail(test.organization, test.tenancy, clientassertion.Variants{})
			require.Error(t, err)
			require.Equal(t, clientassertion.Detail{}, detail)
			for _, word := range test.words {
				require.ErrorContains(t, err, word)
			}
			require.NotContains(t, err.Error(), uuid, "an error quotes no number")
		})
	}
}

// Both names of the claim (HelseID's requirement FK5 and the older SFM example),
// and never both at once.
func TestNameOfTheDetailsClaim(t *testing.T) {
	t.Parallel()
	detail, err := clientassertion.OrganizationDetail(clientassertion.Organization{Child: "222333444"}, "", clientassertion.Variants{})
	require.NoError(t, err)
	journal, err := clientassertion.JournalIDDetail(uuid)
	require.NoError(t, err)
	for older, name := range map[bool]string{false: "assertion_details", true: "authorization_details"} {
		key := newKey(t, "ES256")
		signer, err := clientassertion.New(clientassertion.Config{
			ClientID: clientID, Audience: issuer, Key: key, Variants: clientassertion.Variants{AuthorizationDetails: older},
		})
		require.NoError(t, err)
		for want, details := range map[string][]clientassertion.Detail{
			detail.String(): {detail},
			`[` + detail.String() + `,` + journal.String() + `]`: {detail, journal},
		} {
			assertion, err := signer.Sign(t.Context(), details...)
			require.NoError(t, err)
			got := decode(t, assertion, key)
			require.Len(t, got.claims, 8)
			require.Contains(t, got.claims, name)
			require.Contains(t, got.claimsJSON, `"`+name+`":`+want+`}`, "T029 one is an object, several are an array")
		}
	}
}

// T027 T028: the type has a hyphen, the member an underscore (HelseID's page on
// SFM).
func TestJournalIDDetail(t *testing.T) {
	t.Parallel()
	for _, id := range []string{uuid, strings.ToUpper(uuid), "00000000-0000-0000-0000-000000000000"} {
		detail, err := clientassertion.JournalIDDetail(id)
		require.NoError(t, err)
		require.Equal(t, "nhn:sfm:journal-id", detail.Type())
		require.Equal(t, `{"type":"nhn:sfm:journal-id","value":{"journal_id":"`+id+`"}}`, detail.String())
	}
	for _, id := range []string{
		"", " ", "1", uuid[:35], uuid + "0", " " + uuid, "{" + uuid + "}", strings.ReplaceAll(uuid, "-", ""), "g" + uuid[1:],
		uuid[:8] + "0" + uuid[9:], uuid[:13] + "_" + uuid[14:], uuid[:35] + "\"", uuid[:34] + "å",
	} {
		detail, err := clientassertion.JournalIDDetail(id)
		require.ErrorContains(t, err, "UUID", id)
		require.Equal(t, clientassertion.Detail{}, detail)
	}
}

// Numbers with a known check digit: that of Norsk helsenett SF and others in the
// public register pass, its synthetic test organisations do not.
func TestCheckDigits(t *testing.T) {
	t.Parallel()
	type organization = clientassertion.Organization
	check := func(o organization) error {
		detail, err := clientassertion.OrganizationDetail(o, "", clientassertion.Variants{})
		require.NoError(t, err)
		return detail.CheckDigits()
	}
	for _, good := range []organization{{Child: "994598759"}, {Parent: "974760673"}, {"994598759", "974760673"}, {Child: "100000008"}} {
		require.NoError(t, check(good), good)
	}
	for _, number := range []identity.OrganizationNumber{"999977773", "999977775", "999977776", "312232326", "994598750", "949598759", "100000030"} {
		require.ErrorContains(t, check(organization{Child: number}), "(practitioner_role.organization.identifier.value)", string(number))
		require.ErrorContains(t, check(organization{Child: number}), "child organisation number", string(number))
		require.ErrorContains(t, check(organization{"994598759", number}), "child organisation number", string(number))
		require.ErrorContains(t, check(organization{Parent: number}), "parent organisation number", string(number))
		require.NotContains(t, check(organization{Parent: number}).Error(), number)
	}
	err := check(organization{"999977776", "999977775"})
	require.ErrorContains(t, err, "parent")
	require.ErrorContains(t, err, "child")
	require.True(t, organization{}.IsZero())
	require.False(t, organization{Parent: "1"}.IsZero())
	require.False(t, organization{Child: "1"}.IsZero())
}

// The numbers in an attest, and in details that came as JSON, are checked like
// those of an organisation.
func TestCheckDigitsOfOtherDetails(t *testing.T) {
	t.Parallel()
	const good, bad = "994598759", "994598750"
	attest := clientassertion.Attest{
		LegalEntity: good, PointOfCare: good, Department: bad, // the last is a RESH id
		PurposeOfUse: clientassertion.PurposeTreatment, DecisionID: bad,
		Patients: []clientassertion.AttestPatient{{PointOfCare: good}, {PointOfCare: good, Department: bad}},
	}
	for path, change := range map[string]func(*clientassertion.Attest){
		"":                              func(*clientassertion.Attest) {},
		"practitioner.legal_entity.id":  func(a *clientassertion.Attest) { a.LegalEntity = bad },
		"practitioner.point_of_care.id": func(a *clientassertion.Attest) { a.PointOfCare = bad },
		"patients[1].point_of_care.id":  func(a *clientassertion.Attest) { a.Patients[1].PointOfCare = bad },
	} {
		changed := attest
		changed.Patients = slices.Clone(attest.Patients)
		change(&changed)
		detail, err := changed.Detail()
		require.NoError(t, err)
		raw, err := clientassertion.ParseDetail([]byte(" " + detail.String()))
		require.NoError(t, err)
		for _, detail := range []clientassertion.Detail{detail, raw} {
			err := detail.CheckDigits()
			if path == "" {
				require.NoError(t, err)
				continue
			}
			require.ErrorContains(t, err, "("+path+")")
			require.NotContains(t, err.Error(), bad)
		}
	}
	require.Error(t, clientassertion.Detail{}.CheckDigits())
}

// T100: there is no certificate store here. A PEM file may hold a certificate
// beside the key; one with a certificate alone is a clear error.
func TestT100Certificates(t *testing.T) {
	t.Parallel()
	private := testkit.EC["ES256"]()
	certify := func(from, to time.Time, usage x509.KeyUsage) string {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "virksomhetssertifikat"}, NotBefore: from, NotAfter: to, KeyUsage: usage,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
		require.NoError(t, err)
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	now := time.Now()
	good := certify(now.Add(-time.Hour), now.Add(time.Hour), x509.KeyUsageDigitalSignature)
	for name, text := range map[string]string{
		"T100 key, certificate": key + good, "T100 certificate, key": good + key, "T100 chain, key": good + good + key,
		// HelseID knows the key and not the certificate, whose dates and usage
		// therefore say nothing.
		"T100 expired":        certify(now.Add(-2*time.Hour), now.Add(-time.Hour), x509.KeyUsageDigitalSignature) + key,
		"T100 not valid yet":  certify(now.Add(time.Hour), now.Add(2*time.Hour), x509.KeyUsageDigitalSignature) + key,
		"T100 for encryption": certify(now.Add(-time.Hour), now.Add(time.Hour), x509.KeyUsageKeyEncipherment) + key,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parsed, err := clientassertion.ParseKey([]byte(text), clientassertion.KeyOptions{KeyID: "kid-1"})
			require.NoError(t, err)
			assertion, err := newSigner(t, parsed).Sign(t.Context())
			require.NoError(t, err)
			decode(t, assertion, newKey(t, "ES256"))
		})
	}
	for name, text := range map[string]string{"T100 certificate alone": good, "T100 chain alone": good + good} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := clientassertion.ParseKey([]byte(text), clientassertion.KeyOptions{})
			require.ErrorIs(t, err, clientassertion.ErrKey)
			require.ErrorContains(t, err, "private key")
		})
	}
}

func FuzzOrganizationDetail(f *testing.F) {
	for _, seed := range [][2]string{
		{"", "222333444"}, {"111222333", ""}, {"111222333", "222333444"}, {"", ""}, {"111222333:", "222333444"}, {`1"},"x":`, ""}, {"٩٩٩٩٧٧٧٧٥", ""},
		{"11122233\n", ""}, {uuid, uuid},
	} {
		for variants := range byte(8) {
			f.Add(seed[0], seed[1], variants)
		}
	}
	key := newKey(f, "ES256")
	f.Fuzz(func(t *testing.T, parent, child string, bits byte) {
		variants := clientassertion.Variants{
			OldSingleTenantSystem: bits&1 != 0, TrailingColon: bits&2 != 0, AuthorizationDetails: bits&4 != 0,
		}
		organization := clientassertion.Organization{Parent: identity.OrganizationNumber(parent), Child: identity.OrganizationNumber(child)}
		isNumber := func(text string) bool {
			digits := 0
			for _, r := range text {
				if r < '0' || r > '9' {
					return false
				}
				digits++
			}
			return digits == 9
		}
		fits := (parent != "" || child != "") && (parent == "" || isNumber(parent)) && (child == "" || isNumber(child))
		detail, err := clientassertion.OrganizationDetail(organization, "", variants)
		require.Equal(t, fits, err == nil)
		if err != nil {
			require.Empty(t, detail.String())
			if len(parent) >= 6 {
				require.NotContains(t, err.Error(), parent)
			}
			return
		}
		_ = detail.CheckDigits()
		again, err := clientassertion.ParseDetail([]byte(detail.String()))
		require.NoError(t, err)
		require.Equal(t, detail, again)
		for tenancy, allowed := range map[identity.Tenancy]bool{
			identity.SingleTenant: parent == "", identity.MultiTenant: parent != "", "x": false,
		} {
			strict, err := clientassertion.OrganizationDetail(organization, tenancy, variants)
			require.Equal(t, allowed, err == nil)
			if allowed {
				require.Equal(t, detail, strict)
			}
		}
		assertion, err := newSigner(t, key).Sign(context.Background(), detail)
		require.NoError(t, err)
		require.Len(t, decode(t, assertion, key).claims, 8)
	})
}

func FuzzAttest(f *testing.F) {
	f.Add("LE", "", "111222333", "", "", "TREAT", "id", true, "222333444", "RESH")
	f.Add("", "", "111222333", "222333444", "1", "BTG", "\"},\"x\":{", false, "", "")
	f.Add("LE", "urn:x", "1", "2", "\u2028", "treat", "", true, "3", "\x7f")
	f.Add("\\", "\"", "111222333", "111222333", "<&>", "COC", "å€😀", true, "", "\n")
	f.Fuzz(func(t *testing.T, code, system, legal, point, department, purpose, decision string, selected bool, patientPoint, patientDepartment string) {
		attest := clientassertion.Attest{
			Authorization: clientassertion.Code{Code: code, System: system}, LegalEntity: legal, PointOfCare: point, Department: department,
			PurposeOfUse: purpose, DecisionID: decision, UserSelected: selected,
			Patients: []clientassertion.AttestPatient{{PointOfCare: patientPoint, Department: patientDepartment}},
		}
		before := attest
		detail, err := attest.Detail()
		require.Equal(t, before, attest)
		if err != nil {
			require.Empty(t, detail.String())
			return
		}
		require.Equal(t, claims.AttestType, detail.Type())
		var got attestJSON
		require.NoError(t, json.Unmarshal([]byte(detail.String()), &got))
		same := func(want, got string) {
			if utf8.ValidString(want) {
				require.Equal(t, want, got)
			}
		}
		require.Equal(t, legal, got.Practitioner.LegalEntity.ID)
		if point == "" {
			point = legal
		}
		require.Equal(t, point, got.Practitioner.PointOfCare.ID)
		same(department, got.Practitioner.Department.ID)
		same(code, got.Practitioner.Authorization.Code)
		require.Equal(t, purpose, got.CareRelationship.PurposeOfUse.Code)
		same(decision, got.CareRelationship.DecisionRef.ID)
		require.Equal(t, selected, got.CareRelationship.DecisionRef.UserSelected)
		require.Len(t, got.Patients, 1)
		require.Equal(t, patientPoint, got.Patients[0].PointOfCare.ID)
		same(patientDepartment, got.Patients[0].Department.ID)
	})
}
