package tokenvalidation

import (
	"strings"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/claims"
	"github.com/helseid-go/sdk/internal/jose"
)

// Claim names, as HelseID writes them.
const (
	claimClientName = "helseid://claims/client/client_name"
	claimTenancy    = "helseid://claims/client/client_tenancy"
	claimParent     = "helseid://claims/client/claims/orgnr_parent"
	claimChild      = "helseid://claims/client/claims/orgnr_child"
	claimSupplier   = "helseid://claims/client/claims/orgnr_supplier"
	claimJournalID  = "nhn:sfm:journal-id"
	claimSFMID      = "e-helse:sfm.api/client/claims/sfm-id"
	claimAttest     = claims.AttestType
)

// decoder reads the claims that access tokens alone have.
type decoder struct {
	claims.Decoder
}

// decodeClaims reads the claims of a valid token.
func decodeClaims(object jose.Object) *Claims {
	d := &decoder{claims.Decoder{Object: object}}
	read := &Claims{
		Issuer:               d.Text("iss"),
		Audience:             d.Texts("aud"),
		ID:                   d.Text("jti"),
		IssuedAt:             d.Time("iat"),
		NotBefore:            d.Time("nbf"),
		Expiry:               d.Time("exp"),
		Scopes:               d.scopes(),
		ClientID:             d.Text("client_id"),
		ClientName:           d.Text(claimClientName),
		ClientAuthentication: d.Text("client_amr"),
		Tenancy:              d.tenancy(),
		Organization:         d.organization(),
		Subject:              d.Text("sub"),
		OriginalClientID:     d.Text(claims.OriginalClientID),
		Actor:                d.actor(),
		JournalID:            d.Text(claimJournalID),
		SFMID:                d.Text(claimSFMID),
		Attest:               d.attest(),
		Confirmation:         confirmation(object),
		object:               func() jose.Object { return object },
	}
	read.User = d.User(claims.Parties{Subject: read.Subject, ClientID: read.ClientID, OriginalClientID: read.OriginalClientID})
	read.Malformed = d.Malformed
	return read
}

// scopes reads both forms that occur: an array, as HelseID writes it, and one
// string with spaces (RFC 9068 section 2.2.3).
func (d *decoder) scopes() []string {
	value := d.Object.Get("scope")
	text, ok := value.Text()
	if !ok {
		return d.Texts("scope")
	}
	scopes := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' })
	if len(scopes) > claims.MaxList {
		d.Wrong("scope")
		return nil
	}
	return scopes
}

func (d *decoder) tenancy() identity.Tenancy {
	switch tenancy := identity.Tenancy(d.Text(claimTenancy)); tenancy {
	case "":
		return identity.SingleTenant
	case identity.NoTenancy, identity.SingleTenant, identity.MultiTenant:
		return tenancy
	}
	d.Wrong(claimTenancy)
	return identity.NoTenancy
}

func (d *decoder) organization() identity.Organization {
	return identity.Organization{
		Parent:   d.OrganizationNumber(claimParent),
		Child:    d.OrganizationNumber(claimChild),
		Supplier: d.OrganizationNumber(claimSupplier),
	}
}

// maxActors bounds the chain of token exchanges. A token with a longer one is
// refused, so that Claims always have the whole chain.
const maxActors = 10

// tooManyActors reports that a chain of actors is longer than maxActors.
func tooManyActors(object jose.Object) bool {
	for range maxActors + 1 {
		next, ok := object.Get("act").Object()
		if !ok {
			return false
		}
		object = next
	}
	return true
}

func (d *decoder) actor() *Actor {
	value := d.Object.Get("act")
	if value.Absent() {
		return nil
	}
	object, ok := value.Object()
	if !ok {
		d.Wrong("act")
		return nil
	}
	return d.actorOf(object, 1)
}

func (d *decoder) actorOf(object jose.Object, depth int) *Actor {
	inner := &decoder{claims.Decoder{Object: object}}
	actor := &Actor{
		Issuer:       inner.Text("iss"),
		ClientID:     inner.Text("client_id"),
		Organization: inner.organization(),
	}
	value := object.Get("act")
	if next, ok := value.Object(); ok && depth < maxActors {
		actor.Actor = d.actorOf(next, depth+1)
	} else if !value.Absent() {
		d.Wrong("act")
	}
	for _, name := range inner.Malformed {
		d.Wrong("act." + name)
	}
	return actor
}

// confirmation reads cnf (RFC 7800). A member other than jkt is a requirement that
// cannot be met here, so it makes the token unusable instead of being ignored.
func confirmation(object jose.Object) Confirmation {
	if !object.Has("cnf") {
		return Confirmation{}
	}
	found := Confirmation{Present: true, Unsupported: true}
	cnf, ok := object.Get("cnf").Object()
	if !ok {
		return found
	}
	jkt, ok := cnf.Get("jkt").Text()
	if ok && jkt != "" && len(cnf.Names()) == 1 {
		found.Thumbprint, found.Unsupported = jkt, false
	}
	return found
}
