// Package dpop makes and verifies DPoP proofs (RFC 9449): the signature that
// comes with each request and shows that the sender holds the key which its
// access token is bound to.
//
// Most programs never call it. Package helseid makes a proof for each request
// it sends, and package middleware verifies one for each request it lets in.
//
//	package main
//
//	import (
//		"context"
//		"fmt"
//		"log"
//		"net/url"
//
//		"github.com/helseid-go/sdk/dpop"
//	)
//
//	func main() {
//		key, err := dpop.GenerateKey(dpop.KeyOptions{})
//		if err != nil {
//			log.Fatal(err)
//		}
//		prover, err := dpop.NewProver(dpop.ProverConfig{Key: key})
//		if err != nil {
//			log.Fatal(err)
//		}
//		target, err := url.Parse("https://api.example.no/v1/things?page=2")
//		if err != nil {
//			log.Fatal(err)
//		}
//		proof, err := prover.Proof(context.Background(), dpop.Target{
//			Method:      "GET",
//			URL:         target,
//			AccessToken: "the-access-token",
//		})
//		if err != nil {
//			log.Fatal(err)
//		}
//
//		verifier, err := dpop.NewVerifier(dpop.VerifierConfig{})
//		if err != nil {
//			log.Fatal(err)
//		}
//		verified, err := verifier.Verify(context.Background(), proof, dpop.Expectation{
//			Method:      "GET",
//			URI:         "https://api.example.no/v1/things",
//			AccessToken: "the-access-token",
//			Thumbprint:  key.Thumbprint(),
//		})
//		if err != nil {
//			log.Fatal(err)
//		}
//		fmt.Println("the proof is good and from key", verified.Thumbprint == key.Thumbprint())
//	}
//
// # Time
//
// A proof is good for seconds: by default it may be ten seconds old and eight
// seconds ahead. It is remembered until it could not be accepted any more, and
// refused the second time. Both machines need a clock that is right.
//
// # More than one process
//
// The replay store in memory is for a single process. Processes that answer for
// the same API must share a ReplayStore, and a secret if they issue nonces.
package dpop
