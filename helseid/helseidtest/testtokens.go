package helseidtest

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// EndpointTestToken is Test-Token-Tjenesten's, with the option TestTokens.
const EndpointTestToken Endpoint = "/v2/create-test-token-with-key"

// TestTokens mounts an endpoint that mints tokens and proofs as HelseID's
// Test-Token-Tjenesten (TTT) does, for tools that are written for it. It takes
// the same JSON, with this key in the header X-Auth-Key, which must not be
// empty. What differs: the tokens are this server's; people come from
// Server.Users; audience and scope have this server's defaults; and
// issuerEnvironment 1, which has no public issuer, is refused. Of the claims that
// are there by default, those about a user have neither pid nor HPR number nor
// security level, and those about a client neither organisation nor scope: ask
// for them, as with TTT. Members that the endpoint does not know are ignored;
// what it knows and cannot do is an error.
//
// Source: Norsk helsenett, HelseID.Samples (TestTokenDemo, TestTokenTool).
func TestTokens(key string) Option {
	return func(o *options) { o.testTokens, o.testTokenKey = true, key }
}

// serveTestToken answers in TTT's form.
func (s *Server) serveTestToken(w http.ResponseWriter, r *http.Request) {
	answer := func(status int, token, proof, problem string) {
		document := map[string]any{"isError": problem != "", "successResponse": nil, "errorResponse": nil}
		if problem != "" {
			document["errorResponse"] = map[string]any{"errorMessage": problem}
		} else {
			success := map[string]any{"accessTokenJwt": token, "dPoPProof": nil}
			if proof != "" {
				success["dPoPProof"] = proof
			}
			document["successResponse"] = success
		}
		writeJSON(w, status, document)
	}
	if r.Method != http.MethodPost {
		answer(http.StatusMethodNotAllowed, "", "", "the endpoint takes POST only")
		return
	}
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("X-Auth-Key")), []byte(s.options.testTokenKey)) != 1 {
		answer(http.StatusUnauthorized, "", "", "the header X-Auth-Key is missing or wrong")
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		answer(http.StatusRequestEntityTooLarge, "", "", "the body is too large")
		return
	}
	token, proof, err := s.testToken(body)
	if err != nil {
		answer(http.StatusBadRequest, "", "", err.Error())
		return
	}
	answer(http.StatusOK, token, proof, "")
}

// testToken mints what a request of TTT describes.
func (s *Server) testToken(body []byte) (token, proof string, err error) {
	object, err := jose.ParseObject(body)
	if err != nil {
		return "", "", fmt.Errorf("the body is not a JSON object: %w", err)
	}
	request := &testTokenRequest{server: s, reader: &memberReader{object: object, wrong: new([]string)}}
	request.read()
	if wrong := *request.reader.wrong; len(wrong) > 0 {
		return "", "", errors.New("these members are missing, malformed or not supported: " + strings.Join(wrong, ", "))
	}
	token, err = s.mint(request.token...)
	if err != nil || !request.wantsProof {
		return token, "", err
	}
	proof, err = s.mintProof(request.method, request.target, token, request.proof...)
	return token, proof, err
}

// testTokenRequest becomes options.
type testTokenRequest struct {
	server *Server
	reader *memberReader
	token  []TokenOption
	proof  []ProofOption

	wantsProof     bool
	method, target string
}

func (r *testTokenRequest) add(options ...TokenOption) { r.token = append(r.token, options...) }

// text adds an option for each text that is given.
func (r *testTokenRequest) text(part *memberReader, name string, option func(string) TokenOption) {
	if value := part.text(name); value != "" {
		r.add(option(value))
	}
}

// setting makes an option of a claim's name.
func setting(claim string) func(string) TokenOption {
	return func(value string) TokenOption { return Claim(claim, value) }
}

func (r *testTokenRequest) read() {
	r.add(WithoutDefaultClaims(), Unbound())
	if audience := r.reader.text("audience"); audience != "" {
		r.add(Audience(audience))
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
		r.add(ExchangedBy(Actor{ClientID: part.text("clientId"), ParentOrganization: part.text("orgnrParent"), Issuer: part.text("issuer")}))
	}
	for _, claim := range r.reader.children("apiSpecificClaims") {
		kind, value := claim.text("type"), claim.text("value")
		if kind == "" {
			claim.fail("type")
		}
		r.add(Claim(kind, value))
	}
	r.bindings()
	r.expiry()
	r.broken()
}

