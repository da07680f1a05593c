// Package tokenvalidation validates HelseID's access tokens and reads them into
// typed claims: who the user is, for which organisation, and how strongly
// authenticated.
//
// Most APIs use it through package middleware, which also checks the DPoP proof
// that goes with the token. Use it directly for tokens that arrive in another way:
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
// A token that is bound to a key ([Claims.Confirmation]) is valid only together with a
// proof by that key: code that validates tokens alone must check the proof as well, or
// refuse such tokens.
//
// # Keys
//
// HelseID's keys are fetched when the first token arrives. They are renewed after ten
// minutes, and used for up to 24 hours if HelseID cannot be reached. A token with a
// known key never waits and never causes a request. An unknown key causes a request
// for the key set, and for the metadata if the set lacks the key, since the set may
// have moved. All tokens together cause two such requests at once and then one every
// five seconds; after a failure the next one follows after one, two and then four
// seconds. All callers that wait for a key share a request.
//
// A token is refused with [ReasonKey] only if HelseID was asked after the token
// arrived, or has withdrawn the key. While no request is permitted or HelseID does not
// answer, a caller waits for up to three seconds; after that the error wraps
// [ErrUnavailable], and an API answers 503 with Retry-After. So tokens with invented
// kids never affect tokens with known keys, and delay a key that HelseID has just
// published by five seconds at most. At most 1024 callers wait at a time.
//
// [KeySet] gives the same to code that validates tokens with another library, such as
// coreos/go-oidc.
//
// # Memory
//
// HelseID signs with RSA-3072, which costs more to verify than all the rest of a
// request. Tokens that have been validated are therefore remembered by their
// hash, until they expire or the keys change; see [Config.TokenMemory]. Personal data
// in their claims stays in memory for the same time.
package tokenvalidation
