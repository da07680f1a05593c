package helseidtest

import (
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// ClientName sets the client's name.
func ClientName(name string) TokenOption { return Claim(claimClientName, name) }

// Tenancy sets the client's tenancy, as tokenvalidation.TenancyMulti. An empty
// one takes the claim out.
func Tenancy(tenancy tokenvalidation.Tenancy) TokenOption {
	if tenancy == "" {
		return Claim(claimClientTenancy, nil)
	}
	return Claim(claimClientTenancy, string(tenancy))
}

// Supplier sets the organisation to which the one that the token is for has
// delegated, and makes the client a multi-tenant one. It leaves the other
// organisations as they are, unlike Organization.
func Supplier(number string) TokenOption {
	return claims(map[string]any{claimSupplier: number, claimClientTenancy: string(tokenvalidation.TenancyMulti)})
}

// JournalID sets the SFM journal of a multi-tenant client.
func JournalID(id string) TokenOption { return Claim(detailJournalID, id) }

// SFMID sets the SFM journal that a single-tenant client is registered with.
func SFMID(id string) TokenOption { return Claim(claimSFMID, id) }

// ClientAuthentication sets client_amr: how the client authenticated, such as
// private_key_jwt.
func ClientAuthentication(method string) TokenOption { return Claim("client_amr", method) }

// LegacyClientAuthentication sets the older twin of client_amr, which has values
// of its own, such as rsa_private_key.
func LegacyClientAuthentication(method string) TokenOption { return Claim(claimClientAMR, method) }

// APIClientClaim sets a claim that an API's owner has defined for its clients:
// "nhn:some-api" and "some-id" make nhn:some-api/client/claims/some-id.
func APIClientClaim(api, name string, value any) TokenOption {
	return Claim(api+"/client/claims/"+name, value)
}

// TokenID sets jti.
func TokenID(id string) TokenOption { return Claim("jti", id) }

// BoundToJWK binds the token to the DPoP key with this public JWK. Server.Token
// panics if it is not one.
func BoundToJWK(publicJWK []byte) TokenOption {
	return func(s *tokenSpec) {
		thumbprint, err := thumbprintOf(publicJWK)
		if err != nil {
			s.fail(err)
			return
		}
		BoundTo(thumbprint)(s)
	}
}

func thumbprintOf(publicJWK []byte) (string, error) {
	object, err := jose.ParseObject(publicJWK)
	if err != nil {
		return "", err
	}
	public, err := jose.ParsePublicJWK(object, "")
	if err != nil {
		return "", err
	}
	return public.Thumbprint(), nil
}

// Actor is a client that has exchanged a token.
type Actor struct {
	// ClientID and ParentOrganization are the client and its organisation. An
	// empty organisation is left out.
	ClientID, ParentOrganization string

	// Issuer is who says so. Empty means the token's issuer.
	Issuer string
}

// ExchangedBy makes the token that of a token exchange: the actor is its client
// and on top of its chain of actors, and the client before the first exchange is
// the original one. Give it several times for a chain, the newest last.
func ExchangedBy(actor Actor) TokenOption {
	return func(s *tokenSpec) {
		act := map[string]any{"iss": s.claims["iss"], "client_id": actor.ClientID}
		if actor.Issuer != "" {
			act["iss"] = actor.Issuer
		}
		if actor.ParentOrganization != "" {
			act[claimParent] = actor.ParentOrganization
		}
		if before := s.claims["act"]; before != nil {
			act["act"] = before
		}
		if s.claims[claimOriginalClient] == nil {
			s.claims[claimOriginalClient] = s.claims["client_id"]
		}
		s.claims["client_id"], s.claims["act"] = actor.ClientID, act
	}
}
