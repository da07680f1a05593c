package oteltest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/otelhelseid"
	"github.com/helseid-go/sdk/helseid/weblogin"
	"github.com/helseid-go/sdk/middleware"
)

// errSecretive is an error whose text must not be seen.
var errSecretive = errors.New("eyJhbGciOiJub25lIn0.e30. of 21916841008")

// loginFailures are those that a login ends with after its token request.
var loginFailures = []error{
	helseid.ErrLoginFinished, helseid.ErrLevelTooLow, helseid.ErrLoginTooOld, helseid.ErrIDToken,
	&helseid.AuthorizationError{Code: "21916841008", Description: "21916841008"}, helseid.ErrLogin,
}

// storeFailures are those of a store of used proofs.
var storeFailures = []error{
	nil, errSecretive, dpop.ErrReplayFull, dpop.ErrBeforeStart, context.Canceled, context.DeadlineExceeded, helseid.ErrStore,
	&helseid.TokenError{Code: "invalid_client"},
}

// tokenFailures are those of token requests: one of each kind and some that nobody
// knows.
func tokenFailures() []error {
	known := []error{
		nil, errSecretive,
		helseid.ErrLoginRequired, helseid.ErrKey, helseid.ErrStore, helseid.ErrBusy,
		helseid.ErrIssuerMismatch, helseid.ErrInvalidResponse, helseid.ErrScopeNotGranted,
		helseid.ErrClosed, helseid.ErrConfig, helseid.ErrUnavailable,
		context.Canceled, context.DeadlineExceeded, os.ErrDeadlineExceeded, &net.DNSError{IsTimeout: true}, io.ErrUnexpectedEOF,
		&helseid.TokenError{StatusCode: 429, RetryAfter: time.Minute},
		&helseid.TokenError{Code: "invalid_client", ClockDifference: time.Minute},
		&helseid.TokenError{Code: "invalid_request", HID: "HID-1001", Description: "21916841008"},
	}
	for _, code := range []string{
		"access_denied", "invalid_client", "invalid_dpop_proof", "invalid_grant", "invalid_request", "invalid_scope", "invalid_target",
		"server_error", "temporarily_unavailable", "unauthorized_client", "unsupported_grant_type", "use_dpop_nonce",
	} {
		known = append(known, &helseid.TokenError{Code: code})
	}
	for i := range 100 {
		known = append(known, &helseid.TokenError{Code: fmt.Sprintf("code_%d", i)})
	}
	all := known
	for _, err := range known {
		if err != nil {
			all = append(all, fmt.Errorf("%w: %w", err, errSecretive))
		}
	}
	return all
}

// everything lets telemetry hear of whatever can happen to one client and one guard.
func everything(t testing.TB, c *collector, telemetry *otelhelseid.Telemetry) {
	t.Helper()
	ctx, surrounding := c.traces.Tracer("caller").Start(context.WithoutCancel(t.Context()), "call")
	defer surrounding.End()
	client := telemetry.Client(helseid.Config{})
	tell := func(event helseid.Event) {
		event.ClientID = "the-client"
		if event.Kind == helseid.EventTokenRequest || event.Kind == helseid.EventRoundTrip {
			work, end := client.Tracer.Begin(ctx, ctx, event)
			defer end(event)
			client.OnEvent(work, event)
			return
		}
		client.OnEvent(ctx, event)
	}
	login := telemetry.Login(weblogin.Config{})
	store := telemetry.Guard(middleware.Config{Proof: dpop.VerifierConfig{Replay: failingStore{}}}).Proof.Replay
	for _, err := range tokenFailures() {
		for _, renewal := range []bool{false, true} {
			tell(helseid.Event{Kind: helseid.EventTokenRequest, Renewal: renewal, Err: err})
		}
		tell(helseid.Event{Kind: helseid.EventKeyFailed, Err: err})
		client.Tracer.Waited(ctx, ctx, helseid.Event{Kind: helseid.EventCacheMiss, ClientID: "the-client", Err: err})
	}
	for _, err := range append(tokenFailures(), loginFailures...) {
		_, done := login.Tracer.Resume(ctx, login.Tracer.Carry(ctx))
		done(err)
	}
	for _, err := range storeFailures {
		_, got := store.Record(context.WithValue(ctx, failingStore{}, err), dpop.Use{})
		require.Equal(t, err, got)
	}
	for _, endpoint := range []string{"token_endpoint", "pushed_authorization_request_endpoint", "revocation_endpoint"} {
		for _, status := range []int{200, 201, 400, 401, 403, 429, 500, 502, 503, 504, 0, -1, 9999} {
			tell(helseid.Event{Kind: helseid.EventRoundTrip, Endpoint: endpoint, URL: "https://helseid.test/" + endpoint, Status: status})
		}
		for _, err := range []error{context.Canceled, context.DeadlineExceeded, io.ErrUnexpectedEOF} {
			tell(helseid.Event{Kind: helseid.EventRoundTrip, Endpoint: endpoint, URL: "https://helseid.test/" + endpoint, Err: err})
		}
	}
	for _, kind := range []helseid.EventKind{
		helseid.EventNonceChallenge, helseid.EventRetry, helseid.EventCacheHit, helseid.EventCacheStale, helseid.EventCacheMiss,
		helseid.EventProof, helseid.EventTokenDropped, helseid.EventKeyReplaced, helseid.EventKeyOrphan,
	} {
		tell(helseid.Event{Kind: kind, Endpoint: "api.example.no"})
		tell(helseid.Event{Kind: kind, API: true, Endpoint: "123456785.example.no"})
	}
	tell(helseid.Event{Kind: helseid.EventKeyInUse, KeyID: "kid", Expiry: time.Now().Add(24 * time.Hour)})

	audit := telemetry.Guard(middleware.Config{}).Audit
	for reason, status := range reasonsOfSource(t) {
		audit(ctx, middleware.Record{Status: status, Reason: reason, ClientID: "caller", Nested: true, Unproven: true, Route: "GET api.example.no/things/{id}"})
	}
	for i := range 100 {
		audit(ctx, middleware.Record{Status: 403, Reason: fmt.Sprintf("own_%d", i)})
		audit(ctx, middleware.Record{Allowed: true, HPRNumber: identity.HPRNumber(fmt.Sprint(1_000_000 + i))})
	}
}

// failingStore fails with the error in the context.
type failingStore struct{}

func (failingStore) Record(ctx context.Context, _ dpop.Use) (bool, error) {
	err, _ := ctx.Value(failingStore{}).(error)
	return false, err
}
