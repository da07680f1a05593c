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
//			Issuer:    helseid.Test.Issuer(),
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
// one that this process sees: set Config.PublicURL, Config.PublicURLs if the API has
// several addresses, or else Config.TrustedProxies. Nobody else's word is taken for it.
// A proof for another URL is refused with proof_htu; Record.Expected tells the operator
// which origin and prefix it should have named. The path is compared as it comes in, so
// a proxy must neither decode nor tidy it up:
//
//	nginx          proxy_pass without a URI; to take a prefix off, a regular expression on
//	               $request_uri; it passes on X-Forwarded headers unless proxy_set_header
//	               sets each
//	Traefik        StripPrefix sets X-Forwarded-Prefix; forwardAuth goes with ForwardAuth{}
//	Envoy          merge_slashes and normalize_path must be off; ext_authz asks with the
//	               original method and path, and needs no ForwardAuth
//	HAProxy        http-request set-header X-Forwarded-Proto and -Host, or option forwarded
//	AWS ALB        sets X-Forwarded-Proto and -Port, and leaves Host as it is
//	Azure App GW   sets X-Original-Host and X-Forwarded-Port (HostHeader, PortHeader)
//
// With nginx's auth_request, set X-Forwarded-Method to $request_method and
// X-Forwarded-Uri to $request_uri in the location that asks, and hand DPoP-Nonce on
// (auth_request_set, add_header). It makes 500 of all answers but 401 and 403.
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
// CORS stands outside of the guard: browsers send preflight requests without
// credentials, and read the headers WWW-Authenticate and DPoP-Nonce only if
// Access-Control-Expose-Headers names them.
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
// it is: r.Use(auth.Guard(middleware.Scope("nhn:some-api/read"))). For echo:
// e.Use(echo.WrapMiddleware(auth.Guard())). For gin, and likewise for echo where
// requirements look at parts of the path:
//
//	func guarded(auth *middleware.Middleware, requirements ...middleware.Requirement) gin.HandlerFunc {
//		guard := auth.Guard(requirements...)
//		return func(c *gin.Context) {
//			for _, part := range c.Params {
//				c.Request.SetPathValue(part.Key, part.Value) // for requirements that see the request
//			}
//			c.Request.Pattern = c.FullPath() // for the audit record
//			passed := false
//			guard(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
//				c.Request, passed = r, true
//				c.Next() // within the guard, which clears up after the handlers
//			})).ServeHTTP(c.Writer, c.Request)
//			if !passed {
//				c.Abort()
//			}
//		}
//	}
//
// Guards may stand one in another, as those of a group of routes in a group do: the
// inner one recognises the request that one of the same Middleware has let in, and
// checks its own requirements alone. A request is the same if its credentials, method,
// host and target are, and its path but for a prefix that was cut off: what else a
// handler sends on with the same context is checked anew.
//
// Handlers get a copy of the request, with the caller in its context. When they have
// returned, also by a panic, the guard removes the temporary files of an upload that
// they have parsed, and gives the forms, the pattern and the path values that the copy
// has got back to the request that it was given. A handler between the guard and the
// one that parses which copies the request once more must remove the files itself, as
// without a guard, or have another guard inside of it.
//
// # Other protocols and frameworks
//
// [Middleware.Decide] is the guard without net/http: an interceptor of gRPC gives it
// the method, the URL and the metadata, and makes an answer of its own of the
// [Decision]. Where a handler finds out itself that the caller may not do something,
// [Middleware.Refuse] answers as the guard does. [NewContext] is for tests of handlers
// without either.
//
// # Readiness
//
// [Middleware.Check] is for a readiness probe: whether HelseID's keys are known, the
// clock is right and the replay store can be used.
package middleware
