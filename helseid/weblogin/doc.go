// Package weblogin logs the users of a web application in with HelseID: the
// handlers for login, callback and logout, and a guard for the pages that need a
// user. It needs net/http only.
//
// Use it for an application that browsers open. Handlers get the session, which calls
// APIs on behalf of the user ([helseid.Session.HTTPClient]). An API that other programs
// call with tokens uses package [github.com/helseid-go/sdk/middleware].
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
// The cookie holds only the session's id; tokens stay on the server. It is HttpOnly,
// SameSite=Lax and, with an https redirect URI, Secure and named with the prefix __Host-.
// A login belongs to the browser that started it and can be finished once; several may be
// under way in several tabs. It is kept in a sealed cookie of its own, so that logins that
// are never finished take no memory on the server. Each login makes a new session and ends
// the browser's earlier one; if several finish at once, one session remains. A session ends
// at the latest [Config.MaxSessionAge] after the user has authenticated, and when it has
// been unused for [Config.IdleTimeout], even if a handler has kept it.
//
// After the login users return to the page that they asked for, which is always a path on
// this host. [Web.RequireLevel] sends users with a lower security level to a new login, and
// accepts only the same person there. [Web.RequireRecent] does so with users who have
// authenticated too long ago, and [Web.StepUp] when an API that a page calls
// requires more. If several logins in a row lead to no page, for instance because the
// browser keeps no cookies, an error page says what is wrong ([KindLoop]).
//
// Behind a proxy that removes a path prefix, set [Config.PublicURL] to the address that
// browsers see: all links and redirects then have the prefix.
//
// # Who is logged in
//
// A session and a login under way belong to the application that they were made in
// ([Config.Application]), even if several share a client. Who is logged in does not change
// unnoticed: a step-up login must be by the same person, and a link on another site to the
// login path continues with the existing session. To let another user log in, log out
// first, or link to [Web.LoginURL] without a level from one of the application's own pages:
// a login there ends the earlier session ([EventUserChanged]). The earlier user may still be
// logged in at HelseID: with [helseid.PromptLogin] in [Config.Login] HelseID asks each time.
// [Config.OnEvent] reports all this, and the end of each session with its cause: the user,
// HelseID, the application or its age ([Event.Cause]).
//
// All pages behind [Web.Require] and [Web.Optional] are kept out of caches (no-store), and
// out of other pages' frames ([Config.AllowFraming]). These headers are set before the
// handler is called, and the handler can replace them: its own Content-Security-Policy
// should contain frame-ancestors.
//
// # Logging out
//
// The logout path takes POST only:
//
//	<form method="post" action="/logout"><button>Log out</button></form>
//
// It, and each request behind [Web.Require] and [Web.Optional] that changes something, must
// come from the application's own pages. The headers Sec-Fetch-Site and Origin, which a
// page cannot forge, show that ([http.CrossOriginProtection]), so no form needs a token. The
// answer clears the application's cookies and, with Clear-Site-Data, what the browser has
// cached and scripts have stored for this origin. It redirects the browser to HelseID.
// Chromium applies the page's form-action to the redirects of a form, so name HelseID's
// origin in form-action of your Content-Security-Policy. With [Config.LogoutForm] a separate
// page posts the ID token to HelseID, so that it is in no URL.
//
// # Several processes
//
// Sessions, and the keys that seal logins under way, are kept in the client's session
// store. If it is shared ([helseid.Config.Store], with the same DPoPKey everywhere), it does
// not matter which process a request reaches. If a process ends, a login under way may have
// to be started again, and nothing else is lost.
//
// # What you must do
//
// Put a limit on how often one address can start logins, as on anything that
// costs a request to another server. Set [Config.SamePerson] if your application
// has users of its own. Serve the pages over https, with HSTS.
package weblogin
