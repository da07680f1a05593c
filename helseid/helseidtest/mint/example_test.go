package mint_test

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/middleware"
)

// Tokens that an API accepts and refuses.
func Example() {
	server, err := helseidtest.Start() // in a test: helseidtest.NewServer(t)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	auth, err := middleware.New(middleware.Config{Issuer: server.Issuer(), Audience: "nhn:some-api", PublicURL: "https://api.example.no"})
	if err != nil {
		log.Fatal(err)
	}
	defer auth.Close()
	api := auth.Require(func(http.ResponseWriter, *http.Request) {}, middleware.SecurityLevel(4))

	for _, token := range []string{
		server.Token(mint.Clinician(), mint.Audience("nhn:some-api")),
		server.Token(mint.Clinician(), mint.Audience("nhn:some-api"), mint.SecurityLevel(3)),
		server.Token(mint.Clinician(), mint.Audience("nhn:some-api"), mint.Expired()),
		server.Token(mint.Audience("nhn:some-api")), // of a system
	} {
		request := httptest.NewRequest(http.MethodGet, "https://api.example.no/journal/1", nil)
		server.Authorize(request, token)
		response := httptest.NewRecorder()
		api.ServeHTTP(response, request)
		problem := struct{ Reason string }{"accepted"}
		_ = json.Unmarshal(response.Body.Bytes(), &problem)
		fmt.Println(response.Code, problem.Reason)
	}
	// Output:
	// 200 accepted
	// 401 security_level
	// 401 token_expired
	// 403 user
}

// An API must refuse each of the proofs that Test-Token-Tjenesten breaks.
func ExampleInvalidProofs() {
	server, err := helseidtest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	auth, err := middleware.New(middleware.Config{Issuer: server.Issuer(), Audience: mint.DefaultAudience})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer auth.Close()
	handler := auth.Require(func(http.ResponseWriter, *http.Request) {}, middleware.Scope(mint.DefaultAudience+"/read"))

	for _, broken := range mint.InvalidProofs() {
		var tokens []mint.TokenOption
		var proofs []mint.ProofOption
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
	auth, err := middleware.New(middleware.Config{Issuer: server.Issuer(), Audience: mint.DefaultAudience})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer auth.Close()
	handler := auth.Require(func(w http.ResponseWriter, r *http.Request) {
		attest := middleware.Claims(r.Context()).Attest
		fmt.Fprint(w, attest.Practitioner.Authorization.Code, " ", attest.CareRelationship.PurposeOfUse.Code)
	}, middleware.FreshAttest())

	token := server.Token(mint.Clinician(), mint.Attest(clientassertion.Attest{
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
