// Command quickstart shows the SDK in one process, without configuration and without a
// network: a HelseID, an API that it protects, a system that calls the API, a clinician
// who logs in and calls it, and three attacks that are refused.
//
//	go run ./examples/quickstart
//	go run ./examples/quickstart -json
//
// It exits with 0 if everything happened as expected, with 1 if not, and with 2 for a
// mistake in the flags.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/middleware"
)

const (
	audience = "nhn:quickstart-api"
	scope    = audience + "/read"
)

func main() {
	asJSON := flag.Bool("json", false, "print one JSON object per line")
	flag.Parse() // exits with 2 for an unknown flag
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "quickstart: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	if err := run(context.Background(), &narrator{out: os.Stdout, asJSON: *asJSON}); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, tell *narrator) error {
	server, err := helseidtest.Start()
	if err != nil {
		return err
	}
	defer server.Close()
	tell.step("helseid", "A HelseID for tests runs in this process, at %s: plain http, which is accepted on loopback only.", server.Issuer())

	api, err := startAPI(server)
	if err != nil {
		return err
	}
	defer api.Close()
	tell.step("api", "An API runs at %s. /status is for systems and users, /journal for clinicians at security level 4.", api.URL)

	if err := systemCalls(ctx, tell, server, api.URL); err != nil {
		return err
	}
	if err := clinicianLogsIn(ctx, tell, server, api.URL); err != nil {
		return err
	}
	if err := clinicianCalls(ctx, tell, server, api.URL); err != nil {
		return err
	}
	return attacks(ctx, tell, server, api.URL)
}

// startAPI protects two handlers with the middleware.
func startAPI(server *helseidtest.Server) (*httptest.Server, error) {
	auth, err := middleware.New(middleware.Config{Issuer: server.Issuer(), Audience: audience})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /status", auth.Require(status, middleware.Scope(scope)))
	mux.Handle("GET /journal", auth.Require(journal,
		middleware.Scope(scope), middleware.SecurityLevel(4), middleware.HPRNumber()))
	return httptest.NewServer(mux), nil
}

func status(w http.ResponseWriter, r *http.Request) {
	claims := middleware.Claims(r.Context())
	fmt.Fprintf(w, "fine, thank you, client %s of organisation %s", claims.ClientID, claims.Organization.Parent)
}

func journal(w http.ResponseWriter, r *http.Request) {
	claims := middleware.Claims(r.Context())
	user := claims.User
	fmt.Fprintf(w, "a journal for %s, HPR number %s, level %d (assurance %s), identity number %v; client %s, audience %v, scopes %v",
		user.Name, user.HPRNumber, user.SecurityLevel, user.AssuranceLevel, user.PersonalIdentityNumber,
		claims.ClientID, claims.Audience, claims.Scopes)
}

// systemCalls shows a vendor's backend: from the configuration file to a call in a few
// lines.
func systemCalls(ctx context.Context, tell *narrator, server *helseidtest.Server, api string) error {
	file := server.ConfigFile(helseidtest.Scopes(scope)) // the format of HelseID Selvbetjening
	config, err := helseid.ParseConfig(file)
	if err != nil {
		return err
	}
	client, err := helseid.New(config)
	if err != nil {
		return err
	}
	defer client.Close()
	tell.step("client", "A client is set up from its configuration file. Nothing has been sent yet.")

	request := helseid.TokenRequest{Scopes: []string{scope}}
	token, err := client.Token(ctx, request)
	if err != nil {
		return err
	}
	tell.step("token", "HelseID gave it a %s token for %v. Printed or logged, the token reads %v.", token.Type, token.Scopes, token.Access)

	httpClient := client.HTTPClient(request)
	for i := range 2 {
		response, err := httpClient.Get(fmt.Sprintf("%s/status?call=%d", api, i+1))
		if err := tell.answer("system", "The system calls /status", response, err, http.StatusOK); err != nil {
			return err
		}
	}
	tell.step("proofs", "Two calls, two proofs, one token. HelseID was asked for a token %d times, the first time to learn its nonce.",
		len(server.Requests(helseidtest.EndpointToken)))
	return nil
}

