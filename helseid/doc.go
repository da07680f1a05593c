// Package helseid is a client for HelseID, the OAuth 2.0 and OpenID Connect
// server of the Norwegian health sector.
//
// From the configuration file that HelseID Selvbetjening hands out to an
// *http.Client that calls an API with tokens and DPoP proofs:
//
//	package main
//
//	import (
//		"fmt"
//		"log"
//
//		"github.com/helseid-go/sdk/helseid"
//	)
//
//	func main() {
//		config, err := helseid.LoadConfig("client.json")
//		if err != nil {
//			log.Fatal(err)
//		}
//		client, err := helseid.New(config)
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer client.Close()
//
//		api := client.HTTPClient(helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}})
//		resp, err := api.Get("https://api.example.nhn.no/v1/things?page=2")
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer resp.Body.Close()
//		fmt.Println(resp.Status)
//	}
//
// # What it does for you
//
// Each request to an API gets a token from memory and a proof of its own. The
// token is fetched once however many goroutines want it, renewed in the
// background before it ends, and kept for as long as HelseID says. Each request
// to HelseID is built from scratch: a client assertion and a proof are never
// sent twice, not by a retry, not by a redirect and not after a nonce challenge.
//
// # What it refuses
//
// It speaks https only, except to loopback hosts. A token follows no redirect to
// another origin. A token that is not bound to the client's key, a token answer
// with a duplicate member, or metadata of another issuer is an error and not a
// warning.
//
// # Errors
//
// HelseID's refusals are *TokenError, found with errors.As. Everything else
// wraps one of the package's error variables; test for them with errors.Is. No
// error of this package holds a token, an assertion, a proof, a key or a
// national identity number. But net/http quotes the URL of a failed request with
// its query: keep personal data out of URLs, or take the *url.Error apart before
// you log it, as examples/machine does.
//
// # Testing
//
// Package helseidtest is a HelseID in your own process: see its documentation.
package helseid
