package guides_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/testkit"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

func TestClientUnderTest(t *testing.T) {
	// region client
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	config := server.NewClient(helseidtest.Scopes("nhn:some-api/read")) // in place of helseid.LoadConfig
	client, err := helseid.New(config)
	require.NoError(t, err)
	defer client.Close()

	server.Mount("api.example.nhn.no", http.HandlerFunc(fakeAPI)) // the API that your code calls
	api := client.HTTPClient(helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}})
	response, err := api.Get("https://api.example.nhn.no/v1/things")
	// endregion
	require.NoError(t, err)
	require.Equal(t, "things", body(t, response))

	// region requests
	for _, request := range server.Requests(helseidtest.EndpointToken) {
		t.Log(request, request.Form.Get("grant_type"), request.Form.Get("scope")) // POST /connect/token 200 client_credentials ...
	}
	// endregion
	require.NotEmpty(t, server.Requests(helseidtest.EndpointToken))

	// region file
	file := filepath.Join(t.TempDir(), "client.json")
	err = os.WriteFile(file, server.ConfigFile(helseidtest.Scopes("nhn:some-api/read")), 0o600)
	// endregion
	require.NoError(t, err)
	_, err = helseid.LoadConfig(file)
	require.NoError(t, err)
}

func fakeAPI(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("DPoP") == "" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	_, _ = w.Write([]byte("things"))
}

func TestFaults(t *testing.T) {
	server := newServer(t)
	config := server.NewClient(helseidtest.Scopes("nhn:some-api/read"))
	config.TokenRetries = -1
	client, ctx := newClient(t, config), t.Context()
	// region faults
	server.Inject(helseidtest.Fault{Status: http.StatusServiceUnavailable})
	_, err := client.Token(ctx, helseid.TokenRequest{})
	if !errors.Is(err, helseid.ErrUnavailable) {
		t.Error(err)
	}
	server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointToken, Cut: true, AfterProcessing: true}) // the answer is lost
	server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Delay: time.Second, Times: 2})
	server.ClearFaults()
	server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointAll, Status: http.StatusServiceUnavailable, Times: -1}) // HelseID is down
	_, err = client.Token(ctx, helseid.TokenRequest{})                                                                    // hide
	require.ErrorIs(t, err, helseid.ErrUnavailable)                                                                       // hide
	server.ClearFaults()                                                                                                  // and up again
	// endregion
	_, err = client.Token(ctx, helseid.TokenRequest{})
	require.NoError(t, err)
}

func TestOverTime(t *testing.T) {
	sleep := testkit.Sleep
	// region time
	synctest.Test(t, func(t *testing.T) {
		server := helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.TokenLifetime(10*time.Minute))
		client, err := helseid.New(server.NewClient(helseidtest.Scopes("nhn:some-api/read")))
		require.NoError(t, err)
		defer client.Close()
		first, err := client.Token(t.Context(), helseid.TokenRequest{})
		require.NoError(t, err)
		sleep(11 * time.Minute) // time.Sleep, in no time
		second, err := client.Token(t.Context(), helseid.TokenRequest{})
		require.NoError(t, err)
		if first.Access == second.Access {
			t.Error("an expired token")
		}
	})
	// endregion
}

func TestAllBadProofs(t *testing.T) {
	server := helseidtest.NewServer(t)
	auth := guard(t, server, "https://api.example.no")
	api := auth.Require(export)
	// region proofs
	for _, invalid := range mint.InvalidProofs() { // those of Norsk helsenett's Test-Token-Tjenesten
		request := httptest.NewRequest("GET", "https://api.example.no/journal/1", nil)
		var token []mint.TokenOption
		var proof []mint.ProofOption
		if invalid.Token != nil {
			token = append(token, invalid.Token)
		}
		if invalid.Proof != nil {
			proof = append(proof, invalid.Proof)
		}
		server.Authorize(request, server.Token(append(token, mint.Audience("nhn:some-api"))...), proof...)
		response := httptest.NewRecorder()
		api.ServeHTTP(response, request)
		if !strings.Contains(response.Body.String(), `"reason":"`+invalid.Reason+`"`) {
			t.Error(invalid.Name, response.Code, response.Body)
		}
	}
	// endregion
}

func TestBehindPrefix(t *testing.T) {
	server := helseidtest.NewServer(t)
	api := guard(t, server, "https://api.example.no/journal").Require(export)
	// region prefix
	request := httptest.NewRequest("GET", "/v1/things", nil) // as it comes out of the proxy
	server.Authorize(request, server.Token(mint.Audience("nhn:some-api")), mint.BehindPrefix("https://api.example.no/journal"))
	// endregion
	response := httptest.NewRecorder()
	api.ServeHTTP(response, request)
	require.Equal(t, http.StatusOK, response.Code, response.Body)
}

func TestHandlerAlone(t *testing.T) {
	// region alone
	claims := &tokenvalidation.Claims{ClientID: "a-client", Scopes: []string{"nhn:some-api/read"}}
	ctx := middleware.NewContext(context.Background(), claims, "a token")
	request := httptest.NewRequest("GET", "/things", nil).WithContext(ctx) // for a handler without its guard
	// endregion
	require.Equal(t, "a-client", middleware.Claims(request.Context()).ClientID)
}