// generation tells whether the defaults and the parameters of a kind of claims
// are wanted. TTT's samples send 0 (none) together with parameters, so those
// that are given count; without the member the older switch decides.
func (r *testTokenRequest) generation(name, older string) (defaults, parameters bool) {
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

func (r *testTokenRequest) client() {
	defaults, parameters := r.generation("clientClaimsParametersGeneration", "withoutDefaultClientClaims")
	if defaults {
		r.add(ClientID(DefaultClientID), ClientName("helseidtest client"), ClientAuthentication("private_key_jwt"),
			Tenancy(tokenvalidation.TenancySingle), TokenID(strings.ToUpper(jose.NewID())))
	}
	if !parameters {
		return
	}
	part := r.reader.child("clientClaimsParameters")
	if scopes := part.texts("scope"); len(scopes) > 0 {
		r.add(Scopes(scopes...))
	}
	if methods := part.texts("authenticationMethodsReferences"); len(methods) > 0 {
		r.add(AuthenticationMethods(methods...))
	}
	r.text(part, "clientId", ClientID)
	r.text(part, "clientName", ClientName)
	r.text(part, "orgnrParent", setting(claimParent))
	r.text(part, "orgnrChild", setting(claimChild))
	r.text(part, "orgnrSupplier", setting(claimSupplier))
	r.text(part, "sfmJournalId", JournalID)
	r.text(part, "clientAuthenticationMethodsReferences", LegacyClientAuthentication)
	r.text(part, "jti", TokenID)
	r.text(part, "cnfJkt", BoundTo)
	r.text(part, "cnfPublicKey", func(jwk string) TokenOption { return BoundToJWK([]byte(jwk)) })
	if part.bool("clientTenancy") {
		tenancies := []tokenvalidation.Tenancy{tokenvalidation.TenancyMulti, tokenvalidation.TenancySingle, tokenvalidation.TenancyNone}
		kind, _ := part.number("clientTenancyType")
		if kind < 0 || kind >= int64(len(tenancies)) {
			part.fail("clientTenancyType")
			return
		}
		r.add(Tenancy(tenancies[kind]))
	}
}

func (r *testTokenRequest) user() {
	defaults, parameters := r.generation("userClaimsParametersGeneration", "withoutDefaultUserClaims")
	if defaults {
		login := r.server.someLogin()
		identity := login.identity()
		for _, name := range []string{claimPID, claimPIDPseudonym, claimHPRNumber, claimSecurityLevel} {
			delete(identity, name)
		}
		r.add(claims(login.claims()), claims(identity))
	}
	if !parameters {
		return
	}
	part := r.reader.child("userClaimsParameters")
	pid := part.text("pid")
	r.derived(part, pid)
	for name, option := range map[string]func(string) TokenOption{
		"pid": PersonalIdentityNumber, "pidPseudonym": Pseudonym, "hprNumber": HPRNumber,
		"name": setting("name"), "givenName": setting("given_name"), "middleName": setting("middle_name"), "familyName": setting("family_name"),
		"identityProvider": IdentityProvider, "securityLevel": setting(claimSecurityLevel), "assuranceLevel": AssuranceLevel,
		"network": Network, "amr": func(method string) TokenOption { return AuthenticationMethods(method) },
		"subject": Subject, "sid": SessionID,
	} {
		r.text(part, name, option)
	}
}

// derived adds what follows from the person's number, where other parameters do
// not say more.
func (r *testTokenRequest) derived(part *memberReader, pid string) {
	names, hpr := r.reader.bool("getPersonFromPersontjenesten"), r.reader.bool("getHprNumberFromHprregisteret")
	pseudonym, subject := r.reader.bool("setPidPseudonym"), r.reader.bool("setSubject")
	if !names && !hpr && !pseudonym && !subject {
		return
	}
	user, known := r.server.userByNumber(pid)
	if !known {
		part.fail("pid (it must be one of the server's users)")
		return
	}
	if names {
		r.add(Name(user.GivenName, user.MiddleName, user.FamilyName))
		if r.reader.bool("onlySetNameForPerson") {
			r.add(claims(map[string]any{"given_name": nil, "middle_name": nil, "family_name": nil}))
		}
	}
	if hpr {
		r.add(HPRNumber(user.HPRNumber))
	}
	if pseudonym {
		r.add(Pseudonym(user.Subject))
	}
	if subject {
		r.add(Subject(user.Subject))
	}
}

// bindings make the proof, and the token that goes with it.
func (r *testTokenRequest) bindings() {
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
	thumbprint := r.server.proofKey.key.Public().Thumbprint()
	if jwk := part.text("privateKeyForProofCreation"); jwk != "" {
		key, err := jose.ParseKey([]byte(jwk), jose.KeyOptions{})
		if err != nil {
			part.fail("privateKeyForProofCreation")
			return
		}
		thumbprint = key.Public().Thumbprint()
		r.proof = append(r.proof, ProofKey([]byte(jwk)))
	}
	r.add(BoundTo(thumbprint))
	if kind == 0 {
		return
	}
	invalid := InvalidProofs()
	i := slices.IndexFunc(invalid, func(broken InvalidProof) bool { return int64(broken.Number) == kind })
	switch {
	case i < 0:
		part.fail("invalidDPoPProofParameters")
	case invalid[i].Token != nil:
		r.add(invalid[i].Token)
	default:
		r.proof = append(r.proof, invalid[i].Proof)
	}
}

func (r *testTokenRequest) expiry() {
	part := r.reader.child("expirationParameters")
	// .NET clients send the least number for one that is not set.
	seconds, _ := part.number("expirationTimeInSeconds")
	days, _ := part.number("expirationTimeInDays")
	const limit = 10 * 365
	switch {
	case part.bool("setExpirationTimeAsExpired"):
		r.add(Expired())
	case days > limit || seconds > limit*24*60*60:
		part.fail("expirationTimeInDays and expirationTimeInSeconds (at most ten years)")
	case days > 0:
		r.add(ExpiresIn(time.Duration(days) * 24 * time.Hour))
	case seconds > 0:
		r.add(ExpiresIn(time.Duration(seconds) * time.Second))
	}
}

// broken are the switches for headers and for tokens that are to be refused.
func (r *testTokenRequest) broken() {
	header := r.reader.child("headerParameters")
	switch typ := header.text("typ"); typ {
	case "":
	case "jwt", "at+jwt":
		r.add(Type(typ))
	default:
		header.fail("typ")
	}
	switch environment, _ := r.reader.number("issuerEnvironment"); environment {
	case 0:
	case 2:
		r.add(Issuer("https://helseid-sts.utvikling.nhn.no"))
	default:
		r.reader.fail("issuerEnvironment " + strconv.FormatInt(environment, 10))
	}
	for name, option := range map[string]TokenOption{
		"setInvalidIssuer": InvalidIssuer(), "setInvalidAudience": InvalidAudience(), "signJwtWithInvalidSigningKey": SignedWithUnknownKey(),
	} {
		if r.reader.bool(name) {
			r.add(option)
		}
	}
}