// clinicianLogsIn shows the backend of a health record system: a login, calls to an
// API, a logout.
func clinicianLogsIn(ctx context.Context, tell *narrator, server *helseidtest.Server, api string) error {
	config := server.NewClient(helseidtest.RedirectURI("https://ehr.example.no/callback"), helseidtest.Scopes(scope))
	client, err := helseid.New(config)
	if err != nil {
		return err
	}
	defer client.Close()
	login, err := client.StartLogin(ctx, helseid.LoginRequest{
		Scopes:        []string{helseid.ScopeOfflineAccess, helseid.ScopeProfile, helseid.ScopeHPRNumber, helseid.ScopePersonalIdentityNumber, scope},
		Resources:     []string{audience},
		SecurityLevel: identity.SecurityLevel4,
	})
	if err != nil {
		return err
	}
	tell.step("login", "A login is pushed to HelseID, and the browser is sent there with a reference to it.")
	callback, err := server.LogIn(login.URL) // the browser and the clinician
	if err != nil {
		return err
	}
	session, err := client.FinishLogin(ctx, login.State, callback.Query())
	if err != nil {
		return err
	}
	user := session.User()
	tell.step("session", "%s has logged in at level %d, with HPR number %s. The national identity number prints as %v.",
		user.Name, user.SecurityLevel, user.HPRNumber, user.PersonalIdentityNumber)

	response, err := session.HTTPClient(helseid.TokenRequest{Resource: audience}).Get(api + "/journal")
	if err := tell.answer("clinician", "The clinician opens /journal", response, err, http.StatusOK); err != nil {
		return err
	}
	if _, err := session.Logout(ctx, helseid.LogoutRequest{}); err != nil {
		return err
	}
	_, err = session.Token(ctx, helseid.TokenRequest{Resource: audience})
	tell.step("logout", "The clinician logs out. After that: %v.", err)
	return nil
}

// clinicianCalls uses minted tokens, as tests of an API do.
func clinicianCalls(ctx context.Context, tell *narrator, server *helseidtest.Server, api string) error {
	clinician := []mint.TokenOption{
		mint.Clinician(), mint.Audience(audience), mint.Scopes(scope),
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/journal", nil)
	if err != nil {
		return err
	}
	server.Authorize(request, server.Token(clinician...))
	response, err := http.DefaultTransport.RoundTrip(request)
	if err := tell.answer("clinician", "With a token made for a test: a clinician at level 4 opens /journal", response, err, http.StatusOK); err != nil {
		return err
	}

	weaker := server.Token(append(clinician, mint.SecurityLevel(3))...)
	server.Authorize(request, weaker)
	response, err = http.DefaultTransport.RoundTrip(request)
	return tell.answer("step-up", "The same clinician, logged in at level 3", response, err, http.StatusUnauthorized)
}

// attacks shows attacks by somebody who has seen a clinician's request.
func attacks(ctx context.Context, tell *narrator, server *helseidtest.Server, api string) error {
	token := server.Token(mint.Clinician(), mint.Audience(audience), mint.Scopes(scope))
	seen, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/journal", nil)
	if err != nil {
		return err
	}
	server.Authorize(seen, token)
	response, err := http.DefaultTransport.RoundTrip(seen)
	if err := tell.answer("seen", "A request goes by that an attacker copies", response, err, http.StatusOK); err != nil {
		return err
	}

	replay := seen.Clone(ctx)
	bearer := seen.Clone(ctx)
	bearer.Header.Set("Authorization", "Bearer "+token)
	bearer.Header.Del("DPoP")
	ownKey := seen.Clone(ctx)
	server.Authorize(ownKey, token, mint.ProofWithAnotherKey())

	for _, attack := range []struct {
		what    string
		request *http.Request
	}{
		{"Attack 1: the copied request is sent once more", replay},
		{"Attack 2: the stolen token is sent as a plain bearer token", bearer},
		{"Attack 3: the stolen token is sent with a proof by the attacker's own key", ownKey},
	} {
		response, err := http.DefaultTransport.RoundTrip(attack.request)
		if err := tell.answer("attack", attack.what, response, err, http.StatusUnauthorized); err != nil {
			return err
		}
	}
	return nil
}

// readBody returns the beginning of a response's body.
func readBody(response *http.Response) (string, error) {
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return string(body), err
}
