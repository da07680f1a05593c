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
// Nothing listens until a server is started, and then only on loopback. Its
// keys are made when it starts: no token of it is worth anything elsewhere.
//
// # Faults
//
// Server.Inject makes an endpoint answer an error, answer late, cut the
// connection or send half of its answer; Server.SetClockSkew moves the clock;
// Server.RotateKey changes the signing key. Server.Requests tells what came in.
package helseidtest
