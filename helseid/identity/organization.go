package identity

import "github.com/helseid-go/sdk/internal/orgnr"

// OrganizationNumber is a Norwegian organisation number: nine digits.
type OrganizationNumber string

// Valid reports whether the number has nine digits. A number with a typing error usually
// has, too: see [OrganizationNumber.ValidCheckDigit].
func (n OrganizationNumber) Valid() bool { return orgnr.IsNumber(string(n)) }

// ValidCheckDigit reports whether the last digit is the right check digit (modulus 11).
// Real numbers pass, and nearly all typing errors do not. Some of Norsk helsenett's test
// organisations do not either, so check it in production only, as the client itself does.
func (n OrganizationNumber) ValidCheckDigit() bool { return orgnr.HasValidCheckDigit(string(n)) }

// Organization holds the organisation numbers of a token. Numbers that the token does
// not have are empty.
type Organization struct {
	// Parent is the legal entity, Child the sub-unit.
	Parent OrganizationNumber `json:"parent,omitempty"`
	Child  OrganizationNumber `json:"child,omitempty"`

	// Supplier is the supplier to which Parent has delegated, for a multi-tenant
	// client.
	Supplier OrganizationNumber `json:"supplier,omitempty"`
}

// IsZero reports whether the token names no organisation.
func (o Organization) IsZero() bool { return o == Organization{} }

// Tenancy says whether a client serves its own organisation or several.
type Tenancy string

// The tenancies, as HelseID writes them in tokens
// (helseid://claims/client/client_tenancy).
const (
	SingleTenant Tenancy = "single-tenant"
	MultiTenant  Tenancy = "multi-tenant"

	// NoTenancy is in tokens of clients that are neither. It is not for configurations.
	NoTenancy Tenancy = "none"
)
