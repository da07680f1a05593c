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
// # Logging clinicians in
//
// A web backend sends the browser to HelseID and takes it back. Between the two
// it keeps the login's state where only that browser leads to, and afterwards the
// session's id in a cookie (package weblogin does all of that):
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
//		// session.User() is who it is; put session.ID().Reveal() into a cookie
//	}
//
//	func journal(w http.ResponseWriter, r *http.Request) {
//		session, err := client.Sessions().Get(r.Context(), idFromTheCookie)
//		ctx := helseid.ForOrganization(r.Context(), parent, child) // where the clinician works now
//		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
//		response, err := session.HTTPClient(helseid.TokenRequest{Resource: "nhn:some-api"}).Do(request)
//	}
//
// One login serves all the APIs and organisations: each gets a token of its own,
// with the refresh token, which HelseID replaces at each use. When it cannot be
// renewed any more the error is an ErrLoginRequired.
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
// HelseID's refusals are *TokenError, and those of a login *AuthorizationError,
// found with errors.As. Everything else wraps one of the package's error variables,
// for errors.Is, or is the error of a context or of a key of yours. No
// error of this package holds a token, an assertion, a proof, a key or a
// national identity number. But net/http quotes the URL of a failed request with
// its query: keep personal data out of URLs, or take the *url.Error apart before
// you log it, as examples/machine does.
//
// # Users
//
// Client.StartLogin and Client.FinishLogin log a user in and start a Session,
// whose HTTPClient calls APIs on behalf of the user. A web application mounts
// package weblogin, which does the rest: cookies, state, logout, step-up. A
// program on the user's machine opens the system's browser and a port of its own
// on loopback: see the example of StartLogin.
//
// # Testing
//
// Package helseidtest is a HelseID in your own process: see its documentation.
package helseid
