// Package helseidtest is a HelseID for tests: a server in your own process that
// issues tokens, refuses what HelseID refuses, and breaks on demand. It stands
// to package helseid as net/http/httptest stands to net/http.
//
// A client under test gets its configuration from the server:
//
//	func TestThings(t *testing.T) {
//		server := helseidtest.NewServer(t)
//		client, err := helseid.New(server.ClientConfig(t, "nhn:some-api/read"))
//		if err != nil {
//			t.Fatal(err)
//		}
//		defer client.Close()
//		token, err := client.Token(t.Context(), helseid.TokenRequest{})
//		if err != nil {
//			t.Fatal(err)
//		}
//		t.Log(token.Scopes)
//	}
//
// An API under test gets tokens that are minted to order, valid or broken:
//
//	token := server.Token(helseidtest.Clinician(), helseidtest.SecurityLevel(3))
//	request := httptest.NewRequest("GET", "/journal/1", nil)
//	server.Authorize(request, token)
//
// # Logins
//
// Server.NewLoginClient registers a client that logs users in, and Server.LogIn
// plays the browser and the person in front of it:
//
//	config, err := server.NewLoginClient("https://app.example.no/callback", "nhn:some-api/read")
//	// ... the application pushes its request and says where the login starts ...
//	callback, err := server.LogIn(authorizeURL, helseidtest.AsUser(helseidtest.ClinicianAtLevel3))
//	// ... the application redeems the code that is in callback ...
//
// The people who can log in are synthetic, and built in or added with
// Server.AddUser. In a real browser the first of them is logged in at once,
// unless the option LoginPage puts a page in between. The server demands what
// HelseID demands, says what is wrong in error_description, and has a Rule for
// each of its demands that Relaxed switches off.
//
// Nothing listens until a server is started, and then only on loopback. Its
// keys are made when it starts: no token of it is worth anything elsewhere.
//
// # Faults
//
// Server.Inject makes an endpoint answer an error, answer late, cut the
// connection or send half of its answer, before the request has been acted on or
// after it; Server.SetClockSkew moves the clock; Server.RotateKey changes the
// signing key; Server.AlterIDTokens and its like bend what is answered.
// Server.Requests tells what came in.
package helseidtest
