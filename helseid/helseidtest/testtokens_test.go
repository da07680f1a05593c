package helseidtest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

func completeAttest() clientassertion.Attest {
	return clientassertion.Attest{
		Authorization: clientassertion.Code{Code: "LE"}, LegalEntity: "994598759", Department: "4208723",
		PurposeOfUse: clientassertion.PurposeTreatment, DecisionID: "decision-1", UserSelected: true,
		Patients: []clientassertion.AttestPatient{{PointOfCare: "999977775"}},
	}
}

// Every switch of Test-Token-Tjenesten that shapes a token has an option.
func TestEverySwitchOfTestTokens(t *testing.T) {
	t.Parallel()
	const claim = "helseid://claims/"
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	require.NoError(t, server.AddUser(helseidtest.User{PersonalIdentityNumber: helseidtest.PersonWithoutHPRNumber, GivenName: "RASK", FamilyName: "TRANE", SecurityLevel: 3, Network: "helsenett"}))
	key := newKey(t)
	jwk, err := json.Marshal(publicJWK(t, key))
	require.NoError(t, err)
	at := time.Unix(1_700_000_000, 0)
	type list = []any
	use := func(options ...mint.TokenOption) []mint.TokenOption { return options }
	for name, test := range map[string]struct {
		options []mint.TokenOption
		want    map[string]any // nil: absent
	}{
		"audience":                     {use(mint.Audience("nhn:a")), object{"aud": "nhn:a", "scope": list{"nhn:a/read"}}},
		"scope":                        {use(mint.Scopes("a")), object{"scope": list{"a"}}},
		"clientId":                     {use(mint.ClientID("c")), object{"client_id": "c"}},
		"clientName":                   {use(mint.ClientName("n")), object{claim + "client/client_name": "n"}},
		"orgnrParent, orgnrChild":      {use(mint.Organization("1", "2", "")), object{parentClaim: "1", childClaim: "2", supplierClaim: nil}},
		"orgnrSupplier":                {use(mint.Supplier("3")), object{supplierClaim: "3", tenancyClaim: "multi-tenant", parentClaim: mint.DefaultParentOrganization}},
		"clientTenancyType multi":      {use(mint.Tenancy(identity.MultiTenant)), object{tenancyClaim: "multi-tenant"}},
		"clientTenancyType single":     {use(mint.Tenancy(identity.SingleTenant)), object{tenancyClaim: "single-tenant"}},
		"clientTenancyType none":       {use(mint.Tenancy(identity.NoTenancy)), object{tenancyClaim: "none"}},
		"no clientTenancy":             {use(mint.Tenancy("")), object{tenancyClaim: nil}},
		"sfmJournalId":                 {use(mint.JournalID("j")), object{"nhn:sfm:journal-id": "j"}},
		"sfm-id of a single tenant":    {use(mint.SFMID("j")), object{"e-helse:sfm.api/client/claims/sfm-id": "j"}},
		"client_amr":                   {use(mint.ClientAuthentication("m")), object{"client_amr": "m"}},
		"the client's older amr":       {use(mint.LegacyClientAuthentication("rsa_private_key")), object{claim + "client/amr": "rsa_private_key"}},
		"authenticationMethods":        {use(mint.AuthenticationMethods("a", "b")), object{"amr": list{"a", "b"}}},
		"jti":                          {use(mint.TokenID("i")), object{"jti": "i"}},
		"cnfJkt":                       {use(mint.BoundTo("t")), object{"cnf": object{"jkt": "t"}}},
		"cnfPublicKey":                 {use(mint.BoundToJWK(jwk)), object{"cnf": object{"jkt": thumbprint(t, key)}}},
		"no cnf":                       {use(mint.Unbound()), object{"cnf": nil}},
		"pid":                          {use(mint.PersonalIdentityNumber("p")), object{claim + "identity/pid": "p"}},
		"pidPseudonym":                 {use(mint.Pseudonym("p")), object{claim + "identity/pid_pseudonym": "p"}},
		"hprNumber":                    {use(mint.HPRNumber("1")), object{claim + "hpr/hpr_number": "1"}},
		"name":                         {use(mint.Name("A", "", "C")), object{"name": "A C", "given_name": "A", "middle_name": "", "family_name": "C"}},
		"name with a middle name":      {use(mint.Name("A", "B", "C")), object{"name": "A B C", "middle_name": "B"}},
		"identityProvider":             {use(mint.IdentityProvider("idporten-oidc")), object{"idp": "idporten-oidc"}},
		"securityLevel":                {use(mint.SecurityLevel(3)), object{claim + "identity/security_level": "3"}},
		"assuranceLevel":               {use(mint.AssuranceLevel("low")), object{claim + "identity/assurance_level": "low"}},
		"network":                      {use(mint.Network("helsenett")), object{claim + "identity/network": "helsenett"}},
		"subject":                      {use(mint.Subject("s")), object{"sub": "s"}},
		"sid":                          {use(mint.SessionID("s")), object{"sid": "s"}},
		"auth_time":                    {use(mint.AuthenticatedAt(at)), object{"auth_time": 1_700_000_000.0}},
		"values derived from pid":      {use(mint.ForUser(helseidtest.PersonWithoutHPRNumber)), object{claim + "identity/pid": helseidtest.PersonWithoutHPRNumber, "name": "RASK TRANE", claim + "identity/security_level": "3", claim + "identity/network": "helsenett", claim + "hpr/hpr_number": nil}},
		"apiSpecificClaims":            {use(mint.APIClientClaim("nhn:vkp", "vkp-id", "7")), object{"nhn:vkp/client/claims/vkp-id": "7"}},
		"apiSpecificClaims, any":       {use(mint.Claim("x:y", "z")), object{"x:y": "z"}},
		"tokenExchangeParameters":      {use(mint.ClientID("first"), mint.ExchangedBy(mint.Actor{ClientID: "a", ParentOrganization: "1"})), object{"client_id": "a", claim + "client/original_client_id": "first", "act": object{"iss": server.Issuer(), "client_id": "a", parentClaim: "1"}}},
		"tokenExchange, issuer":        {use(mint.ExchangedBy(mint.Actor{ClientID: "a", Issuer: "https://i"})), object{"act": object{"iss": "https://i", "client_id": "a"}}},
		"tokenExchange, a chain":       {use(mint.ClientID("first"), mint.ExchangedBy(mint.Actor{ClientID: "a"}), mint.ExchangedBy(mint.Actor{ClientID: "b"})), object{"client_id": "b", claim + "client/original_client_id": "first", "act": object{"iss": server.Issuer(), "client_id": "b", "act": object{"iss": server.Issuer(), "client_id": "a"}}}},
		"issuerEnvironment":            {use(mint.Issuer(helseid.Test.Issuer())), object{"iss": "https://helseid-sts.test.nhn.no"}},
		"setInvalidIssuer":             {use(mint.Issuer("https://another-issuer.helseid.test")), object{"iss": "https://another-issuer.helseid.test"}},
		"setInvalidAudience":           {use(mint.Audience("nhn:another-api")), object{"aud": "nhn:another-api"}},
		"withoutDefaultUserClaims":     {use(mint.WithoutUserClaims()), object{"sub": nil, "sid": nil, "name": nil, claim + "identity/pid": nil, claim + "hpr/hpr_number": nil, claim + "identity/security_level": nil, "client_id": mint.DefaultClientID}},
		"non-empty parameters only":    {use(mint.WithoutDefaultClaims(), mint.SecurityLevel(4)), object{"client_id": nil, "jti": nil, "scope": nil, parentClaim: nil, "sub": nil, "client_amr": nil, claim + "identity/security_level": "4", "aud": mint.DefaultAudience, "iss": server.Issuer()}},
		"no claims, and a scope given": {use(mint.WithoutDefaultClaims(), mint.Scopes("s")), object{"scope": list{"s"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := server.Token(append(use(mint.Clinician()), test.options...)...)
			require.True(t, verifies(t, keySet(t, server), token))
			_, claims := jws(t, token)
			for name, want := range test.want {
				if want == nil {
					require.NotContains(t, claims, name)
					continue
				}
				require.Equal(t, want, claims[name], name)
			}
		})
	}
	for name, test := range map[string]struct {
		option   mint.TokenOption
		lifetime float64
		expired  bool
	}{
		"expirationTimeInSeconds":    {mint.ExpiresIn(42 * time.Second), 42, false},
		"expirationTimeInDays":       {mint.ExpiresIn(48 * time.Hour), 172800, false},
		"setExpirationTimeAsExpired": {mint.Expired(), 600, true},
	} {
		_, claims := jws(t, server.Token(test.option))
		require.InDelta(t, test.lifetime, claims["exp"].(float64)-claims["iat"].(float64), 0, name)
		require.Equal(t, test.expired, claims["exp"].(float64) < float64(time.Now().Unix()), name)
	}
	for _, typ := range []string{"jwt", "at+jwt", "JWT"} {
		header, _ := jws(t, server.Token(mint.Header("typ", typ)))
		require.Equal(t, typ, header["typ"])
	}
	require.False(t, verifies(t, keySet(t, server), server.Token(mint.SignedWithUnknownKey())), "signJwtWithInvalidSigningKey")
	for name, option := range map[string]mint.TokenOption{
		"a person nobody knows": mint.ForUser("nobody"),
		"a key that is none":    mint.BoundToJWK([]byte(`{"kty":"oct","k":"AA"}`)),
		"no JSON":               mint.BoundToJWK([]byte(`{`)),
		"an empty attest":       mint.Attest(clientassertion.Attest{}),
	} {
		require.Panics(t, func() { server.Token(option) }, name)
	}
	require.Panics(t, func() { server.Proof("GET", "https://api.example.no/", "", mint.ProofKey([]byte("x"))) })
}

// The attest in a token is the client's, with what HelseID adds.
func TestAttestOption(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	validator, err := tokenvalidation.New(tokenvalidation.Config{Issuer: server.Issuer(), Audience: mint.DefaultAudience, HTTPClient: server.HTTPClient()})
	require.NoError(t, err)
	defer validator.Close()
	// The user comes after the attest: the order does not matter.
	claims, err := validator.Validate(t.Context(), server.Token(mint.Attest(completeAttest()), mint.Clinician()))
	require.NoError(t, err)
	require.Empty(t, claims.Malformed)
	attest := claims.Attest
	require.NotNil(t, attest)
	require.Equal(t, claims.IssuedAt, attest.AttestedAt)
	require.Equal(t, mint.DefaultPersonalIdentityNumber, attest.Practitioner.Identifier.Number.Reveal())
	require.Equal(t, "KVART GREVLING", attest.Practitioner.Identifier.Name)
	require.Equal(t, mint.DefaultHPRNumber, attest.Practitioner.HPRNumber.ID)
	require.Equal(t, "LE", attest.Practitioner.Authorization.Code)
	require.NotEmpty(t, attest.Practitioner.Authorization.Text)
	require.NotEmpty(t, attest.Practitioner.Authorization.Assigner)
	require.Equal(t, "994598759", attest.Practitioner.PointOfCare.ID)
	require.NotEmpty(t, attest.Practitioner.LegalEntity.Name)
	require.NotEmpty(t, attest.Practitioner.LegalEntity.Authority)
	require.Equal(t, "TREAT", attest.CareRelationship.PurposeOfUse.Code)
	require.Equal(t, tokenvalidation.Decision{ID: "decision-1", UserSelected: true}, attest.CareRelationship.Decision)
	require.Equal(t, "999977775", attest.Patients[0].PointOfCare.ID)

	system, err := validator.Validate(t.Context(), server.Token(mint.Attest(completeAttest())))
	require.NoError(t, err)
	require.True(t, system.Attest.Practitioner.Identifier.Number.IsZero(), "a system's token knows of no person")
}

// What Test-Token-Tjenesten makes invalid, the SDK's middleware refuses, each
// for its reason.
func TestInvalidMaterialIsRefused(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	config := middleware.Config{Issuer: server.Issuer(), Audience: mint.DefaultAudience}
	config.Token.HTTPClient = server.HTTPClient()
	auth, err := middleware.New(config)
	require.NoError(t, err)
	t.Cleanup(auth.Close)
	handler := auth.Require(func(http.ResponseWriter, *http.Request) {}, middleware.Scope(mint.DefaultAudience+"/read"))
	send := func(token string, options ...mint.ProofOption) (status int, reason string) {
		request := httptest.NewRequest(http.MethodGet, "https://api.example.no/things", nil)
		server.Authorize(request, token, options...)
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		var problem struct{ Reason string }
		_ = json.Unmarshal(recorder.Body.Bytes(), &problem)
		return recorder.Code, problem.Reason
	}
	status, reason := send(server.Token())
	require.Equal(t, http.StatusOK, status, reason)

	for name, test := range map[string]struct {
		option mint.TokenOption
		status int
		reason string
	}{
		"signJwtWithInvalidSigningKey": {mint.SignedWithUnknownKey(), 401, "token_signature"},
		"a signature that is changed":  {mint.BrokenSignature(), 401, "token_signature"},
		"setInvalidIssuer":             {mint.Issuer("https://another-issuer.helseid.test"), 401, "token_issuer"},
		"issuerEnvironment":            {mint.Issuer(helseid.Production.Issuer()), 401, "token_issuer"},
		"setInvalidAudience":           {mint.Audience("nhn:another-api"), 401, "token_audience"},
		"setExpirationTimeAsExpired":   {mint.Expired(), 401, "token_expired"},
		"typ of an ID token":           {mint.Header("typ", "logout+jwt"), 401, "token_typ"},
		"no default claims":            {mint.WithoutDefaultClaims(), 403, "scope"},
		"no cnf":                       {mint.Unbound(), 401, "token_binding"},
		"a changed jkt":                {mint.BoundToAnotherKey(), 401, "proof_key_mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, reason := send(server.Token(test.option))
			require.Equal(t, test.reason, reason)
			require.Equal(t, test.status, status)
		})
	}

	reasons := map[int]string{
		1: "proof_htu", 2: "proof_htm", 3: "proof_iat", 4: "proof_iat", 5: "proof_ath", 6: "proof_alg", 7: "proof_jwk",
		8: "proof_jti", 9: "proof_alg", 10: "proof_jwk", 11: "proof_typ", 12: "proof_signature", 13: "proof_key_mismatch",
	}
	invalid := mint.InvalidProofs()
	require.Len(t, invalid, len(reasons))
	for i, broken := range invalid {
		require.Equal(t, i+1, broken.Number)
		t.Run(broken.Name, func(t *testing.T) {
			t.Parallel()
			require.True(t, (broken.Proof == nil) != (broken.Token == nil), "one of the two")
			var tokens []mint.TokenOption
			var proofs []mint.ProofOption
			if broken.Token != nil {
				tokens = append(tokens, broken.Token)
			} else {
				proofs = append(proofs, broken.Proof)
			}
			status, reason := send(server.Token(tokens...), proofs...)
			require.Equal(t, reasons[broken.Number], reason)
			require.Equal(t, 401, status)
		})
	}
	t.Run("the same proof twice", func(t *testing.T) {
		t.Parallel()
		request := httptest.NewRequest(http.MethodGet, "https://api.example.no/things", nil)
		server.Authorize(request, server.Token())
		var codes []int
		for range 2 {
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			codes = append(codes, recorder.Code)
			if recorder.Code != http.StatusOK {
				require.Contains(t, recorder.Body.String(), "proof_replayed")
			}
		}
		require.Equal(t, []int{200, 401}, codes)
	})
}

