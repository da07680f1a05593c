package guides_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

func TestCallAnAPI(t *testing.T) {
	server := newServer(t)
	clientFile(t, server, helseidtest.Scopes("nhn:some-api/read"))
	ctx := t.Context()
	// region client
	config, err := helseid.LoadConfig("client.json")
	require.NoError(t, err)
	config.HTTPClient = server.HTTPClient() // hide
	config.Logger = slog.Default()          // refusals, retries, a key that expires
	client, err := helseid.New(config)      // calls nobody; says all that is wrong in the configuration
	require.NoError(t, err)
	defer client.Close()
	// endregion

	// region call
	api := client.HTTPClient(helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}})
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", "https://api.example.nhn.no/v1/things?page=2", nil)
	require.NoError(t, err)
	response, err := api.Do(request)
	// endregion
	require.NoError(t, errorKind(err))
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "994598759 ", body(t, response))

	// region check
	err = client.Check(ctx, helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}})
	// endregion
	require.NoError(t, err)

	sendIt := server.HTTPClient().Do
	url := "https://api.example.nhn.no/v1/things"
	// region source
	source := client.TokenSource(helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}})
	send := func() (*http.Response, error) {
		request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
		if err != nil {
			return nil, err
		}
		if err := source.Authorize(ctx, request); err != nil { // for each attempt anew
			return nil, err
		}
		return sendIt(request) // your own way to send it
	}
	response, err = send()
	if err == nil && source.ObserveResponse(response) { // the API wants a nonce, and has told which
		response, err = send()
	}
	// endregion
	require.NoError(t, err)
	require.Equal(t, "994598759 ", body(t, response))
}

// region errors

func errorKind(err error) error {
	var refused *helseid.TokenError
	var scopes *helseid.ScopeError
	switch {
	case err == nil:
		return nil // the API has answered; look at the status
	case errors.Is(err, helseid.ErrUnavailable):
		return fmt.Errorf("HelseID is down or busy: try later: %w", err)
	case errors.Is(err, helseid.ErrKey):
		return fmt.Errorf("the KMS or HSM of our key fails: %w", err)
	case errors.As(err, &refused):
		return fmt.Errorf("HelseID says %s %s; %s", refused.Code, refused.HID, refused.Advice())
	case errors.As(err, &scopes):
		return fmt.Errorf("no terms signed for %v, not granted: %v", scopes.Rejected, scopes.Missing)
	case errors.Is(err, helseid.ErrConfig), errors.Is(err, helseid.ErrOriginRefused), errors.Is(err, helseid.ErrInsecureURL):
		return fmt.Errorf("our own mistake: %w", err)
	case errors.Is(err, helseid.ErrNoToken):
		return fmt.Errorf("nothing has reached the API: %w", err)
	}
	return fmt.Errorf("the API cannot be reached, or the context has ended: %w", err)
}

// endregion

func TestErrorKinds(t *testing.T) {
	for want, break_ := range map[string]func(*helseidtest.Server, *helseid.Config, *helseid.TokenRequest){
		"try later": func(s *helseidtest.Server, _ *helseid.Config, _ *helseid.TokenRequest) {
			s.Inject(helseidtest.Fault{Status: http.StatusServiceUnavailable, Times: -1})
		},
		"HelseID says invalid_scope": func(_ *helseidtest.Server, _ *helseid.Config, r *helseid.TokenRequest) {
			r.Scopes = []string{"nhn:other-api/read"}
		},
		"our own mistake": func(_ *helseidtest.Server, c *helseid.Config, _ *helseid.TokenRequest) {
			c.AllowedOrigins = []string{"https://another.example.no"}
		},
	} {
		server := newServer(t)
		config := server.NewClient(helseidtest.Scopes("nhn:some-api/read"))
		config.TokenRetries = -1
		request := helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}}
		break_(server, &config, &request)
		_, err := newClient(t, config).HTTPClient(request).Get("https://api.example.nhn.no/v1/things")
		require.ErrorContains(t, errorKind(err), want)
	}
}

func TestConfigFromTheEnvironment(t *testing.T) {
	server := newServer(t)
	t.Setenv("HELSEID_CLIENT", string(server.ConfigFile()))
	// region environment
	config, err := helseid.ParseConfig([]byte(os.Getenv("HELSEID_CLIENT"))) // as text or in Base64
	// endregion
	require.NoError(t, err)
	require.Equal(t, server.Issuer(), config.Issuer)
}
