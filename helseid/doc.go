// Package helseid is a client for HelseID, the OAuth 2.0 and OpenID Connect server of the
// Norwegian health sector. It gets tokens, and calls APIs with them, for a system or for
// a user who has logged in.
//
// From the configuration file that HelseID Selvbetjening hands out to an [*http.Client]
// that calls an API with tokens and DPoP proofs:
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
// # Which package
//
//   - call APIs, as a system or for a user: this package.
//   - log users in to a web application: [github.com/helseid-go/sdk/helseid/weblogin].
//   - protect an API of your own: [github.com/helseid-go/sdk/middleware].
//   - replace a client's key before it expires:
//     [github.com/helseid-go/sdk/helseid/selvbetjening].
//   - share tokens, sessions and used proofs between processes:
//     [github.com/helseid-go/sdk/helseid/redisstore].
//   - see metrics and traces of them, with OpenTelemetry:
//     [github.com/helseid-go/sdk/helseid/otelhelseid].
//   - test any of these: [github.com/helseid-go/sdk/helseid/helseidtest].
//
// # Logging clinicians in
//
// A web application mounts package weblogin, which does all of this: cookies, state,
// logout, step-up. A program on the user's machine opens the system's browser and listens
// on a loopback port: see the example of [Client.StartLogin].
//
// For other backends: send the browser to HelseID, which later sends it back. Keep the
// login's state in the meantime where only that browser can reach it, and afterwards the
// session's ID in a cookie.
//
//	func login(w http.ResponseWriter, r *http.Request) {
//		login, err := client.StartLogin(r.Context(), helseid.LoginRequest{
//			Scopes:        []string{helseid.ScopeOfflineAccess, helseid.ScopeHPRNumber, "nhn:some-api/read"},
//			Resources:     []string{"nhn:some-api"},
//			SecurityLevel: identity.SecurityLevel4,
//		})
//		// keep login.State, then:
//		http.Redirect(w, r, login.URL, http.StatusSeeOther)
//	}
//
//	func callback(w http.ResponseWriter, r *http.Request) {
//		// find the state of this browser and delete it, then:
//		session, err := client.FinishLogin(r.Context(), state, r.URL.Query())
//		// session.User() is the user; put session.ID().Reveal() into a cookie
//	}
//
//	func journal(w http.ResponseWriter, r *http.Request) {
//		session, err := client.Sessions().Get(r.Context(), idFromTheCookie)
//		ctx := helseid.ForOrganization(r.Context(), parent, child) // where the clinician works now
//		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
//		response, err := session.HTTPClient(helseid.TokenRequest{Resource: "nhn:some-api"}).Do(request)
//	}
//
// One login serves all APIs and organisations: the session gets a separate token for
// each with its refresh token, which HelseID replaces at each use. When it can get no
// more tokens, the error wraps [ErrLoginRequired].
//
// # What it does for you
//
// Each request to an API gets a token from memory and a new proof. A token is
// fetched once, no matter how many goroutines need it, renewed in the background
// before it expires, and kept for as long as HelseID says. Each request to HelseID is
// built from scratch: a client assertion and a proof are never sent twice, not by a
// retry, not by a redirect and not after a nonce challenge.
//
// # What it refuses
//
// It uses https only, except to loopback hosts. A token is not sent along a redirect
// to another origin. A token that is not bound to the client's key, a token answer
// with a duplicate member, and metadata of another issuer are errors, not warnings.
//
// # Errors
//
// A refusal by HelseID is a [*TokenError], or an [*AuthorizationError] for a login:
// find them with [errors.As]. Any other error wraps one of the package's error
// variables, for [errors.Is], or is the error of a context or of one of your keys. No
// error of this package holds a token, an assertion, a proof, a key or a national
// identity number. But net/http quotes the URL of a failed request with its query:
// keep personal data out of URLs, or unwrap the *url.Error before you log it, as
// examples/machine does.
package helseid
