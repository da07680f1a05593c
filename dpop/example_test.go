package dpop_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"

	"github.com/helseid-go/sdk/dpop"
)

func Example() {
	key, err := dpop.GenerateKey()
	if err != nil {
		log.Fatal(err)
	}
	prover, err := dpop.NewProver(key)
	if err != nil {
		log.Fatal(err)
	}
	target, err := url.Parse("https://api.example.no/v1/things?page=2")
	if err != nil {
		log.Fatal(err)
	}
	proof, err := prover.Proof(context.Background(), dpop.Target{Method: "GET", URL: target, AccessToken: "the-access-token"})
	if err != nil {
		log.Fatal(err)
	}

	verifier, err := dpop.NewVerifier(dpop.VerifierConfig{})
	if err != nil {
		log.Fatal(err)
	}
	expected := dpop.Expectation{
		Method:      "GET",
		URI:         "https://api.example.no/v1/things",
		AccessToken: "the-access-token",
		Thumbprint:  key.Thumbprint(),
	}
	verified, err := verifier.Verify(context.Background(), proof, expected)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("from the right key:", verified.Thumbprint == key.Thumbprint())

	_, err = verifier.Verify(context.Background(), proof, expected)
	var refused *dpop.ProofError
	fmt.Println("a second time:", errors.As(err, &refused), refused.Reason)
	// Output:
	// from the right key: true
	// a second time: true proof_replayed
}

func ExampleNonces() {
	api, err := url.Parse("https://api.example.no/v1/things")
	if err != nil {
		log.Fatal(err)
	}
	var nonces dpop.Nonces
	// Every answer can bring a new nonce, whatever its status.
	nonces.Observe(api, http.Header{"Dpop-Nonce": {"eyJ7S_zG.eyJH0-Z.HX4w-7v"}})
	fmt.Println(nonces.Get(api))
	// Output: eyJ7S_zG.eyJH0-Z.HX4w-7v
}

func ExampleNonceIssuer() {
	issuer, err := dpop.NewNonceIssuer(nil)
	if err != nil {
		log.Fatal(err)
	}
	nonce := issuer.Nonce()
	fmt.Println(len(nonce), issuer.Valid(nonce), issuer.Valid("invented"))
	// Output: 32 true false
}
