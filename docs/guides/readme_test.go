package guides_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/middleware"
)

func TestReadmeSystem(t *testing.T) {
	server := newServer(t)
	clientFile(t, server, helseidtest.Scopes("nhn:some-api/read"), helseidtest.Delegations("994598759"))
	ctx := t.Context()
	// region system
	config, err := helseid.LoadConfig("client.json") // as handed out by HelseID Selvbetjening
	require.NoError(t, err)
	config.HTTPClient = server.HTTPClient() // hide
	client, err := helseid.New(config)      // keep it: the tokens are in it
	require.NoError(t, err)
	defer client.Close() // hide
	api := client.HTTPClient(helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}})
	ctx = helseid.ForOrganization(ctx, "994598759", "999977775") // for a vendor: the customer that the call is for
	request, err := http.NewRequestWithContext(ctx, "GET", "https://api.example.nhn.no/v1/things?page=2", nil)
	require.NoError(t, err)
	response, err := api.Do(request)
	// endregion
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "994598759 999977775", body(t, response))
}

func TestReadmeAPI(t *testing.T) {
	server := helseidtest.NewServer(t)
	mux := http.NewServeMux()
	// region api
	config := middleware.Config{Issuer: helseid.Test.Issuer(), Audience: "nhn:some-api", PublicURL: "https://api.example.no"}
	config.Issuer = server.Issuer() // hide
	auth, err := middleware.New(config)
	require.NoError(t, err)
	mux.Handle("GET /journal/{id}", auth.Require(journal,
		middleware.Scope("nhn:some-api/read"), middleware.HPRNumber(), middleware.SecurityLevel(4)))
	// endregion
	t.Cleanup(auth.Close)
	request := httptest.NewRequest(http.MethodGet, "https://api.example.no/journal/1", nil)
	server.Authorize(request, server.Token(mint.Clinician(), mint.Audience("nhn:some-api")))
	response := httptest.NewRecorder()
	mux.ServeHTTP(response, request)
	require.Equal(t, "565505933 for 994598759\n", response.Body.String())
}

// region handler

func journal(w http.ResponseWriter, r *http.Request) {
	caller := middleware.Claims(r.Context())
	fmt.Fprintln(w, caller.User.HPRNumber, "for", caller.Organization.Parent)
}

// endregion

func newAPI(t *testing.T, issuer string) http.Handler {
	t.Helper()
	auth, err := middleware.New(middleware.Config{Issuer: issuer, Audience: "nhn:some-api", PublicURL: "https://api.example.no"})
	require.NoError(t, err)
	t.Cleanup(auth.Close)
	return auth.Require(journal, middleware.Scope("nhn:some-api/read"), middleware.HPRNumber(), middleware.SecurityLevel(4))
}

func TestReadmeTesting(t *testing.T) {
	newAPI := func(issuer string) http.Handler { return newAPI(t, issuer) }
	// region testing
	server := helseidtest.NewServer(t)
	api := newAPI(server.Issuer()) // your own handler
	for level, want := range map[int]string{4: "565505933", 3: `"reason":"security_level"`} {
		request := httptest.NewRequest("GET", "https://api.example.no/journal/1", nil) // the API's PublicURL
		server.Authorize(request, server.Token(mint.Clinician(), mint.Audience("nhn:some-api"), mint.SecurityLevel(level)))
		response := httptest.NewRecorder()
		api.ServeHTTP(response, request)
		if !strings.Contains(response.Body.String(), want) {
			t.Error(level, response.Code, response.Body)
		}
	}
	// endregion
}
