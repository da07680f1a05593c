package helseidtest

import (
	"cmp"

	"github.com/helseid-go/sdk/clientassertion"
)

// attestPart is an object of the trust framework's claim, as TTT names its
// members: a prefix and the suffixes Code, Text, Id, Name, System, Authority and
// Assigner.
type attestPart struct {
	prefix, value string            // value is Code or Id
	defaults      map[string]string // by suffix
}

func (p attestPart) read(reader *memberReader) map[string]any {
	part := map[string]any{}
	add := func(suffix, member string) {
		if value := cmp.Or(reader.text(p.prefix+suffix), p.defaults[suffix]); value != "" {
			part[member] = value
		}
	}
	add("System", "system")
	if p.value == "Code" {
		add("Code", "code")
		add("Text", "text")
		add("Assigner", "assigner")
	} else {
		add("Id", "id")
		add("Name", "name")
		add("Authority", "authority")
	}
	return part
}

func attestCode(prefix, code, system string) attestPart {
	return attestPart{prefix, "Code", map[string]string{"Code": code, "Text": registerText + " " + code, "System": system, "Assigner": registerText}}
}

func attestIdentifier(prefix, id, system string) attestPart {
	return attestPart{prefix, "Id", map[string]string{"Id": id, "Name": registerText + " " + id, "System": system, "Authority": registerText}}
}

const (
	systemOrganization = "urn:oid:2.16.578.1.12.4.1.4.101"
	systemDepartment   = "urn:oid:2.16.578.1.12.4.1.4.102"
	systemPurpose      = "urn:oid:2.16.840.1.113883.1.11.20448"
)

// attest builds the claim from the parameters. What they leave out is filled
// in, unless they say that it shall not be.
func (r *testTokenRequest) attest() {
	part := r.reader.child("tillitsrammeverkClaimsParameters")
	if part.text("careRelationshipTracingRefId") != "" {
		part.fail("careRelationshipTracingRefId")
	}
	practitioner := map[string]any{
		"legal_entity":  attestIdentifier("practitionerLegalEntity", DefaultParentOrganization, systemOrganization).read(part),
		"point_of_care": attestIdentifier("practitionerPointOfCare", DefaultParentOrganization, systemOrganization).read(part),
	}
	optional := func(object map[string]any, name, without string, value attestPart) {
		if !part.bool(without) {
			object[name] = value.read(part)
		}
	}
	optional(practitioner, "authorization", "dontSetPractitionerAuthorization",
		attestCode("practitionerAuthorization", "LE", clientassertion.SystemAuthorization))
	optional(practitioner, "department", "dontSetPractitionerDepartment",
		attestIdentifier("practitionerDepartment", "4208723", systemDepartment))
	decision := map[string]any{"id": cmp.Or(part.text("careRelationshipDecisionRefId"), newUUID()), "user_selected": true}
	if part.has("careRelationshipDecisionRefUserSelected") {
		decision["user_selected"] = part.bool("careRelationshipDecisionRefUserSelected")
	}
	relationship := map[string]any{
		"purpose_of_use": attestCode("careRelationshipPurposeOfUse", clientassertion.PurposeTreatment, systemPurpose).read(part),
		"decision_ref":   decision,
	}
	service := attestCode("careRelationshipHealthcareService", "KX17", clientassertion.SystemServiceSpecialist)
	// NHN's tool spells two of its members without Service.
	service.defaults["System"] = cmp.Or(part.text("careRelationshipHealthcareSystem"), service.defaults["System"])
	service.defaults["Assigner"] = cmp.Or(part.text("careRelationshipHealthcareAssigner"), service.defaults["Assigner"])
	optional(relationship, "healthcare_service", "dontSetCareRelationshipHealthcareService", service)
	optional(relationship, "purpose_of_use_details", "dontSetCareRelationshipPurposeOfUseDetails",
		attestCode("careRelationshipPurposeOfUseDetails", "BEHANDLER", clientassertion.SystemCareRelation))
	patient := map[string]any{}
	optional(patient, "point_of_care", "dontSetPatientsPointOfCare",
		attestIdentifier("patientsPointOfCare", DefaultParentOrganization, systemOrganization))
	optional(patient, "department", "dontSetPatientsDepartment",
		attestIdentifier("patientsDepartment", "4208723", systemDepartment))

	identifier := attestPart{"practitionerIdentifier", "Id", map[string]string{"System": systemIdentityNumber, "Authority": registerText}}.read(part)
	number := attestPart{"practitionerHprNr", "Id", map[string]string{"System": systemHPRNumber, "Authority": registerText}}.read(part)
	withoutNumber := part.bool("dontSetPractitionerHprNr")
	r.add(Claim(detailAttest, pendingClaim(func(s *tokenSpec) (any, error) { // when the user is known
		if pid := s.claims[claimPID]; pid != nil {
			identifier["id"], identifier["name"] = pid, s.claims["name"]
			practitioner["identifier"] = identifier
		}
		if hpr := s.claims[claimHPRNumber]; hpr != nil && !withoutNumber {
			number["id"] = hpr
			practitioner["hpr_nr"] = number
		}
		return map[string]any{
			"toa": s.claims["iat"], "practitioner": practitioner, "care_relationship": relationship, "patients": []any{patient},
		}, nil
	})))
}