// No token and no proof lacks the marker, and no option takes it away. That the
// SDK accepts it, every other test shows.
func TestEverythingIsMarked(t *testing.T) {
	t.Parallel()
	a := newLoginAsker(t)
	server := a.server
	without := mint.Header(mint.MarkerHeader, nil)
	server.AlterAccessTokens(without)
	server.AlterIDTokens(mint.Header(mint.MarkerHeader, false))
	answer := a.send(t, a.redeem(t, a.login(t, a.push(t)).Get("code")))
	exchanged := a.send(t, a.build(t, a.nonce(t)))
	for name, token := range map[string]string{
		"Token": server.Token(without), "IDToken": server.IDToken(without), "LogoutToken": server.LogoutToken(without),
		"unknown key": server.Token(mint.SignedWithUnknownKey()), "no claims": server.Token(mint.WithoutDefaultClaims()),
		"Proof":        server.Proof("GET", "https://api.example.no", "", mint.ProofHeader(mint.MarkerHeader, nil), mint.ProofHeader(mint.MarkerHeader, nil)),
		"access token": answer.AccessToken, "ID token": answer.IDToken, "a system's": exchanged.AccessToken,
	} {
		header, _ := jws(t, token)
		require.Equal(t, true, header[mint.MarkerHeader], name)
	}
	started, err := helseidtest.Start()
	require.NoError(t, err)
	defer started.Close()
	require.True(t, strings.HasPrefix(started.Issuer(), "http://127.0.0.1:"), started.Issuer())
	require.Equal(t, "https://helseid.test", server.Issuer())
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "localhost.example.no:0", "example.no:0", "[::]:0", ""} {
		_, err := helseidtest.Start(helseidtest.ListenOn(address))
		require.ErrorContains(t, err, "loopback", address)
	}
}
