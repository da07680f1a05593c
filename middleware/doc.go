// Package middleware protects an API with HelseID. It accepts only requests with a
// valid access token and a DPoP proof for exactly this request, and gives handlers the
// caller's claims.
//
// It works with net/http, and with chi, gin and echo. For other protocols there is
// [Middleware.Decide]. Packages tokenvalidation and dpop are the parts that it is made of.
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
//			middleware.Scope("nhn:some-api/read"), middleware.HPRNumber(), middleware.SecurityLevel(4)))
//		log.Fatal(http.ListenAndServe("127.0.0.1:8080", mux))
//	}
//
//	func journal(w http.ResponseWriter, r *http.Request) {
//		caller := middleware.Claims(r.Context())
//		fmt.Fprintln(w, "HPR number", caller.User.HPRNumber, "for", caller.Organization.Parent)
//	}
//
// # The API's address
//
// A proof names the URL that the client called. Behind a proxy, this differs from the
// URL that the process sees. Set PublicURL of [Config], or PublicURLs if the API has
// several addresses, or else TrustedProxies. Forwarding headers of other senders are
// ignored. A proof for another URL is refused with proof_htu; Expected of [Record]
// tells the operator which origin and prefix the proof should have named. The path is
// compared as it is received, so a proxy must neither decode nor normalise it:
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
// X-Forwarded-Uri to $request_uri in the location of the subrequest, and copy
// DPoP-Nonce to the response (auth_request_set, add_header). nginx turns all responses
// but 401 and 403 into 500.
//
// # Responses
//
// Every refusal other than a 503 has a challenge in the WWW-Authenticate header. Its
// body has the type application/problem+json (RFC 9457) with the members title, status,
// detail and reason and, where they apply, error, scope, acr_values and max_age. The
// reason is a code that does not change. By status and error:
//
//	400 invalid_request                  a forward-auth proxy did not describe the original request, the proxies'
//	                                     headers are too long, an access token in the query
//	401                                  no credentials
//	401 invalid_request                  headers repeated or missing
//	401 invalid_token                    the token, the scheme, or another key's proof (proof_key_mismatch)
//	401 invalid_dpop_proof               the proof, or it has been used before
//	401 use_dpop_nonce                   a nonce is required (Config.Proof.Nonces)
//	401 insufficient_user_authentication the user must log in in another way
//	403 insufficient_scope               the caller may not do this
//	414 invalid_request                  the path and the query are too long
//	431 invalid_request                  a header is too large
//	503                                  HelseID's keys, the replay store or a requirement's own look-up are down,
//	                                     or HelseID has not been asked about the token's key yet
//
// Put CORS handling outside of the guard: browsers send preflight requests without
// credentials, and read the headers WWW-Authenticate and DPoP-Nonce only if
// Access-Control-Expose-Headers names them.
//
// # Limits
//
// A refusal costs at most three times the time and ten times the memory of a good
// request, whatever is sent (docs/benchmarks.md has the figures). This needs limits,
// each well above what HelseID and proxies send:
//
//	access token                16 KiB (HelseID's: up to 4), 512 members and list elements (some 150)
//	its header, and a proof's   64 members and list elements (some 10)
//	proof                       8 KiB (up to 2.5), 512 members and list elements (some 10)
//	proof key                   RSA of 4096 bits with exponent 65537, as HelseID issues, or EC
//	request target              32 KiB, path and query together (nginx, Apache and Kestrel: 8)
//	Forwarded, X-Forwarded-…    8 KiB and 32 trusted proxies
//	scopes, audiences           256 of each
//	patients in an attest       32 (it is made for one)
//	names of malformed claims   16 in an audit record, texts of 256 bytes
//
// Reading the headers is the server's task: [http.Server] accepts a megabyte of them
// unless MaxHeaderBytes is lower, and 64 KiB is enough.
//
// After a restart, the store in memory does not know which proofs were used before, so
// it refuses proofs that were made before the restart: see [dpop.MemoryReplay].
//
// # Routers
//
// [Middleware.Guard] returns a func(http.Handler) http.Handler, which chi and others
// accept directly: r.Use(auth.Guard(middleware.Scope("nhn:some-api/read"))). For echo:
// e.Use(echo.WrapMiddleware(auth.Guard())). For gin, and likewise for echo before
// version 5 if requirements look at parts of the path:
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
// The guard's writer adds a new nonce (Config.Proof.Nonces) just before the header of a
// response is sent. If an adapter bypasses this writer, as this one does, clients get
// nonces only with refusals and with responses without a body. The program
// examples/stacks, which is the same API in ServeMux, chi, gin, echo, Connect and gRPC,
// has a writer for gin that passes nonces on.
//
// A requirement that looks at a part of the path needs a guard behind the route: in chi
// With, or Use in a Group or in the Route below it, and not Use for the whole router.
//
// Guards can be nested, for instance one for a group of routes and one for a single
// route. The inner guard recognises a request that an outer guard of the same
// [Middleware] has accepted, and checks only its own requirements. It is the same
// request if its credentials, method, host and target are the same, and its path is the
// same or has only lost a prefix. Any other request that a handler passes on with the
// same context is checked in full.
//
// Handlers get a copy of the request, with the caller in its context. When they have
// returned or panicked, the guard removes the temporary files of an upload that they
// have parsed, and copies the forms, the pattern and the path values back to the
// original request. If a handler between the guard and the one that parses the upload
// copies the request again, that handler must remove the files itself, as it must
// without a guard, or have another guard inside of it.
//
// # Other protocols and frameworks
//
// Package middleware/grpcauth, a module of its own, protects gRPC servers, and
// examples/stacks shows Connect. [Middleware.Decide] is the guard without net/http for
// any other protocol: its caller passes in the method, the URL and the headers, and turns
// the [Decision] into its own response. A handler that finds out itself that the caller
// may not do something calls [Middleware.Refuse] to respond as the guard does.
// [NewContext] is for tests of handlers without a guard.
//
// A guard decides when a request begins. A response that goes on after the token has
// expired is not cut off: a handler that streams for long should end at the Expiry of
// the [Claims], as those of grpcauth and of examples/stacks/connect.go do.
//
// # Readiness
//
// [Middleware.Check] is for a readiness probe. It reports whether HelseID's keys are
// known, the clock is right and the replay store can be used.
package middleware
