package helseidtest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// testTokenAnswer is the answer's form.
type testTokenAnswer struct {
	status          int
	IsError         *bool
	SuccessResponse *struct{ AccessTokenJwt, DPoPProof string }
	ErrorResponse   *struct{ ErrorMessage string }
}

func askTestToken(t testing.TB, server *helseidtest.Server, method, key, body string) testTokenAnswer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, server.Issuer()+"/v2/create-test-token-with-key", strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("X-Auth-Key", key)
	request.Header.Set("Content-Type", "application/json")
	response, err := server.HTTPClient().Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	answer := testTokenAnswer{status: response.StatusCode}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
	require.NotNil(t, answer.IsError)
	require.Equal(t, answer.status != http.StatusOK, *answer.IsError)
	require.Equal(t, *answer.IsError, answer.ErrorResponse != nil)
	require.Equal(t, *answer.IsError, answer.SuccessResponse == nil)
	return answer
}

func TestTestTokenEndpoint(t *testing.T) {
	t.Parallel()
	const claim = "helseid://claims/"
	server := helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.TestTokens("the-key"))
	key := newKey(t)
	jwk, err := json.Marshal(publicJWK(t, key))
	require.NoError(t, err)
	quoted := strconv.Quote(string(jwk))
	for name, test := range map[string]struct {
		body string
		want map[string]any // nil: absent
	}{
		"audience alone": {`{}`, object{
			"aud": "nhn:a", "iss": server.Issuer(), "client_id": mint.DefaultClientID, "sub": server.Users()[0].Subject, "cnf": nil,
			claim + "identity/pid": nil, claim + "identity/security_level": nil, parentClaim: nil, "scope": nil,
		}},
		"unknown members": {`{"unknown":{"a":[1]},"dPoP":1}`, object{"aud": "nhn:a"}},
		"null members":    {`{"clientClaimsParameters":null,"createDPoPTokenWithDPoPProof":null,"apiSpecificClaims":null}`, object{"aud": "nhn:a"}},
		"client, over the defaults": {`{"clientClaimsParametersGeneration":3,"clientClaimsParameters":{"scope":["s"],"clientId":"c","clientName":"n","orgnrParent":"1",
			"orgnrChild":"2","orgnrSupplier":"3","clientTenancy":true,"clientTenancyType":0,"sfmJournalId":"j","authenticationMethodsReferences":["a"],
			"clientAuthenticationMethodsReferences":"rsa_private_key","jti":"i","cnfJkt":"t","cnfPublicKey":""}}`, object{
			"scope": []any{"s"}, "client_id": "c", claim + "client/client_name": "n", parentClaim: "1", childClaim: "2", supplierClaim: "3",
			tenancyClaim: "multi-tenant", "nhn:sfm:journal-id": "j", claim + "client/amr": "rsa_private_key", "jti": "i", "cnf": object{"jkt": "t"},
			"client_amr": "private_key_jwt",
		}},
		"tenancy single":              {`{"clientClaimsParameters":{"clientTenancy":true,"clientTenancyType":1}}`, object{tenancyClaim: "single-tenant"}},
		"tenancy none":                {`{"clientClaimsParameters":{"clientTenancy":true,"clientTenancyType":2}}`, object{tenancyClaim: "none"}},
		"tenancy not asked for":       {`{"clientClaimsParametersGeneration":2,"clientClaimsParameters":{"clientTenancy":false,"clientTenancyType":0}}`, object{tenancyClaim: nil}},
		"cnfPublicKey":                {`{"clientClaimsParameters":{"cnfPublicKey":` + quoted + `}}`, object{"cnf": object{"jkt": thumbprint(t, key)}}},
		"client defaults only":        {`{"clientClaimsParametersGeneration":1,"clientClaimsParameters":{"clientId":"c"}}`, object{"client_id": mint.DefaultClientID}},
		"client parameters only":      {`{"clientClaimsParametersGeneration":2,"clientClaimsParameters":{"clientId":"c","clientName":""}}`, object{"client_id": "c", claim + "client/client_name": nil, "jti": nil}},
		"client none":                 {`{"clientClaimsParametersGeneration":0}`, object{"client_id": nil, "jti": nil}},
		"client, as the sample sends": {`{"clientClaimsParametersGeneration":0,"withoutDefaultClientClaims":true,"clientClaimsParameters":{"scope":["s"]}}`, object{"client_id": nil, "scope": []any{"s"}}},
		"client, older switch":        {`{"withoutDefaultClientClaims":true,"clientClaimsParameters":{"orgnrParent":"1"}}`, object{"client_id": nil, parentClaim: "1"}},
		"user, over the defaults": {`{"userClaimsParameters":{"pid":"p","pidPseudonym":"pp","hprNumber":"1","name":"N","givenName":"G","middleName":"M","familyName":"F",
			"identityProvider":"idp","securityLevel":"4","assuranceLevel":"high","network":"helsenett","amr":"pwd","subject":"s","sid":"i"}}`, object{
			claim + "identity/pid": "p", claim + "identity/pid_pseudonym": "pp", claim + "hpr/hpr_number": "1", "name": "N", "given_name": "G", "middle_name": "M",
			"family_name": "F", "idp": "idp", claim + "identity/security_level": "4", claim + "identity/assurance_level": "high", claim + "identity/network": "helsenett",
			"amr": []any{"pwd"}, "sub": "s", "sid": "i",
		}},
		"user none":      {`{"userClaimsParametersGeneration":0}`, object{"sub": nil, "name": nil}},
		"user defaults":  {`{"userClaimsParametersGeneration":1,"userClaimsParameters":{"sid":"x"}}`, object{"sid": "7C2F6E9F1D0A4B35"}},
		"user, older":    {`{"withoutDefaultUserClaims":true,"userClaimsParameters":{"sid":"x"}}`, object{"sid": "x", "sub": nil}},
		"from registers": {`{"withoutDefaultUserClaims":true,"getPersonFromPersontjenesten":true,"getHprNumberFromHprregisteret":true,"setPidPseudonym":true,"setSubject":true,"userClaimsParameters":{"pid":"` + helseidtest.ClinicianAtLevel3 + `"}}`, object{"name": "STILLE BLÅ ELG", "given_name": "STILLE", claim + "hpr/hpr_number": "565501872", "sub": server.Users()[1].Subject, claim + "identity/pid_pseudonym": server.Users()[1].Subject}},
		"only the name":  {`{"getPersonFromPersontjenesten":true,"onlySetNameForPerson":true,"userClaimsParameters":{"pid":"` + helseidtest.ClinicianAtLevel3 + `"}}`, object{"name": "STILLE BLÅ ELG", "given_name": nil, "family_name": nil}},
		"exchange":       {`{"createTokenExchangeClaims":true,"tokenExchangeParameters":{"issuer":"https://i","clientId":"a","orgnrParent":"1"}}`, object{"act": object{"iss": "https://i", "client_id": "a", parentClaim: "1"}}},
		"API's own":      {`{"apiSpecificClaims":[{"type":"x","value":"1"},{"type":"y","value":"2"}]}`, object{"x": "1", "y": "2"}},
		"development":    {`{"issuerEnvironment":2}`, object{"iss": "https://helseid-sts.utvikling.nhn.no"}},
		"invalid issuer": {`{"setInvalidIssuer":true}`, object{"iss": "https://another-issuer.helseid.test"}},
		"audience":       {`{"setInvalidAudience":true}`, object{"aud": "nhn:another-api"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := strings.Replace(test.body, `{`, `{"audience":"nhn:a",`, 1)
			answer := askTestToken(t, server, "POST", "the-key", strings.Replace(body, ",}", "}", 1))
			require.Equal(t, http.StatusOK, answer.status, answer.ErrorResponse)
			require.Empty(t, answer.SuccessResponse.DPoPProof)
			require.True(t, verifies(t, keySet(t, server), answer.SuccessResponse.AccessTokenJwt))
			claims := claimsOf(t, answer.SuccessResponse.AccessTokenJwt)
			for name, want := range test.want {
				if want == nil {
					require.NotContains(t, claims, name)
					continue
				}
				require.Equal(t, want, claims[name], name)
			}
		})
	}
	for body, want := range map[string]time.Duration{
		`"expirationParameters":{"expirationTimeInSeconds":42,"expirationTimeInDays":-2147483648}`: 42 * time.Second,
		`"expirationParameters":{"expirationTimeInDays":2}`:                                        48 * time.Hour,
		`"expirationParameters":{}`:                                  10 * time.Minute,
		`"expirationParameters":{"setExpirationTimeAsExpired":true}`: 10 * time.Minute,
	} {
		claims := claimsOf(t, askTestToken(t, server, "POST", "the-key", `{"audience":"a",`+body+`}`).SuccessResponse.AccessTokenJwt)
		require.InDelta(t, want.Seconds(), claims["exp"].(float64)-claims["iat"].(float64), 0, body)
		require.Equal(t, strings.Contains(body, "AsExpired"), claims["exp"].(float64) < float64(time.Now().Unix()))
	}
	header, _ := jws(t, askTestToken(t, server, "POST", "the-key", `{"audience":"a","headerParameters":{"typ":"jwt"}}`).SuccessResponse.AccessTokenJwt)
	require.Equal(t, "jwt", header["typ"])
	require.Equal(t, true, header[mint.MarkerHeader])
	forged := askTestToken(t, server, "POST", "the-key", `{"audience":"a","signJwtWithInvalidSigningKey":true}`)
	require.False(t, verifies(t, keySet(t, server), forged.SuccessResponse.AccessTokenJwt))
}

