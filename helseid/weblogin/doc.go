// Package weblogin logs the users of a web application in with HelseID: the
// handlers for login, callback and logout, and a guard for the pages that need a
// user. It needs net/http only.
//
//	package main
//
//	import (
//		"fmt"
//		"log"
//		"net/http"
//
//		"github.com/helseid-go/sdk/helseid"
//		"github.com/helseid-go/sdk/helseid/weblogin"
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
//		web, err := weblogin.New(weblogin.Config{
//			Client: client,
//			Login:  helseid.LoginRequest{Scopes: []string{helseid.ScopeProfile, helseid.ScopeHPRNumber}, SecurityLevel: 4},
//		})
//		if err != nil {
//			log.Fatal(err)
//		}
//		mux := http.NewServeMux()
//		web.Mount(mux)
//		mux.Handle("GET /me", web.Require(me))
//		log.Fatal(http.ListenAndServe("127.0.0.1:8080", mux))
//	}
//
//	func me(w http.ResponseWriter, r *http.Request) {
//		user := weblogin.Session(r.Context()).User()
//		fmt.Fprintln(w, user.Name, "with HPR number", user.HPRNumber)
//	}
//
// # What it does for you
//
// The cookie holds the session's id and nothing else; tokens stay on the server.
// It is HttpOnly, SameSite=Lax and, with an https redirect URI, Secure and named
// with the prefix __Host-. A login belongs to the browser that started it and can
// be ended once; several may be under way in as many tabs. It lies in a cookie of
// its own, sealed, so that logins that nobody ends take up no room. Each login makes
// a new session and ends the one that the browser came with; if several end at once,
// one session is left. A session ends at the latest Config.MaxSessionAge after the
// user has authenticated, and when it has gone unused for Config.IdleTimeout, also for
// a handler that holds it.
//
// Users come back to the page that they wanted to go to, which is a path on this
// host whatever a link says. RequireLevel sends those at a lower security level
// to a new login, and refuses anybody else than the one who was there before.
// StepUp does so when an API that a page calls wants more. If several logins in a row
// lead to no page, because the browser keeps no cookie for instance, it is told what
// is wrong (KindLoop).
//
// Behind a proxy that takes a path prefix off, name the address that browsers see in
// Config.PublicURL: all links and redirects then have the prefix.
//
// # Who is logged in
//
// A session and a login under way belong to the application that they were made in
// (Config.Application), also where several share a client. Who is logged in does not
// change behind the user's back: a login that demands more is the same person's, and
// a link on another site to the login path goes on with the session there is. To let
// another user in, log out first, or link to LoginURL without a level from a page of
// the application's own: whoever logs in there ends the session before
// (EventUserChanged). HelseID may know the one before yet: with helseid.PromptLogin in
// Config.Login it asks each time. Config.OnEvent tells of all this, and of the end of
// each session: whether the user, HelseID, the application or the time has ended it
// (Event.Cause).
//
// All pages behind Require and Optional are kept out of caches (no-store), and out of
// other pages' frames (Config.AllowFraming). These headers are set before the handler
// is called, which can replace them: a Content-Security-Policy of its own should name
// frame-ancestors.
//
// # Logging out
//
// The logout path takes POST only:
//
//	<form method="post" action="/logout"><button>Log out</button></form>
//
// It, and each request behind Require and Optional that changes something, must
// come from the application's own pages. That is seen by the headers
// Sec-Fetch-Site and Origin (http.CrossOriginProtection), which a page cannot
// forge, so no form needs a token. The answer clears the application's cookies, and
// with Clear-Site-Data what the browser has cached and scripts have stored of this
// origin. It redirects the browser to HelseID,
// and Chromium holds redirects of a form against the policy of the page: name
// HelseID's origin in form-action of your Content-Security-Policy. With
// Config.LogoutForm a page of its own posts the ID token to HelseID, and none stands in
// a URL.
//
// # Several processes
//
// Sessions, and the keys that seal logins under way, lie in the client's session
// store. With one that is shared (helseid.Config.Store, and the same DPoPKey
// everywhere) it does not matter which process a request reaches, or that one of them
// ends: a login that was under way may have to be started again, and that is all.
//
// # What is yours
//
// Put a limit on how often one address can start logins, as on anything that
// costs a request to another server. Set Config.SamePerson if your application
// has users of its own. Serve the pages over https, with HSTS.
package weblogin
