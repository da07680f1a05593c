package clientassertion

import (
	"errors"
	"fmt"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/claims"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/orgnr"
)

// Organization says which organisation a token is for.
//
// A multi-tenant client names the legal entity that has delegated to its supplier
// (Parent) and optionally a sub-unit (Child). A single-tenant client names a sub-unit
// on its whitelist (Child) and no parent, because HelseID knows the parent from the
// registration.
//
// Source: HelseID, "Organisasjonsnumre", 16 February 2026.
type Organization struct {
	Parent identity.OrganizationNumber
	Child  identity.OrganizationNumber
}

// IsZero reports whether no organisation is named.
func (o Organization) IsZero() bool { return o == Organization{} }

func (o Organization) parts() [2]struct{ name, number string } {
	return [2]struct{ name, number string }{{"parent", string(o.Parent)}, {"child", string(o.Child)}}
}

// Variants choose between forms on which HelseID's sources disagree. The zero
// value follows the newest of them.
type Variants struct {
	// OldSingleTenantSystem names the sub-unit of a single-tenant client with the
	// system urn:oid:2.16.578.1.12.4.1.2.101, as an older sample does, instead of
	// urn:oid:2.16.578.1.12.4.1.4.101.
	OldSingleTenantSystem bool

	// TrailingColon writes a parent without a child as "NO:ORGNR:parent:", as Norsk
	// helsenett's .NET library does (March 2026), instead of "NO:ORGNR:parent", as its
	// Java library does (April 2026).
	TrailingColon bool

	// AuthorizationDetails puts details in the claim authorization_details, the older
	// name that HelseID still accepts in an assertion, instead of assertion_details
	// (requirement FK5).
	AuthorizationDetails bool
}

const (
	systemMultiTenant     = "urn:oid:1.0.6523"
	systemSingleTenant    = "urn:oid:2.16.578.1.12.4.1.4.101"
	systemSingleTenantOld = "urn:oid:2.16.578.1.12.4.1.2.101"

	// multiTenantPrefix precedes parent and child, which are separated by a colon.
	multiTenantPrefix = "NO:ORGNR:"
)

// OrganizationDetail returns the detail of type helseid_authorization for the
// organisation. The numbers must have nine digits. It is an error if the organisation
// does not fit the tenancy. If tenancy is empty, an organisation with a parent counts
// as multi-tenant and one without as single-tenant. Use the zero [Variants] unless
// HelseID has told you otherwise.
func OrganizationDetail(organization Organization, tenancy identity.Tenancy, variants Variants) (Detail, error) {
	if err := checkOrganization(organization, tenancy); err != nil {
		return Detail{}, err
	}
	system, value := systemSingleTenant, string(organization.Child)
	switch {
	case organization.Parent != "":
		system, value = systemMultiTenant, multiTenantPrefix+string(organization.Parent)
		if organization.Child != "" || variants.TrailingColon {
			value += ":" + string(organization.Child)
		}
	case variants.OldSingleTenantSystem:
		system = systemSingleTenantOld
	}
	return newDetail(claims.OrganizationType, `{"type":"`+claims.OrganizationType+`","practitioner_role":{"organization":{"identifier":{"system":"`+system+
		`","type":"ENH","value":"`+value+`"}}}}`), nil
}

func checkOrganization(organization Organization, tenancy identity.Tenancy) error {
	var errs []error
	for _, part := range organization.parts() {
		if part.number != "" && !orgnr.IsNumber(part.number) {
			errs = append(errs, fmt.Errorf("%s organisation number: it must have nine digits", part.name))
		}
	}
	switch {
	case tenancy != "" && tenancy != identity.SingleTenant && tenancy != identity.MultiTenant:
		errs = append(errs, fmt.Errorf("tenancy: use %q or %q", identity.SingleTenant, identity.MultiTenant))
	case tenancy == identity.SingleTenant && organization.Parent != "":
		errs = append(errs, errors.New("parent organisation number: a single-tenant client names none, HelseID knows it from the registration"))
	case tenancy == identity.MultiTenant && organization.Parent == "":
		errs = append(errs, errors.New("parent organisation number: a multi-tenant client must name the organisation that has delegated to it"))
	case organization.IsZero():
		errs = append(errs, errors.New("child organisation number: it is missing"))
	}
	return errors.Join(errs...)
}

// JournalIDDetail returns the detail of type nhn:sfm:journal-id, in which a
// multi-tenant client names a journal in SFM (Sentral forskrivningsmodul). The id is a
// UUID.
func JournalIDDetail(id string) (Detail, error) {
	if !isUUID(id) {
		return Detail{}, errors.New("SFM journal id: it must be a UUID")
	}
	var value, detail jose.ObjectBuilder
	value.String("journal_id", id)
	detail.String("type", typeJournalID)
	detail.Raw("value", string(value.Bytes()))
	return newDetail(typeJournalID, string(detail.Bytes())), nil
}

const typeJournalID = "nhn:sfm:journal-id"

func isUUID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i := range len(text) {
		c := text[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
				return false
			}
		}
	}
	return true
}