func TestTestTokenRefusals(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.TestTokens("the-key"))
	for _, key := range []string{"", "another", "the-keys"} {
		require.Equal(t, http.StatusUnauthorized, askTestToken(t, server, "POST", key, `{"audience":"a"}`).status, key)
	}
	require.Equal(t, http.StatusMethodNotAllowed, askTestToken(t, server, "GET", "the-key", ``).status)
	for body, says := range map[string]string{
		``:                                       "JSON object",
		`[]`:                                     "JSON object",
		`{}`:                                     "audience",
		`{"audience":1}`:                         "audience",
		`{"audience":"a","audience":"b"}`:        "JSON object",
		`{"audience":"a","issuerEnvironment":1}`: "issuerEnvironment 1",
		`{"audience":"a","setInvalidIssuer":"true","clientClaimsParametersGeneration":4}`:                                                                         "clientClaimsParametersGeneration, setInvalidIssuer",
		`{"audience":"a","headerParameters":{"typ":"x"}}`:                                                                                                         "headerParameters.typ",
		`{"audience":"a","clientClaimsParameters":{"scope":"s"}}`:                                                                                                 "clientClaimsParameters.scope",
		`{"audience":"a","clientClaimsParameters":{"clientTenancy":true,"clientTenancyType":3}}`:                                                                  "clientClaimsParameters.clientTenancyType",
		`{"audience":"a","clientClaimsParameters":{"cnfPublicKey":"x"}}`:                                                                                          "JSON",
		`{"audience":"a","apiSpecificClaims":[{"value":"1"}]}`:                                                                                                    "apiSpecificClaims.type",
		`{"audience":"a","apiSpecificClaims":[1]}`:                                                                                                                "apiSpecificClaims",
		`{"audience":"a","getPersonFromPersontjenesten":true,"userClaimsParameters":{"pid":"13116900216"}}`:                                                       "userClaimsParameters.pid",
		`{"audience":"a","expirationParameters":{"expirationTimeInDays":3651}}`:                                                                                   "expirationTimeInDays",
		`{"audience":"a","createTillitsrammeverkClaims":true,"tillitsrammeverkClaimsParameters":{"careRelationshipTracingRefId":"x"}}`:                            "careRelationshipTracingRefId",
		`{"audience":"a","createDPoPTokenWithDPoPProof":true}`:                                                                                                    "dPoPProofParameters.htuClaimValue, dPoPProofParameters.htmClaimValue",
		`{"audience":"a","createDPoPTokenWithDPoPProof":true,"dPoPProofParameters":{"htuClaimValue":"u","htmClaimValue":"GET","invalidDPoPProofParameters":14}}`:  "invalidDPoPProofParameters",
		`{"audience":"a","createDPoPTokenWithDPoPProof":true,"dPoPProofParameters":{"htuClaimValue":"u","htmClaimValue":"GET","privateKeyForProofCreation":"x"}}`: "privateKeyForProofCreation",
	} {
		answer := askTestToken(t, server, "POST", "the-key", body)
		require.Equal(t, http.StatusBadRequest, answer.status, body)
		require.Contains(t, answer.ErrorResponse.ErrorMessage, says, body)
		require.NotContains(t, answer.ErrorResponse.ErrorMessage, "13116900216")
	}
	_, err := helseidtest.Start(helseidtest.TestTokens(""))
	require.ErrorContains(t, err, "TestTokens")
	without := helseidtest.NewServer(t, helseidtest.InMemory())
	response, err := without.HTTPClient().Post(without.Issuer()+"/v2/create-test-token-with-key", "application/json", strings.NewReader(`{"audience":"a"}`))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusNotFound, response.StatusCode)
}

