package guides_test

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
)

func TestConformanceEnvironment(t *testing.T) {
	server := newServer(t, helseidtest.Path("/3f0d7b9e-6f0c-4b57-9a3e-0a8d9f6f2b11"))
	clientFile(t, server, helseidtest.Scopes("nhn:some-api/read"))
	t.Setenv("HELSEID_ISSUER", server.Issuer()+"/")
	// region issuer
	config, err := helseid.LoadConfig("client.json")
	require.NoError(t, err)
	config.HTTPClient = server.HTTPClient() // hide
	if issuer := os.Getenv("HELSEID_ISSUER"); issuer != "" {
		config.Issuer = issuer // https://samsvarstesting-sts-test.helseid.sky.nhn.no/ and the session's id
	}
	client, err := helseid.New(config)
	// endregion
	require.NoError(t, err)
	defer client.Close()
	_, err = client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}})
	require.NoError(t, err)
}

// With an issuer of the conformance environment a program has no rotation, and else one.
func TestRotationBesideConformance(t *testing.T) {
	conformance := newServer(t, helseidtest.Path("/3f0d7b9e-6f0c-4b57-9a3e-0a8d9f6f2b11"))
	clientFile(t, conformance, helseidtest.Scopes("nhn:some-api/read"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	start := func(config helseid.Config) (*helseid.Client, error) {
		var client *helseid.Client
		var err error
		store := selvbetjening.FileStore{Path: "client.json"}
		// region rotation
		if issuer := os.Getenv("HELSEID_ISSUER"); issuer != "" {
			config.Issuer = issuer
			client, err = helseid.New(config)
		} else {
			var rotation *selvbetjening.Rotation
			rotation, err = selvbetjening.NewRotation(ctx, selvbetjening.RotationConfig{Client: config, Store: store})
			if err == nil {
				go rotation.Run(ctx)
				client = rotation.Client()
			}
		}
		// endregion
		return client, err
	}
	config, err := helseid.LoadConfig("client.json")
	require.NoError(t, err)
	config.HTTPClient = conformance.HTTPClient()
	_, err = selvbetjening.NewRotation(ctx, selvbetjening.RotationConfig{Client: config, Store: selvbetjening.FileStore{Path: "client.json"}})
	require.ErrorIs(t, err, helseid.ErrConfig, "it has no Selvbetjening")

	t.Setenv("HELSEID_ISSUER", conformance.Issuer()+"/")
	client, err := start(config)
	require.NoError(t, err)
	defer client.Close()
	_, err = client.Token(ctx, helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}})
	require.NoError(t, err)

	t.Setenv("HELSEID_ISSUER", "")
	cancel() // nothing is sent to the test environment
	config.Issuer, config.HTTPClient = helseid.Test.Issuer(), nil
	client, err = start(config)
	require.NoError(t, err)
	client.Close()
}

func TestTestUser(t *testing.T) {
	server := newServer(t)
	client := newClient(t, server.NewClient(helseidtest.RedirectURI("https://ehr.example.no/callback")))
	ctx, synthetic := t.Context(), mint.DefaultPersonalIdentityNumber
	// region user
	login, err := client.StartLogin(ctx, helseid.LoginRequest{
		Scopes:   []string{helseid.ScopeProfile},
		TestUser: &helseid.TestUser{PersonalIdentityNumber: synthetic}, // refused for production
	})
	// endregion
	require.NoError(t, err)
	callback, err := server.LogIn(login.URL)
	require.NoError(t, err)
	_, err = client.FinishLogin(ctx, login.State, callback.Query())
	require.NoError(t, err)
}
