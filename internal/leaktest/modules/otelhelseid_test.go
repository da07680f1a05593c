//go:build !race

package modules_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/otelhelseid"
	"github.com/helseid-go/sdk/helseid/redisstore"
	"github.com/helseid-go/sdk/helseid/weblogin"
	"github.com/helseid-go/sdk/internal/leaktest"
	"github.com/helseid-go/sdk/middleware"
)

// Whatever an application prints, logs or marshals of what telemetry has been added to
// shows no secret.
func TestOtelhelseidPrintsNoSecret(t *testing.T) {
	t.Parallel()
	made := func() *otelhelseid.Telemetry {
		telemetry, err := otelhelseid.New(otelhelseid.Config{})
		require.NoError(t, err)
		return telemetry
	}
	leaktest.Check(t, "../../../helseid/otelhelseid",
		leaktest.Of[otelhelseid.Config]("Reasons"),
		leaktest.Made[otelhelseid.Telemetry](func(s *leaktest.Secrets) any {
			telemetry := made()
			telemetry.OnEvent(context.Background(), helseid.Event{
				Kind: helseid.EventTokenRequest, ClientID: "client", Err: &helseid.TokenError{Description: s.Text()},
			})
			return telemetry
		}),

		leaktest.Extra("Telemetry.Client", func(*leaktest.Secrets) any { return made().Client(helseid.Config{}).Tracer }),
		leaktest.Extra("Telemetry.Login", func(*leaktest.Secrets) any { return made().Login(weblogin.Config{}).Tracer }),
		leaktest.Extra("Telemetry.Guard", func(s *leaktest.Secrets) any {
			replays, err := redisstore.NewReplays(redisstore.Config{URL: identity.NewSecret("rediss://user:" + s.Add("very-secret-password") + "@redis.example.no:6379/0")})
			require.NoError(t, err)
			t.Cleanup(func() { _ = replays.Close() })
			return made().Guard(middleware.Config{Proof: dpop.VerifierConfig{Replay: replays}})
		}),
	)
}