// Tokens and proofs of the endpoint open an API, and the invalid ones do not.
func TestTestTokenProofs(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.TestTokens("the-key"))
	config := middleware.Config{Issuer: server.Issuer(), Audience: "nhn:a"}
	config.Token.HTTPClient = server.HTTPClient()
	auth, err := middleware.New(config)
	require.NoError(t, err)
	defer auth.Close()
	var caller *tokenvalidation.Claims
	handler := auth.Require(func(_ http.ResponseWriter, r *http.Request) { caller = middleware.Claims(r.Context()) }, middleware.Scope("s"))
	send := func(t *testing.T, proof, more string) int {
		answer := askTestToken(t, server, "POST", "the-key", `{"audience":"nhn:a","createDPoPTokenWithDPoPProof":true,"clientClaimsParameters":{"scope":["s"]},
			"dPoPProofParameters":{"htuClaimValue":"https://api.example.no/x","htmClaimValue":"GET"`+proof+`}`+more+`}`)
		require.Equal(t, http.StatusOK, answer.status, answer.ErrorResponse)
		request := httptest.NewRequest("GET", "https://api.example.no/x", nil)
		request.Header.Set("Authorization", "DPoP "+answer.SuccessResponse.AccessTokenJwt)
		request.Header.Set("DPoP", answer.SuccessResponse.DPoPProof)
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		return recorder.Code
	}
	require.Equal(t, http.StatusOK, send(t, "", ""))
	require.Equal(t, http.StatusOK, send(t, `,"invalidDPoPProofParameters":0,"privateKeyForProofCreation":""`, ""))
	for _, broken := range mint.InvalidProofs() {
		require.Equal(t, http.StatusUnauthorized, send(t, `,"invalidDPoPProofParameters":`+strconv.Itoa(broken.Number), ""), broken.Name)
	}
	key := newKey(t)
	secret, err := key.Bytes()
	require.NoError(t, err)
	jwk := publicJWK(t, key)
	jwk["d"] = b64(secret)
	text, err := json.Marshal(jwk)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, send(t, `,"privateKeyForProofCreation":`+strconv.Quote(string(text)), ""))
	require.Equal(t, thumbprint(t, key), caller.Confirmation.Thumbprint)

	const attest = `,"createTillitsrammeverkClaims":true`
	require.Equal(t, http.StatusOK, send(t, "", attest+`,"userClaimsParameters":{"pid":"06828399789","hprNumber":"565505933"}`))
	require.Empty(t, caller.Malformed)
	require.Equal(t, "06828399789", caller.Attest.Practitioner.Identifier.Number.Reveal())
	require.Equal(t, "565505933", caller.Attest.Practitioner.HPRNumber.ID)
	require.Equal(t, caller.IssuedAt, caller.Attest.AttestedAt)
	require.Equal(t, "TREAT", caller.Attest.CareRelationship.PurposeOfUse.Code)
	require.True(t, caller.Attest.CareRelationship.Decision.UserSelected)
	require.NotEmpty(t, caller.Attest.CareRelationship.Decision.ID)
	require.NotEmpty(t, caller.Attest.Patients[0].Department.ID)
	require.Equal(t, http.StatusOK, send(t, "", attest+`,"userClaimsParameters":{"pid":"06828399789","hprNumber":"565505933"},"tillitsrammeverkClaimsParameters":{
		"practitionerAuthorizationCode":"AA","practitionerAuthorizationText":"T","practitionerAuthorizationSystem":"S","practitionerAuthorizationAssigner":"A",
		"practitionerLegalEntityId":"958935420","practitionerLegalEntityName":"N","practitionerLegalEntitySystem":"S","practitionerLegalEntityAuthority":"A",
		"careRelationshipHealthcareSystem":"H","careRelationshipDecisionRefId":"d","careRelationshipDecisionRefUserSelected":false,
		"dontSetPractitionerHprNr":true,"dontSetPractitionerDepartment":true,"dontSetPatientsPointOfCare":true,"dontSetCareRelationshipPurposeOfUseDetails":true,
		"practitionerIdentifierSystem":"I"}`))
	found := caller.Attest
	require.Equal(t, tokenvalidation.Code{Code: "AA", Text: "T", System: "S", Assigner: "A"}, found.Practitioner.Authorization)
	require.Equal(t, tokenvalidation.Identifier{ID: "958935420", Name: "N", System: "S", Authority: "A"}, found.Practitioner.LegalEntity)
	require.Equal(t, tokenvalidation.Decision{ID: "d"}, found.CareRelationship.Decision)
	require.Equal(t, "H", found.CareRelationship.HealthcareService.System)
	require.Equal(t, "I", found.Practitioner.Identifier.System)
	for _, absent := range []any{found.Practitioner.HPRNumber, found.Practitioner.Department, found.Patients[0].PointOfCare, found.CareRelationship.PurposeOfUseDetails} {
		require.Zero(t, absent)
	}
}
