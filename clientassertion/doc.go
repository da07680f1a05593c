// Package clientassertion makes the assertions with which a client authenticates to
// HelseID: private_key_jwt (RFC 7523) as HelseID requires it, with the header type
// client-authentication+jwt, the issuer as the only audience, a lifetime of seconds,
// and optionally assertion_details.
//
// Most programs do not use it directly: package helseid makes an assertion for each of
// its requests. It is for programs that send requests to HelseID by other means.
//
//	package main
//
//	import (
//		"context"
//		"fmt"
//		"log"
//		"os"
//
//		"github.com/helseid-go/sdk/clientassertion"
//	)
//
//	func main() {
//		pem, err := os.ReadFile("client-key.pem")
//		if err != nil {
//			log.Fatal(err)
//		}
//		key, err := clientassertion.ParseKey(pem, clientassertion.KeyOptions{KeyID: "my-key"})
//		if err != nil {
//			log.Fatal(err)
//		}
//		signer, err := clientassertion.New(clientassertion.Config{
//			ClientID: "6d2a1c0e-5f0b-4a57-9a35-0d5f0a7a2f11",
//			Audience: "https://helseid-sts.test.nhn.no",
//			Key:      key,
//		})
//		if err != nil {
//			log.Fatal(err)
//		}
//		assertion, err := signer.Sign(context.Background())
//		if err != nil {
//			log.Fatal(err)
//		}
//		fmt.Println("client_assertion_type =", clientassertion.Type)
//		fmt.Println("client_assertion is", len(assertion), "characters")
//	}
//
// # Keys
//
// [ParseKey] takes keys in most of the forms that they come in, [NewKey] any
// crypto.Signer, such as one of an HSM, and [GenerateKey] makes new ones. Only
// [Key.MarshalPrivateJWK] and [Key.MarshalPrivatePEM] give a private key away. In
// examples/keys are programs whose key is in an HSM (PKCS#11), in a .p12 file or in
// HashiCorp Vault.
//
// # Rules
//
// Use an assertion once. Code that repeats a request must make a new assertion, since
// HelseID may refuse a jti that it has seen before.
//
// The audience is the issuer from HelseID's metadata, never the token endpoint. Times
// are numbers in whole seconds. The machine's clock must be right: the default lifetime
// is ten seconds, and HelseID's limit is sixty.
package clientassertion
