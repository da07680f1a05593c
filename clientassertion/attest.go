package clientassertion

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/internal/claims"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/orgnr"
)

// Code systems of the trust framework.
const (
	// SystemAuthorization: authorisations of health personnel (9060).
	SystemAuthorization = "urn:oid:2.16.578.1.12.4.1.1.9060"

	// SystemServiceSpecialist, SystemServiceMunicipal and SystemServiceOther:
	// healthcare services (8655, 8663, 8666), by sector.
	SystemServiceSpecialist = "urn:oid:2.16.578.1.12.4.1.1.8655"
	SystemServiceMunicipal  = "urn:oid:2.16.578.1.12.4.1.1.8663"
	SystemServiceOther      = "urn:oid:2.16.578.1.12.4.1.1.8666"

	// SystemCareRelation: details of the purpose of use in hospitals.
	SystemCareRelation = "urn:AuditEventHL7Norway/CodeSystem/carerelation"

	systemOrganization = "urn:oid:2.16.578.1.12.4.1.4.101"
	systemDepartment   = "urn:oid:2.16.578.1.12.4.1.4.102"
	systemPurpose      = "urn:oid:2.16.840.1.113883.1.11.20448"
)

// The purposes of use.
const (
	PurposeTreatment          = "TREAT"
	PurposeEmergencyTreatment = "ETREAT"
	PurposeCoordination       = "COC"
	PurposeBreakTheGlass      = "BTG"
)

// Attest states why a clinician may see a patient's data, according to the trust
// framework (tillitsrammeverket). It contains codes and identifiers only; HelseID adds
// their names and the identity of the clinician. It may be used for 60 minutes (ATT-58),
// and must be discarded when the user switches to another patient. Printed, logged or
// marshalled it reads "[redacted]".
//
// Source: Norsk helsenett, Tillitsrammeverk, information and data model.
type Attest struct {
	unprintable

	// Authorization is the clinician's authorisation, such as {Code: "LE"} for a
	// physician. Its System is [SystemAuthorization] unless set. Leave it empty if
	// there is none.
	Authorization Code

	// LegalEntity is the organisation number of the clinician's legal entity.
	// Required.
	LegalEntity string

	// PointOfCare is the organisation number of the place where the clinician works.
	// Empty means LegalEntity, for an organisation without sub-units (ATT-19).
	PointOfCare string

	// Department is the clinician's department, by its RESH id. Optional.
	Department string

	// HealthcareService is the kind of healthcare service, with its code system. Leave
	// it empty if there is none.
	HealthcareService Code

	// PurposeOfUse is [PurposeTreatment], [PurposeEmergencyTreatment],
	// [PurposeCoordination] or [PurposeBreakTheGlass]. Required.
	PurposeOfUse string

	// PurposeOfUseDetails gives more detail, with its code system. Optional.
	PurposeOfUseDetails Code

	// DecisionID identifies the decision to grant access in the clinician's own system.
	// Required.
	DecisionID string

	// UserSelected is true if the clinician granted the access themselves, false
	// if the system derived it (ATT-48).
	UserSelected bool

	// Patients says where the patient is treated. Leave out the parts that are in
	// another system (ATT-51, ATT-56).
	Patients []AttestPatient
}

// AttestPatient is where a patient is treated: an organisation number and a
// RESH id, both optional.
type AttestPatient struct {
	PointOfCare string
	Department  string
}

// Code is a code from a code system.
type Code struct {
	Code   string
	System string
}

// Detail checks the attest, reports all its mistakes at once, and returns it as a
// [Detail] of type nhn:tillitsrammeverk:parameters.
func (a Attest) Detail() (Detail, error) {
	if a.PointOfCare == "" {
		a.PointOfCare = a.LegalEntity
	}
	if a.Authorization.Code != "" && a.Authorization.System == "" {
		a.Authorization.System = SystemAuthorization
	}
	if err := a.check(); err != nil {
		return Detail{}, fmt.Errorf("attest: %w", err)
	}
	var practitioner, relationship, decision, detail jose.ObjectBuilder
	addCode(&practitioner, "authorization", a.Authorization)
	addIdentifier(&practitioner, "legal_entity", a.LegalEntity, systemOrganization)
	addIdentifier(&practitioner, "point_of_care", a.PointOfCare, systemOrganization)
	addIdentifier(&practitioner, "department", a.Department, systemDepartment)

	decision.String("id", a.DecisionID)
	decision.Raw("user_selected", fmt.Sprint(a.UserSelected))
	addCode(&relationship, "healthcare_service", a.HealthcareService)
	addCode(&relationship, "purpose_of_use", Code{a.PurposeOfUse, systemPurpose})
	addCode(&relationship, "purpose_of_use_details", a.PurposeOfUseDetails)
	relationship.Raw("decision_ref", string(decision.Bytes()))

	patients := make([]string, len(a.Patients))
	for i, place := range a.Patients {
		var patient jose.ObjectBuilder
		addIdentifier(&patient, "point_of_care", place.PointOfCare, systemOrganization)
		addIdentifier(&patient, "department", place.Department, systemDepartment)
		patients[i] = string(patient.Bytes())
	}
	detail.String("type", claims.AttestType)
	detail.Raw("practitioner", string(practitioner.Bytes()))
	detail.Raw("care_relationship", string(relationship.Bytes()))
	if len(patients) > 0 {
		detail.Raw("patients", "["+strings.Join(patients, ",")+"]")
	}
	return ParseDetail(detail.Bytes())
}

func (a Attest) check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	checkNumber := func(name, number string) {
		if number != "" && !orgnr.IsNumber(number) {
			fail("field %s: an organisation number has nine digits", name)
		}
	}
	if a.LegalEntity == "" {
		fail("field LegalEntity is required")
	}
	checkNumber("LegalEntity", a.LegalEntity)
	checkNumber("PointOfCare", a.PointOfCare)
	for i, patient := range a.Patients {
		checkNumber(fmt.Sprintf("Patients[%d].PointOfCare", i), patient.PointOfCare)
	}
	purposes := []string{PurposeTreatment, PurposeEmergencyTreatment, PurposeCoordination, PurposeBreakTheGlass}
	if !slices.Contains(purposes, a.PurposeOfUse) {
		fail("field PurposeOfUse: use one of %s", strings.Join(purposes, ", "))
	}
	if a.DecisionID == "" {
		fail("field DecisionID is required")
	}
	for _, field := range []struct {
		name string
		code Code
	}{{"Authorization", a.Authorization}, {"HealthcareService", a.HealthcareService}, {"PurposeOfUseDetails", a.PurposeOfUseDetails}} {
		if (field.code.Code == "") != (field.code.System == "") {
			fail("field %s: code and system go together", field.name)
		}
	}
	return errors.Join(errs...)
}

func addCode(object *jose.ObjectBuilder, name string, code Code) {
	if code.Code == "" {
		return
	}
	var value jose.ObjectBuilder
	value.String("code", code.Code)
	value.String("system", code.System)
	object.Raw(name, string(value.Bytes()))
}

func addIdentifier(object *jose.ObjectBuilder, name, id, system string) {
	if id == "" {
		return
	}
	var value jose.ObjectBuilder
	value.String("id", id)
	value.String("system", system)
	object.Raw(name, string(value.Bytes()))
}
