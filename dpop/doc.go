// Package dpop makes and verifies DPoP proofs (RFC 9449). A proof is a signed JWT that
// is sent with a request and shows that the sender holds the key to which its access
// token is bound.
//
// Most programs do not use it directly: package helseid makes a proof for each request
// that it sends, and package middleware verifies one for each request that it receives.
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
// A proof is valid for seconds: by default it may be ten seconds old, and dated up to
// eight seconds in the future. A used proof is remembered for as long as it could be
// accepted again, and is refused the second time. The clocks of both machines must be
// right.
//
// # More than one process
//
// The replay store in memory is for a single process. Processes that serve the same API
// must share a [ReplayStore] and, if they issue nonces, the secret of the
// [NonceIssuer].
package dpop
