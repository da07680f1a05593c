package testtoken

import (
	"maps"
	"strings"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/claim"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/jose"
)

// generation reports whether the defaults and the parameters of a kind of claims are
// used. TTT's samples send 0 (none) together with parameters, so parameters that are
// given are used; without the member, the older switch decides.
func (r *request) generation(name, older string) (defaults, parameters bool) {
	switch value, given := r.reader.number(name); {
	case !given:
		return !r.reader.bool(older), true
	case value == 0 || value == 2:
		return false, true
	case value == 1:
		return true, false
	case value == 3:
		return true, true
	}
	r.reader.fail(name)
	return false, false
}

func (r *request) client() {
	defaults, parameters := r.generation("clientClaimsParametersGeneration", "withoutDefaultClientClaims")
	if defaults {
		r.add(mint.ClientID(mint.DefaultClientID), mint.ClientName("helseidtest client"), mint.ClientAuthentication("private_key_jwt"),
			mint.Tenancy(identity.SingleTenant), mint.TokenID(strings.ToUpper(jose.NewID())))
	}
	if !parameters {
		return
	}
	part := r.reader.child("clientClaimsParameters")
	if scopes := part.texts("scope"); len(scopes) > 0 {
		r.add(mint.Scopes(scopes...))
	}
	if methods := part.texts("authenticationMethodsReferences"); len(methods) > 0 {
		r.add(mint.AuthenticationMethods(methods...))
	}
	r.text(part, "clientId", mint.ClientID)
	r.text(part, "clientName", mint.ClientName)
	r.text(part, "orgnrParent", setting(claim.Parent))
	r.text(part, "orgnrChild", setting(claim.Child))
	r.text(part, "orgnrSupplier", setting(claim.Supplier))
	r.text(part, "sfmJournalId", mint.JournalID)
	r.text(part, "clientAuthenticationMethodsReferences", mint.LegacyClientAuthentication)
	r.text(part, "jti", mint.TokenID)
	r.text(part, "cnfJkt", mint.BoundTo)
	r.text(part, "cnfPublicKey", func(jwk string) mint.TokenOption { return mint.BoundToJWK([]byte(jwk)) })
	if part.bool("clientTenancy") {
		tenancies := []identity.Tenancy{identity.MultiTenant, identity.SingleTenant, identity.NoTenancy}
		kind, _ := part.number("clientTenancyType")
		if kind < 0 || kind >= int64(len(tenancies)) {
			part.fail("clientTenancyType")
			return
		}
		r.add(mint.Tenancy(tenancies[kind]))
	}
}

func (r *request) user() {
	defaults, parameters := r.generation("userClaimsParametersGeneration", "withoutDefaultUserClaims")
	if defaults {
		user := r.service.SomeUser()
		for _, name := range []string{claim.PID, claim.PIDPseudonym, claim.HPRNumber, claim.SecurityLevel} {
			delete(user, name)
		}
		r.add(mint.Claims(func(claims map[string]any) { maps.Copy(claims, user) }))
	}
	if !parameters {
		return
	}
	part := r.reader.child("userClaimsParameters")
	pid := part.text("pid")
	r.derived(part, pid)
	for name, option := range map[string]func(string) mint.TokenOption{
		"pid": mint.PersonalIdentityNumber, "pidPseudonym": mint.Pseudonym, "hprNumber": mint.HPRNumber,
		"name": setting("name"), "givenName": setting("given_name"), "middleName": setting("middle_name"), "familyName": setting("family_name"),
		"identityProvider": mint.IdentityProvider, "securityLevel": setting(claim.SecurityLevel), "assuranceLevel": mint.AssuranceLevel,
		"network": mint.Network, "amr": func(method string) mint.TokenOption { return mint.AuthenticationMethods(method) },
		"subject": mint.Subject, "sid": mint.SessionID,
	} {
		r.text(part, name, option)
	}
}

// derived adds claims that follow from the person's number, unless other parameters set
// them.
func (r *request) derived(part *memberReader, pid string) {
	names, hpr := r.reader.bool("getPersonFromPersontjenesten"), r.reader.bool("getHprNumberFromHprregisteret")
	pseudonym, subject := r.reader.bool("setPidPseudonym"), r.reader.bool("setSubject")
	if !names && !hpr && !pseudonym && !subject {
		return
	}
	user, known := r.service.Person(pid)
	if !known {
		part.fail("pid (it must be one of the server's users)")
		return
	}
	if names {
		r.add(mint.Name(user.GivenName, user.MiddleName, user.FamilyName))
		if r.reader.bool("onlySetNameForPerson") {
			r.add(mint.Claim("given_name", nil), mint.Claim("middle_name", nil), mint.Claim("family_name", nil))
		}
	}
	if hpr {
		r.add(mint.HPRNumber(user.HPRNumber))
	}
	if pseudonym {
		r.add(mint.Pseudonym(user.Subject))
	}
	if subject {
		r.add(mint.Subject(user.Subject))
	}
}
