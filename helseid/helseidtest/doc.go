// Package helseidtest is a HelseID for tests: a server in your own process that issues
// tokens, refuses what HelseID refuses, and fails on demand. It relates to package
// helseid as net/http/httptest relates to net/http.
//
// A client under test gets its configuration from the server, and an API under test
// gets its tokens from the server:
//
//	package journal_test
//
//	import (
//		"io"
//		"net/http"
//		"net/http/httptest"
//		"strings"
//		"testing"
//
//		"github.com/helseid-go/sdk/helseid"
//		"github.com/helseid-go/sdk/helseid/helseidtest"
//		"github.com/helseid-go/sdk/helseid/helseidtest/mint"
//		"github.com/helseid-go/sdk/middleware"
//	)
//
//	func TestJournal(t *testing.T) {
//		server := helseidtest.NewServer(t)
//
//		// A client under test gets its configuration from the server.
//		client, err := helseid.New(server.NewClient(helseidtest.Scopes("nhn:some-api/read")))
//		if err != nil {
//			t.Fatal(err)
//		}
//		defer client.Close()
//		token, err := client.Token(t.Context(), helseid.TokenRequest{})
//		if err != nil {
//			t.Fatal(err)
//		}
//		t.Log(token.Scopes)
//
//		// An API under test trusts the server. This one stands for yours.
//		auth, err := middleware.New(middleware.Config{
//			Issuer:    server.Issuer(),
//			Audience:  "nhn:some-api",
//			PublicURL: "https://api.example.no",
//		})
//		if err != nil {
//			t.Fatal(err)
//		}
//		defer auth.Close()
//		journal := func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "the journal") }
//		api := auth.Require(journal, middleware.SecurityLevel(4))
//
//		// It gets tokens that are minted to order, valid or broken.
//		for level, want := range map[int]string{4: "the journal", 3: "security_level"} {
//			minted := server.Token(mint.Clinician(), mint.SecurityLevel(level), mint.Audience("nhn:some-api"))
//			request := httptest.NewRequest("GET", "https://api.example.no/journal/1", nil) // the PublicURL
//			server.Authorize(request, minted)
//			response := httptest.NewRecorder()
//			api.ServeHTTP(response, request)
//			if !strings.Contains(response.Body.String(), want) {
//				t.Error("level", level, response.Code, response.Body)
//			}
//		}
//	}
//
// # I want to start a server
//
//   - in a test: [NewServer]. In a program: [Start], which needs no
//     testing.TB.
//   - without a network, and inside testing/synctest: [InMemory]. The
//     [Server.HTTPClient] reaches it, and [Server.Mount] puts an API beside
//     it.
//   - at a known address or path: [ListenOn], [Path]; with TLS or for other machines:
//     [ServeOn]. With pages: [LoginPage], [StartPage].
//   - as a program, with a login page and a file of clients: package desk.
//   - with fewer requirements: [Relaxed], with names of package rule. With more:
//     [DemandProofAtPAR].
//
// # I want to test a client
//
//   - a system: [Server.NewClient] with [Scopes], [Delegations] and
//     [SigningKey], or with a whole [Client]; a configuration file:
//     [Server.ConfigFile]; with keys of its own: [Server.AddClient].
//   - a login: [Server.NewClient] with [RedirectURI], [Server.LogIn] (with
//     [AsUser], [AtLevel], [Cancelled] and [InBrowser]), [Server.AddUser].
//   - how it handles errors: [Server.Inject] (everywhere: [EndpointAll]), [Server.SetClockSkew],
//     [Server.RotateKey], [Server.RetireKeys],
//     [Server.DemandNewNonceEachTime], [TokenLifetime].
//   - how it handles wrong responses: [Server.AlterTokenResponse],
//     [Server.AlterAccessTokens], [Server.AlterIDTokens],
//     [Server.AlterCallback].
//   - which requests it has sent: [Server.Requests].
//   - a supplier whose customers come and go: [Server.Delegate],
//     [Server.RevokeDelegation], [DelegationDelay].
//   - the rotation of its keys and changes of its configuration:
//     [Selvbetjening], [Server.SelvbetjeningURL], [Server.Approve].
//
// # I want to test an API
//
//   - a request to accept: [Server.Token] with [mint.Clinician], [mint.ForUser] or
//     neither, then [Server.Authorize]; or [Server.Token] and [Server.Proof].
//   - another user or client, other rights, or a request to refuse: the options
//     of package mint, and [mint.InvalidProofs].
//   - the claims that its owner has chosen: [Server.AddAPI].
//   - with a tool that is written for Test-Token-Tjenesten: [TestTokens].
//   - that reads ID tokens or logout tokens: [Server.IDToken],
//     [Server.LogoutToken].
//
// # Logins
//
// [RedirectURI] registers a client for user logins, and [Server.LogIn] simulates the
// browser and the user:
//
//	config := server.NewClient(helseidtest.RedirectURI("https://app.example.no/callback"), helseidtest.Scopes("nhn:some-api/read"))
//	// ... the application pushes its request and says where the login starts ...
//	callback, err := server.LogIn(authorizeURL, helseidtest.AsUser(helseidtest.ClinicianAtLevel3))
//	// ... the application redeems the code that is in callback ...
//
// The users who can log in are synthetic. Some are built in, and [Server.AddUser] adds
// others. In a real browser the first of them is logged in at once, unless the option
// [LoginPage] shows a page first. The server has the requirements of HelseID and says
// in error_description which one a request does not meet. For each requirement there is
// a [rule.Rule], which [Relaxed] switches off.
//
// # Faults
//
// [Server.Inject] makes an endpoint respond with an error, respond late, cut the
// connection or send half of its response, before or after the request has been
// processed. [Server.SetClockSkew] moves the clock, [Server.RotateKey] changes the
// signing key, and [Server.AlterIDTokens] and the similar methods change the responses.
// [Server.Requests] returns the requests that were received.
//
// # Test material stays test material
//
// Nothing listens until a server is started, and then only on loopback, unless [ServeOn]
// gives it another listener. Its keys are made when it starts, so its tokens are worthless
// elsewhere. Without ServeOn, its issuer is a loopback
// address, or the reserved name helseid.test in memory, and the header of each token
// and proof has the member [mint.MarkerHeader], which no option removes.
package helseidtest
