package tokenvalidation

import (
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/claims"
)

// maxPatients is how many patients an attest may name. It is made for the one whose
// data is asked for, and another patient takes another attest (ATT-58). All of them are
// copied at each call.
const maxPatients = 32

// Attest is the trust framework's statement of why a clinician may see a
// patient's data, as HelseID has completed it. Parts that the token lacks are
// zero.
//
// Source: Norsk helsenett, Tillitsrammeverk, information and data model.
type Attest struct {
	// AttestedAt is toa, the time of attestation.
	AttestedAt time.Time

	Practitioner     Practitioner
	CareRelationship CareRelationship

	// Patients are 32 at most: a longer list counts as malformed and is left out.
	Patients []Patient
}

// Practitioner is the clinician, and where the clinician works.
type Practitioner struct {
	// Identifier is the national identity number with the clinician's name.
	Identifier Person

	HPRNumber     Identifier
	Authorization Code
	LegalEntity   Identifier
	PointOfCare   Identifier
	Department    Identifier
}

// CareRelationship is the reason for the access.
type CareRelationship struct {
	HealthcareService   Code
	PurposeOfUse        Code
	PurposeOfUseDetails Code
	Decision            Decision
}

// Decision refers to the decision to give access, in the clinician's system.
type Decision struct {
	ID string

	// UserSelected is true if the clinician granted the access themselves, false
	// if the system derived it.
	UserSelected bool
}

// Patient is whom the data is about, and where they are treated.
type Patient struct {
	Identifier  Person
	PointOfCare Identifier
	Department  Identifier
}

// Person is a person's national identity number in a register.
type Person struct {
	Number    identity.PersonalIdentityNumber
	Name      string
	System    string
	Authority string
}

// Identifier identifies an organisation, a department or a registration.
type Identifier struct {
	ID        string
	Name      string
	System    string
	Authority string
}

// Code is a value of a code system.
type Code struct {
	Code     string
	Text     string
	System   string
	Assigner string
}

// attest reads the claim. Like every other it is left out when it is of a wrong
// type, and so is each of its parts.
func (d *decoder) attest() *Attest {
	value := d.Object.Get(claimAttest)
	if value.Absent() {
		return nil
	}
	object, ok := value.Object()
	if !ok {
		d.Wrong(claimAttest)
		return nil
	}
	root := &attestDecoder{Decoder: claims.Decoder{Object: object}, outer: &d.Decoder}
	practitioner, relationship := root.child("practitioner"), root.child("care_relationship")
	decision := relationship.child("decision_ref")
	attest := &Attest{
		AttestedAt: root.Time("toa"),
		Practitioner: Practitioner{
			Identifier:    practitioner.person("identifier"),
			HPRNumber:     practitioner.identifier("hpr_nr"),
			Authorization: practitioner.code("authorization"),
			LegalEntity:   practitioner.identifier("legal_entity"),
			PointOfCare:   practitioner.identifier("point_of_care"),
			Department:    practitioner.identifier("department"),
		},
		CareRelationship: CareRelationship{
			HealthcareService:   relationship.code("healthcare_service"),
			PurposeOfUse:        relationship.code("purpose_of_use"),
			PurposeOfUseDetails: relationship.code("purpose_of_use_details"),
			Decision:            Decision{ID: decision.Text("id"), UserSelected: decision.Bool("user_selected")},
		},
	}
	for _, patient := range root.children("patients", maxPatients) {
		attest.Patients = append(attest.Patients, Patient{
			Identifier:  patient.person("identifier"),
			PointOfCare: patient.identifier("point_of_care"),
			Department:  patient.identifier("department"),
		})
		patient.report()
	}
	for _, part := range []*attestDecoder{root, practitioner, relationship, decision} {
		part.report()
	}
	return attest
}

// attestDecoder reads one object of the attest.
type attestDecoder struct {
	claims.Decoder
	path  string
	outer *claims.Decoder
}

// report hands the names of malformed members on, with where they are.
func (d *attestDecoder) report() {
	for _, name := range d.Malformed {
		d.outer.Wrong(claimAttest + d.path + "." + name)
	}
	d.Malformed = nil
}

// child returns a decoder of a member, which is empty if the member is.
func (d *attestDecoder) child(name string) *attestDecoder {
	value := d.Object.Get(name)
	object, ok := value.Object()
	if !ok && !value.Absent() {
		d.Wrong(name)
	}
	return &attestDecoder{Decoder: claims.Decoder{Object: object}, path: d.path + "." + name, outer: d.outer}
}

// children returns decoders of the objects of a list, of so many at most.
func (d *attestDecoder) children(name string, limit int) []*attestDecoder {
	value := d.Object.Get(name)
	if value.Absent() {
		return nil
	}
	values, ok := value.Array()
	if !ok || len(values) > limit {
		d.Wrong(name)
		return nil
	}
	var found []*attestDecoder
	for _, value := range values {
		object, ok := value.Object()
		if !ok {
			d.Wrong(name)
			continue
		}
		found = append(found, &attestDecoder{Decoder: claims.Decoder{Object: object}, path: d.path + "." + name, outer: d.outer})
	}
	return found
}

func (d *attestDecoder) identifier(name string) Identifier {
	part := d.child(name)
	defer part.report()
	return Identifier{
		ID:        part.Text("id"),
		Name:      part.Text("name"),
		System:    part.Text("system"),
		Authority: part.Text("authority"),
	}
}

func (d *attestDecoder) person(name string) Person {
	part := d.identifier(name)
	return Person{
		Number:    identity.NewPersonalIdentityNumber(part.ID),
		Name:      part.Name,
		System:    part.System,
		Authority: part.Authority,
	}
}

func (d *attestDecoder) code(name string) Code {
	part := d.child(name)
	defer part.report()
	return Code{
		Code:     part.Text("code"),
		Text:     part.Text("text"),
		System:   part.Text("system"),
		Assigner: part.Text("assigner"),
	}
}
