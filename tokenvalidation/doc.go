// Package tokenvalidation validates HelseID's access tokens and reads them into
// typed claims: who the user is, for which organisation, and how strongly
// authenticated.
//
// Most APIs use it through package middleware, which also checks the DPoP proof
// that goes with the token. On its own it is for tokens that come some other
// way:
//
//	package main
//
//	import (
//		"context"
//		"errors"
//		"fmt"
//		"log"
//		"os"
//
//		"github.com/helseid-go/sdk/helseid"
//		"github.com/helseid-go/sdk/tokenvalidation"
//	)
//
//	func main() {
//		validator, err := tokenvalidation.New(tokenvalidation.Config{
//			Issuer:   helseid.Test.Issuer(),
//			Audience: "nhn:some-api",
//		})
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer validator.Close()
//
//		claims, err := validator.Validate(context.Background(), os.Getenv("ACCESS_TOKEN"))
//		switch {
//		case errors.Is(err, tokenvalidation.ErrUnavailable):
//			log.Fatal("HelseID cannot be reached: ", err)
//		case err != nil:
//			log.Fatal("refused: ", err)
//		case claims.User == nil:
//			fmt.Println("a system:", claims.ClientID)
//		default:
//			fmt.Println("a user with HPR number", claims.User.HPRNumber)
//		}
//	}
//
// A token that is bound to a key (Claims.Confirmation) is worth nothing without
// the proof: whoever validates tokens alone must check that too, or refuse it.
//
// # Keys
//
// HelseID's keys are fetched when the first token comes, and kept: ten minutes
// as fresh, up to 24 hours if no newer ones can be had. Tokens with a known key
// never wait and never cause a request. For an unknown one HelseID is asked for its
// keys, and for its metadata where they lack it, since they may have moved: twice at
// once, and then once in five seconds, whoever sends such tokens; an attempt that fails
// is made again after one second, two and then four. All that wait for a key share the
// attempt.
//
// A token is refused as one of a key that HelseID does not have (ReasonKey) only if
// HelseID was asked after the token came, or has withdrawn the key. While it may not be
// asked or does not answer, a caller waits up to three seconds for its turn, or
// the error wraps ErrUnavailable: an API answers 503 with Retry-After, and by then
// HelseID will have been asked. So tokens with made-up kids, in any number, do not touch
// those of known keys, and delay a key that HelseID has just published by five seconds
// at most. At most 1024 callers wait at a time.
//
// KeySet is the same for code that validates tokens with another library,
// coreos/go-oidc for instance.
//
// # Memory
//
// HelseID signs with RSA-3072, which costs more to verify than all the rest of a
// request. Tokens that have been validated are therefore remembered by their
// hash, until they expire or the keys change; see Config.TokenMemory. What they
// say about people stays in memory for as long.
package tokenvalidation
