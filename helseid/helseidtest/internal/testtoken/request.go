package testtoken

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/claim"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// request is what a request of TTT describes, as options.
type request struct {
	service *Service
	reader  *memberReader
	token   []mint.TokenOption
	attests []mint.TokenOption // after all others
	proof   []mint.ProofOption

	wantsProof     bool
	method, target string
}

func (r *request) add(options ...mint.TokenOption) { r.token = append(r.token, options...) }

// text adds an option for each text that is given.
func (r *request) text(part *memberReader, name string, option func(string) mint.TokenOption) {
	if value := part.text(name); value != "" {
		r.add(option(value))
	}
}

// setting makes an option of a claim's name.
func setting(name string) func(string) mint.TokenOption {
	return func(value string) mint.TokenOption { return mint.Claim(name, value) }
}

func (r *request) read() {
	r.add(mint.WithoutDefaultClaims(), mint.Unbound())
	if audience := r.reader.text("audience"); audience != "" {
		r.add(mint.Audience(audience))
	} else {
		r.reader.fail("audience")
	}
	r.client()
	r.user()
	if r.reader.bool("createTillitsrammeverkClaims") {
		r.attest()
	}
	if r.reader.bool("createTokenExchangeClaims") {
		part := r.reader.child("tokenExchangeParameters")
		r.add(mint.ExchangedBy(mint.Actor{ClientID: part.text("clientId"), ParentOrganization: part.text("orgnrParent"), Issuer: part.text("issuer")}))
	}
	for _, specific := range r.reader.children("apiSpecificClaims") {
		kind, value := specific.text("type"), specific.text("value")
		if kind == "" {
			specific.fail("type")
		}
		r.add(mint.Claim(kind, value))
	}
	r.bindings()
	r.expiry()
	r.broken()
}

// generation tells whether the defaults and the parameters of a kind of claims
// are wanted. TTT's samples send 0 (none) together with parameters, so those
// that are given count; without the member the older switch decides.
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
			mint.Tenancy(tokenvalidation.TenancySingle), mint.TokenID(strings.ToUpper(jose.NewID())))
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
		tenancies := []tokenvalidation.Tenancy{tokenvalidation.TenancyMulti, tokenvalidation.TenancySingle, tokenvalidation.TenancyNone}
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

// derived adds what follows from the person's number, where other parameters do
// not say more.
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

// bindings make the proof, and the token that goes with it.
func (r *request) bindings() {
	if !r.reader.bool("createDPoPTokenWithDPoPProof") {
		return
	}
	part := r.reader.child("dPoPProofParameters")
	kind, _ := part.number("invalidDPoPProofParameters")
	r.wantsProof, r.target, r.method = true, part.text("htuClaimValue"), part.text("htmClaimValue")
	if r.target == "" && kind != 1 {
		part.fail("htuClaimValue")
	}
	if r.method == "" && kind != 2 {
		part.fail("htmClaimValue")
	}
	thumbprint := r.service.Minter.ProofKey.Thumbprint()
	if jwk := part.text("privateKeyForProofCreation"); jwk != "" {
		key, err := jose.ParseKey([]byte(jwk), jose.KeyOptions{})
		if err != nil {
			part.fail("privateKeyForProofCreation")
			return
		}
		thumbprint = key.Public().Thumbprint()
		r.proof = append(r.proof, mint.ProofKey([]byte(jwk)))
	}
	r.add(mint.BoundTo(thumbprint))
	if kind == 0 {
		return
	}
	invalid := mint.InvalidProofs()
	i := slices.IndexFunc(invalid, func(broken mint.InvalidProof) bool { return int64(broken.Number) == kind })
	switch {
	case i < 0:
		part.fail("invalidDPoPProofParameters")
	case invalid[i].Token != nil:
		r.add(invalid[i].Token)
	default:
		r.proof = append(r.proof, invalid[i].Proof)
	}
}

func (r *request) expiry() {
	part := r.reader.child("expirationParameters")
	// .NET clients send the least number for one that is not set.
	seconds, _ := part.number("expirationTimeInSeconds")
	days, _ := part.number("expirationTimeInDays")
	const limit = 10 * 365
	switch {
	case part.bool("setExpirationTimeAsExpired"):
		r.add(mint.Expired())
	case days > limit || seconds > limit*24*60*60:
		part.fail("expirationTimeInDays and expirationTimeInSeconds (at most ten years)")
	case days > 0:
		r.add(mint.ExpiresIn(time.Duration(days) * 24 * time.Hour))
	case seconds > 0:
		r.add(mint.ExpiresIn(time.Duration(seconds) * time.Second))
	}
}

// broken are the switches for headers and for tokens that are to be refused.
func (r *request) broken() {
	header := r.reader.child("headerParameters")
	switch typ := header.text("typ"); typ {
	case "":
	case "jwt", "at+jwt":
		r.add(mint.Header("typ", typ))
	default:
		header.fail("typ")
	}
	switch environment, _ := r.reader.number("issuerEnvironment"); environment {
	case 0:
	case 2:
		r.add(mint.Issuer("https://helseid-sts.utvikling.nhn.no"))
	default:
		r.reader.fail("issuerEnvironment " + strconv.FormatInt(environment, 10))
	}
	for name, option := range map[string]mint.TokenOption{
		"setInvalidIssuer": mint.Issuer("https://another-issuer.helseid.test"), "setInvalidAudience": mint.Audience("nhn:another-api"), "signJwtWithInvalidSigningKey": mint.SignedWithUnknownKey(),
	} {
		if r.reader.bool(name) {
			r.add(option)
		}
	}
}
