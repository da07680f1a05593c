package helseidtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/middleware"
)

// An API must refuse each of the proofs that Test-Token-Tjenesten breaks.
func ExampleInvalidProofs() {
	server, err := helseidtest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	auth, err := middleware.New(middleware.Config{Issuer: server.Issuer(), Audience: helseidtest.DefaultAudience})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer auth.Close()
	handler := auth.Require(func(http.ResponseWriter, *http.Request) {}, middleware.Scope(helseidtest.DefaultAudience+"/read"))

	for _, broken := range helseidtest.InvalidProofs() {
		var tokens []helseidtest.TokenOption
		var proofs []helseidtest.ProofOption
		if broken.Token != nil {
			tokens = append(tokens, broken.Token)
		} else {
			proofs = append(proofs, broken.Proof)
		}
		request := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/things", nil)
		server.Authorize(request, server.Token(tokens...), proofs...)
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, request)
		var problem struct{ Reason string }
		_ = json.Unmarshal(response.Body.Bytes(), &problem)
		fmt.Println(response.Code, broken.Name, problem.Reason)
	}
	// Output:
	// 401 DontSetHtuClaimValue proof_htu
	// 401 DontSetHtmClaimValue proof_htm
	// 401 SetIatValueInThePast proof_iat
	// 401 SetIatValueInTheFuture proof_iat
	// 401 DontSetAthClaimValue proof_ath
	// 401 DontSetAlgHeader proof_alg
	// 401 DontSetJwkHeader proof_jwk
	// 401 DontSetJtiClaim proof_jti
	// 401 SetAlgHeaderToASymmetricAlgorithm proof_alg
	// 401 SetPrivateKeyInJwkHeader proof_jwk
	// 401 SetInvalidTypHeaderValue proof_typ
	// 401 SetAnInvalidSignature proof_signature
	// 401 SetAnInvalidJktValueInToken proof_key_mismatch
}

// A clinician's token with an attest of the trust framework.
func ExampleAttest() {
	server, err := helseidtest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	auth, err := middleware.New(middleware.Config{Issuer: server.Issuer(), Audience: helseidtest.DefaultAudience})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer auth.Close()
	handler := auth.Require(func(w http.ResponseWriter, r *http.Request) {
		attest := middleware.Claims(r.Context()).Attest
		fmt.Fprint(w, attest.Practitioner.Authorization.Code, " ", attest.CareRelationship.PurposeOfUse.Code)
	}, middleware.FreshAttest())

	token := server.Token(helseidtest.Clinician(), helseidtest.Attest(clientassertion.Attest{
		Authorization: clientassertion.Code{Code: "LE"},
		LegalEntity:   "994598759",
		PurposeOfUse:  clientassertion.PurposeTreatment,
		DecisionID:    "decision-1",
	}))
	request := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/journal/1", nil)
	server.Authorize(request, token)
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, request)
	fmt.Println(response.Code, response.Body)
	// Output: 200 LE TREAT
}

// A tool that is written for Test-Token-Tjenesten works without it.
func ExampleTestTokens() {
	server, err := helseidtest.Start(helseidtest.TestTokens("my-key"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	body := `{"audience":"nhn:my-api","clientClaimsParameters":{"scope":["nhn:my-api/read"]},"setInvalidIssuer":true}`
	request, err := http.NewRequest(http.MethodPost, server.Issuer()+string(helseidtest.EndpointTestToken), strings.NewReader(body))
	if err != nil {
		fmt.Println(err)
		return
	}
	request.Header.Set("X-Auth-Key", "my-key")
	response, err := server.HTTPClient().Do(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	var answer struct {
		IsError         bool
		SuccessResponse struct{ AccessTokenJwt string }
	}
	_ = json.NewDecoder(response.Body).Decode(&answer)
	fmt.Println(answer.IsError, strings.Count(answer.SuccessResponse.AccessTokenJwt, "."))
	// Output: false 2
}

// A client registers its next key with the one that it has.
func ExampleSelvbetjening() {
	server, err := helseidtest.Start(helseidtest.Selvbetjening())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	config, err := server.NewClient(helseidtest.SelvbetjeningScope)
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := helseid.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	api := client.HTTPClient(helseid.TokenRequest{Scopes: []string{helseidtest.SelvbetjeningScope}})

	next := `{"kty":"EC","crv":"P-256","kid":"next","alg":"ES256","use":"sig",
		"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	response, err := api.Post(server.SelvbetjeningURL()+"/v1/client-secret", "application/json", strings.NewReader(next))
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = response.Body.Close()
	fmt.Println(response.StatusCode)

	response, err = api.Get(server.SelvbetjeningURL() + "/v1/client-secret")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	var keys []struct{ Origin, Kid string }
	_ = json.NewDecoder(response.Body).Decode(&keys)
	fmt.Println(len(keys), keys[0].Origin, keys[1].Origin, keys[1].Kid)
	// Output:
	// 200
	// 2 Gui Api next
}

// A supplier gets no token for an organisation that has not delegated to it.
func ExampleServer_Delegate() {
	server, err := helseidtest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	config, err := server.NewMultiTenantClient(nil, "nhn:some-api/read")
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := helseid.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	ctx := helseid.ForOrganization(context.Background(), "994598759", "")

	_, err = client.Token(ctx, helseid.TokenRequest{})
	fmt.Println(strings.Contains(err.Error(), "HID-1001"))
	if err := server.Delegate("994598759", config.ClientID); err != nil {
		fmt.Println(err)
		return
	}
	client, err = helseid.New(config) // the first one waits a while before it asks again
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	_, err = client.Token(ctx, helseid.TokenRequest{})
	fmt.Println(err)
	// Output:
	// true
	// <nil>
}
