package dpop_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"time"

	"github.com/helseid-go/sdk/dpop"
)

// A client makes a proof, and an API verifies it: once.
func Example() {
	key, err := dpop.GenerateKey(dpop.KeyOptions{})
	if err != nil {
		log.Fatal(err)
	}
	prover, err := dpop.NewProver(dpop.ProverConfig{Key: key})
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

// A proof goes with its token in the headers of one request.
func ExampleProver_Proof() {
	key, err := dpop.GenerateKey(dpop.KeyOptions{})
	if err != nil {
		log.Fatal(err)
	}
	prover, err := dpop.NewProver(dpop.ProverConfig{Key: key})
	if err != nil {
		log.Fatal(err)
	}
	const token = "the-access-token" // bound to prover.Thumbprint()
	request, err := http.NewRequest(http.MethodGet, "https://api.example.no/v1/things", nil)
	if err != nil {
		log.Fatal(err)
	}
	proof, err := prover.Proof(context.Background(), dpop.Target{
		Method: request.Method, URL: request.URL, AccessToken: token,
	})
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Authorization", "DPoP "+token)
	request.Header.Set(dpop.HeaderName, proof)
	fmt.Println(len(request.Header), "headers")
	// Output: 2 headers
}

// A refusal has a reason, which an API can log; its text holds nothing of the proof.
func ExampleVerifier_Verify() {
	verifier, err := dpop.NewVerifier(dpop.VerifierConfig{})
	if err != nil {
		log.Fatal(err)
	}
	_, err = verifier.Verify(context.Background(), "not a proof", dpop.Expectation{
		Method: http.MethodGet, URI: "https://api.example.no/v1/things", AccessToken: "the-access-token",
	})
	var refused *dpop.ProofError
	switch {
	case errors.As(err, &refused):
		fmt.Println(refused.Reason)
	case errors.Is(err, dpop.ErrUnavailable):
		fmt.Println("the replay store does not answer: the proof may be valid")
	}
	// Output: proof_malformed
}

// The key can be in a KMS or HSM that it cannot leave.
func ExampleNewKey() {
	private, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader) // in place of the KMS's crypto.Signer
	if err != nil {
		log.Fatal(err)
	}
	key, err := dpop.NewKey(private, dpop.KeyOptions{}) // the curve's own algorithm
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(key.Algorithm())

	_, err = dpop.NewKey(private, dpop.KeyOptions{Algorithm: "RS256"})
	fmt.Println(errors.Is(err, dpop.ErrKey), err)
	// Output:
	// ES384
	// true unusable signing key: signature algorithm not usable: RS256 needs an RSA key, the key is EC on P-384
}

// A key that outlives the process, or that several processes share.
func ExampleParseKey() {
	key, err := dpop.GenerateKey(dpop.KeyOptions{})
	if err != nil {
		log.Fatal(err)
	}
	secret, err := key.MarshalPrivateJWK() // into a secret store, which encrypts it
	if err != nil {
		log.Fatal(err)
	}
	same, err := dpop.ParseKey(secret, dpop.KeyOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(same.Thumbprint() == key.Thumbprint()) // tokens stay bound to it

	_, err = dpop.ParseKey([]byte(`{"kty":"EC","crv":"P-256","x":"...","y":"..."}`), dpop.KeyOptions{})
	fmt.Println(err)
	// Output:
	// true
	// unusable signing key: it is a public key: the private JWK with member d is needed
}

// A store that takes less memory than the default one.
func ExampleNewMemoryReplay() {
	// For as many requests in 12 seconds, three quarters of them by one client. It takes
	// 6.4 MB at most.
	replay := dpop.NewMemoryReplay(dpop.MemoryReplayConfig{Capacity: 50_000})
	_, err := dpop.NewVerifier(dpop.VerifierConfig{Replay: replay})
	if err != nil {
		log.Fatal(err)
	}

	// The call of a verifier. A store that processes share must return the same.
	use := dpop.Use{
		Proof: sha256.Sum256([]byte("the key and the jti")), Thumbprint: sha256.Sum256([]byte("the key's thumbprint")),
		Expiry: time.Now().Add(time.Minute),
	}
	for range 2 {
		first, err := replay.Record(context.Background(), use)
		fmt.Println(first, err)
	}
	// Output:
	// true <nil>
	// false <nil>
}

func ExampleNonces() {
	api, err := url.Parse("https://api.example.no/v1/things")
	if err != nil {
		log.Fatal(err)
	}
	var nonces dpop.Nonces
	// Every response can have a new nonce, whatever its status.
	nonces.Observe(api, http.Header{"Dpop-Nonce": {"eyJ7S_zG.eyJH0-Z.HX4w-7v"}})
	fmt.Println(nonces.Get(api))
	// Output: eyJ7S_zG.eyJH0-Z.HX4w-7v
}

func ExampleNonceIssuer() {
	issuer, err := dpop.NewNonceIssuer(dpop.NonceIssuerConfig{})
	if err != nil {
		log.Fatal(err)
	}
	nonce := issuer.Nonce()
	fmt.Println(len(nonce), issuer.Valid(nonce), issuer.Valid("invented"))
	// Output: 32 true false
}
