// Package selvbetjening reads and changes a client's own registration in HelseID
// Selvbetjening: its keys and when they expire, its scopes, claims and redirect URIs, and
// the delegations to its supplier. It can replace the client's key before that expires.
//
// A key that HelseID Selvbetjening registers expires: a program that shall run for years
// uses [NewRotation] in place of [helseid.New]. Everything else is for tools and monitoring.
//
// The client must have been granted [Scope]. A program that says when its keys expire:
//
//	package main
//
//	import (
//		"context"
//		"fmt"
//		"log"
//		"time"
//
//		"github.com/helseid-go/sdk/helseid"
//		"github.com/helseid-go/sdk/helseid/selvbetjening"
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
//		self, err := selvbetjening.New(selvbetjening.Config{Client: client})
//		if err != nil {
//			log.Fatal(err)
//		}
//		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
//		defer cancel()
//		secrets, err := self.ClientSecrets(ctx)
//		if err != nil {
//			log.Fatal(err)
//		}
//		for _, secret := range secrets {
//			days := time.Until(secret.Expiration).Hours() / 24
//			fmt.Printf("key %s, registered with %s, expires in %.0f days\n", secret.KeyID, secret.Origin, days)
//		}
//	}
//
// # What it does for you
//
// A client of the test environment never calls the API of production, nor the other way
// round: [New] refuses it. The token goes to the API alone and follows no redirect, not
// even within it. What the context of a call chooses for calls of other APIs
// ([helseid.ForOrganization], [helseid.WithTokenRequest], [helseid.WithSubjectToken]) does
// not count here: the client acts for itself.
//
// [Client.Update] keeps what it was not asked to change, although HelseID replaces a
// registration as a whole. Reads are tried again when the connection breaks or the API is
// in trouble. What changes something is sent once, and the documentation of
// [Client.AddClientSecret] and [Client.Update] says which errors leave it open whether it
// has been done.
//
// # Keys that are replaced
//
// [NewRotation] makes a client whose key is replaced before it expires, while the client
// runs:
//
//	rotation, err := selvbetjening.NewRotation(ctx, selvbetjening.RotationConfig{
//		Client: config,
//		Store:  selvbetjening.FileStore{Path: "client.json"},
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer rotation.Close()
//	go rotation.Run(ctx)
//	client := rotation.Client()
//
// The old key stays in use until a token request with the new one has succeeded. This
// also holds when HelseID refuses a step, does not answer, or its answer is lost. The log
// and an event say what went wrong and what to do. If HelseID stops accepting the old key,
// a request that it refuses is made again with the pending key.
//
// Several instances may share a [KeyStore]: a [FileStore] on a disk that all of them have,
// or ClientKeys of package redisstore. A lock, such as KeyLock of that package, saves them
// duplicate work and is optional.
//
// Keys that HelseID lists and the store does not have are reported: see [Rotation].
//
// # Errors
//
// An answer of 4xx or 5xx is an [*Error] (RFC 9457). An API that cannot be reached, does
// not answer in time or is in trouble (429, 5xx) is [helseid.ErrUnavailable], and an
// answer that is not one of its own [helseid.ErrInvalidResponse]. An error that wraps
// [helseid.ErrNoToken] has not reached the API: HelseID gave no token, for instance.
//
// # Sources
//
// Norsk helsenett, Selvbetjening, Client API (https://selvbetjening.nhn.no/docs/api), and
// its libraries and samples for .NET and Java. They differ in how a key is sent, which is
// Config.JWKAsText. HelseID documents no call that removes a key.
package selvbetjening
