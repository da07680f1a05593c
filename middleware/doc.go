// Package middleware is the way in to an API that HelseID protects: it lets
// only requests through that carry a valid access token and a DPoP proof for
// exactly this request, and gives handlers the caller's claims.
//
//	package main
//
//	import (
//		"fmt"
//		"log"
//		"net/http"
//
//		"github.com/helseid-go/sdk/helseid"
//		"github.com/helseid-go/sdk/middleware"
//	)
//
//	func main() {
//		auth, err := middleware.New(middleware.Config{
//			Issuer:    helseid.Test.Issuer,
//			Audience:  "nhn:some-api",
//			PublicURL: "https://api.example.no",
//		})
//		if err != nil {
//			log.Fatal(err)
//		}
//		mux := http.NewServeMux()
//		mux.Handle("GET /journal/{id}", auth.Require(journal,
//			middleware.Scope("nhn:some-api/read"), middleware.SecurityLevel(4), middleware.HPRNumber()))
//		log.Fatal(http.ListenAndServe("127.0.0.1:8080", mux))
//	}
//
//	func journal(w http.ResponseWriter, r *http.Request) {
//		caller := middleware.Claims(r.Context())
//		fmt.Fprintln(w, "HPR number", caller.User.HPRNumber, "for", caller.Organization.Parent)
//	}
//
// # Where am I?
//
// A proof names the URL that the client called. Behind a proxy that is not the
// one that this process sees: set Config.PublicURL, or Config.TrustedProxies if
// the API has several names. Nobody else's word is taken for it.
//
// # Answers
//
// A refusal other than a 503 has a challenge in the header WWW-Authenticate. Its
// body is of the type application/problem+json (RFC 9457): title, status, detail,
// reason, which is a word that does not change, and where they apply error, scope,
// acr_values and max_age. By error:
//
//	400 invalid_request                  a forward-auth proxy left out the original request, proxies' headers without
//	                                     end, an access token in the query
//	401                                  no credentials
//	401 invalid_request                  headers repeated or missing
//	401 invalid_token                    the token, the scheme, or another key's proof (proof_key_mismatch)
//	401 invalid_dpop_proof               the proof, or it has been used before
//	401 use_dpop_nonce                   a nonce is demanded (Config.Proof.Nonces)
//	401 insufficient_user_authentication the user must log in in another way
//	403 insufficient_scope               the caller may not do this
//	414 invalid_request                  the path and the query are too long
//	431 invalid_request                  a header is too large
//	503                                  HelseID's keys, the replay store or a requirement's own look-up are down,
//	                                     or HelseID has not been asked about the token's key yet
//
// An API that browsers call from another origin should name WWW-Authenticate and
// DPoP-Nonce in the header Access-Control-Expose-Headers.
//
// # Limits
//
// A refusal costs no more than three times the time of a good request, and ten times
// its memory, whatever is sent (docs/benchmarks.md has the figures). So there are limits,
// each well above what HelseID and proxies send:
//
//	access token                16 KiB (HelseID's: up to 4), 512 members and list elements (some 150)
//	its header, and a proof's   64 members and list elements (some 10)
//	proof                       8 KiB (up to 2.5), 512 members and list elements (some 10)
//	proof key                   RSA of 4096 bits with exponent 65537, as HelseID hands out, or EC
//	request target              32 KiB, path and query together (nginx, Apache and Kestrel: 8)
//	Forwarded, X-Forwarded-…    8 KiB and 32 trusted proxies
//	scopes, audiences           256 of each
//	patients in an attest       32 (it is made for one)
//	names of malformed claims   16 in an audit record, texts of 256 bytes
//
// Reading the headers is the server's part: http.Server takes a megabyte of them unless
// MaxHeaderBytes says less, and 64 KiB is enough.
//
// After a restart the store in memory refuses the proofs of before, which it cannot
// know: see dpop.MemoryReplay.
//
// # Routers
//
// Guard returns a func(http.Handler) http.Handler, which chi and others take as
// it is: r.Use(auth.Guard(middleware.Scope("nhn:some-api/read"))). For gin, put
// the guard before the engine, or adapt it:
//
//	router.Use(func(c *gin.Context) {
//		passed := false
//		auth.Guard()(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
//			c.Request, passed = r, true
//		})).ServeHTTP(c.Writer, c.Request)
//		if !passed {
//			c.Abort()
//		}
//	})
//
// For echo: e.Use(echo.WrapMiddleware(auth.Guard())).
package middleware
