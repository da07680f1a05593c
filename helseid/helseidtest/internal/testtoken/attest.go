package testtoken

import (
	"cmp"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/uuid"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/helseidtest/internal/claim"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
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
	return attestPart{prefix, "Code", map[string]string{"Code": code, "Text": claim.RegisterText + " " + code, "System": system, "Assigner": claim.RegisterText}}
}

func attestIdentifier(prefix, id, system string) attestPart {
	return attestPart{prefix, "Id", map[string]string{"Id": id, "Name": claim.RegisterText + " " + id, "System": system, "Authority": claim.RegisterText}}
}

const (
	systemOrganization = "urn:oid:2.16.578.1.12.4.1.4.101"
	systemDepartment   = "urn:oid:2.16.578.1.12.4.1.4.102"
	systemPurpose      = "urn:oid:2.16.840.1.113883.1.11.20448"
)

// optional adds an object, unless the parameters say that it is left out.
func optional(reader *memberReader, object map[string]any, name, without string, part attestPart) {
	if !reader.bool(without) {
		object[name] = part.read(reader)
	}
}

// attest builds the claim from the parameters. Missing parts get defaults, unless the
// parameters say otherwise.
func (r *request) attest() {
	reader := r.reader.child("tillitsrammeverkClaimsParameters")
	if reader.text("careRelationshipTracingRefId") != "" {
		reader.fail("careRelationshipTracingRefId")
	}
	practitioner, relationship, patient := attestPractitioner(reader), attestRelationship(reader), attestPatient(reader)
	identifier := attestPart{"practitionerIdentifier", "Id", map[string]string{"System": claim.SystemIdentityNumber, "Authority": claim.RegisterText}}.read(reader)
	number := attestPart{"practitionerHprNr", "Id", map[string]string{"System": claim.SystemHPRNumber, "Authority": claim.RegisterText}}.read(reader)
	withoutNumber := reader.bool("dontSetPractitionerHprNr")
	r.add(mint.ClaimOf(claim.Attest, func(claims map[string]any) (any, error) { // when the user is known
		if pid := claims[claim.PID]; pid != nil {
			identifier["id"], identifier["name"] = pid, claims["name"]
			practitioner["identifier"] = identifier
		}
		if hpr := claims[claim.HPRNumber]; hpr != nil && !withoutNumber {
			number["id"] = hpr
			practitioner["hpr_nr"] = number
		}
		return map[string]any{
			"toa": claims["iat"], "practitioner": practitioner, "care_relationship": relationship, "patients": []any{patient},
		}, nil
	}))
}

func attestPractitioner(reader *memberReader) map[string]any {
	practitioner := map[string]any{
		"legal_entity":  attestIdentifier("practitionerLegalEntity", mint.DefaultParentOrganization, systemOrganization).read(reader),
		"point_of_care": attestIdentifier("practitionerPointOfCare", mint.DefaultParentOrganization, systemOrganization).read(reader),
	}
	optional(reader, practitioner, "authorization", "dontSetPractitionerAuthorization",
		attestCode("practitionerAuthorization", "LE", clientassertion.SystemAuthorization))
	optional(reader, practitioner, "department", "dontSetPractitionerDepartment",
		attestIdentifier("practitionerDepartment", "4208723", systemDepartment))
	return practitioner
}

func attestRelationship(reader *memberReader) map[string]any {
	decision := map[string]any{"id": cmp.Or(reader.text("careRelationshipDecisionRefId"), uuid.New()), "user_selected": true}
	if reader.has("careRelationshipDecisionRefUserSelected") {
		decision["user_selected"] = reader.bool("careRelationshipDecisionRefUserSelected")
	}
	relationship := map[string]any{
		"purpose_of_use": attestCode("careRelationshipPurposeOfUse", clientassertion.PurposeTreatment, systemPurpose).read(reader),
		"decision_ref":   decision,
	}
	service := attestCode("careRelationshipHealthcareService", "KX17", clientassertion.SystemServiceSpecialist)
	// NHN's tool spells two of its members without Service.
	service.defaults["System"] = cmp.Or(reader.text("careRelationshipHealthcareSystem"), service.defaults["System"])
	service.defaults["Assigner"] = cmp.Or(reader.text("careRelationshipHealthcareAssigner"), service.defaults["Assigner"])
	optional(reader, relationship, "healthcare_service", "dontSetCareRelationshipHealthcareService", service)
	optional(reader, relationship, "purpose_of_use_details", "dontSetCareRelationshipPurposeOfUseDetails",
		attestCode("careRelationshipPurposeOfUseDetails", "BEHANDLER", clientassertion.SystemCareRelation))
	return relationship
}

func attestPatient(reader *memberReader) map[string]any {
	patient := map[string]any{}
	optional(reader, patient, "point_of_care", "dontSetPatientsPointOfCare",
		attestIdentifier("patientsPointOfCare", mint.DefaultParentOrganization, systemOrganization))
	optional(reader, patient, "department", "dontSetPatientsDepartment",
		attestIdentifier("patientsDepartment", "4208723", systemDepartment))
	return patient
}
