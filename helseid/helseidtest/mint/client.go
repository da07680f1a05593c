package mint

import (
	"github.com/helseid-go/sdk/helseid/helseidtest/internal/claim"
	"github.com/helseid-go/sdk/helseid/identity"
)

// The organisations of clients: the client's own organisation, and the supplier of a
// multi-tenant client.
const (
	DefaultParentOrganization = "994598759"
	DefaultSupplier           = "987654325"
)

// ClientID sets the client.
func ClientID(id string) TokenOption { return Claim("client_id", id) }

// ClientName sets the client's name.
func ClientName(name string) TokenOption { return Claim(claim.ClientName, name) }

// Tenancy sets the client's tenancy, such as [identity.MultiTenant]. An empty one
// removes the claim.
func Tenancy(tenancy identity.Tenancy) TokenOption {
	if tenancy == "" {
		return Claim(claim.ClientTenancy, nil)
	}
	return Claim(claim.ClientTenancy, string(tenancy))
}

// Organization sets the organisation that the token is for. Empty parts are left out. A
// supplier makes the client multi-tenant. An API that requires another organisation
// refuses it: parent_organization, child_organization or supplier_organization.
func Organization(parent, child, supplier string) TokenOption {
	values := map[string]any{claim.Parent: nil, claim.Child: nil, claim.Supplier: nil}
	for name, value := range map[string]string{claim.Parent: parent, claim.Child: child, claim.Supplier: supplier} {
		if value != "" {
			values[name] = value
		}
	}
	if supplier != "" {
		values[claim.ClientTenancy] = "multi-tenant"
	}
	return claims(values)
}

// Supplier sets the supplier to which the token's organisation has delegated, and makes
// the client multi-tenant. Unlike [Organization], it leaves the other organisations
// unchanged.
func Supplier(number string) TokenOption {
	return claims(map[string]any{claim.Supplier: number, claim.ClientTenancy: string(identity.MultiTenant)})
}

// JournalID sets the SFM journal of a multi-tenant client.
func JournalID(id string) TokenOption { return Claim(claim.JournalID, id) }

// SFMID sets the SFM journal that a single-tenant client is registered with.
func SFMID(id string) TokenOption { return Claim(claim.SFMID, id) }

// ClientAuthentication sets client_amr: how the client authenticated, such as
// private_key_jwt.
func ClientAuthentication(method string) TokenOption { return Claim("client_amr", method) }

// LegacyClientAuthentication sets the older form of client_amr, which has values
// of its own, such as rsa_private_key.
func LegacyClientAuthentication(method string) TokenOption { return Claim(claim.ClientAMR, method) }

// APIClientClaim sets a claim that an API's owner has defined for its clients:
// "nhn:some-api" and "some-id" make nhn:some-api/client/claims/some-id.
func APIClientClaim(api, name string, value any) TokenOption {
	return Claim(api+"/client/claims/"+name, value)
}
