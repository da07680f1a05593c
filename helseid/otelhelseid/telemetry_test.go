package otelhelseid_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/otelhelseid"
	"github.com/helseid-go/sdk/helseid/weblogin"
	"github.com/helseid-go/sdk/middleware"
)

// What is measured is tested against OpenTelemetry's SDK in internal/oteltest, since
// this module depends on its API only.

func newTelemetry(t testing.TB) *otelhelseid.Telemetry {
	t.Helper()
	telemetry, err := otelhelseid.New(otelhelseid.Config{})
	require.NoError(t, err)
	return telemetry
}

// All mistakes of a configuration are reported at once.
func TestConfig(t *testing.T) {
	t.Parallel()
	_, err := otelhelseid.New(otelhelseid.Config{Reasons: append([]string{"Patient blocked", "", "ærlig", strings.Repeat("x", 65)}, slices.Repeat([]string{"good"}, 40)...)})
	require.ErrorIs(t, err, otelhelseid.ErrConfig)
	for _, mistake := range []string{"has 44 reasons", "number 1 ", "number 2 ", "number 3 ", "number 4 "} {
		require.ErrorContains(t, err, mistake)
	}
	require.NotContains(t, err.Error(), "number 5 ")
	require.NotContains(t, err.Error(), "blocked")
}

// failingMeters refuse every instrument.
type failingMeters struct{ noop.MeterProvider }

func (failingMeters) Meter(string, ...metric.MeterOption) metric.Meter { return failingMeter{} }

type failingMeter struct{ noop.Meter }

var errMeter = errors.New("no such instrument")

func (failingMeter) Int64Counter(string, ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return nil, errMeter
}

func TestInstrumentsThatCannotBeMade(t *testing.T) {
	t.Parallel()
	_, err := otelhelseid.New(otelhelseid.Config{MeterProvider: failingMeters{}})
	require.ErrorIs(t, err, errMeter)
}

type tracer struct{ helseid.Tracer }

type loginTracer struct{ weblogin.Tracer }

// Hooks that are set stay.
func TestOwnHooksStay(t *testing.T) {
	t.Parallel()
	telemetry := newTelemetry(t)
	var events, records int
	client := telemetry.Client(helseid.Config{
		ClientID: "client", Tracer: tracer{}, OnEvent: func(context.Context, helseid.Event) { events++ },
	})
	require.Equal(t, "client", client.ClientID)
	require.Equal(t, tracer{}, client.Tracer)
	client.OnEvent(t.Context(), helseid.Event{Kind: helseid.EventCacheHit})
	require.Equal(t, 1, events)
	require.Equal(t, loginTracer{}, telemetry.Login(weblogin.Config{Tracer: loginTracer{}}).Tracer)
	guard := telemetry.Guard(middleware.Config{Audit: func(context.Context, middleware.Record) { records++ }})
	guard.Audit(t.Context(), middleware.Record{})
	require.Equal(t, 1, records)

	require.NotNil(t, telemetry.Client(helseid.Config{}).Tracer)
	require.NotNil(t, telemetry.Login(weblogin.Config{}).Tracer)
	require.Nil(t, telemetry.Guard(middleware.Config{}).Proof.Replay, "the default is middleware's")
}

type store struct{}

func (s *store) Record(context.Context, dpop.Use) (bool, error) { return true, nil }

type checkedStore struct{ store }

var errCheck = errors.New("down")

func (s *checkedStore) Check(context.Context) error { return errCheck }

// A store that is timed can be asked whether it works if it could before: middleware's
// readiness check does.
func TestTimedStore(t *testing.T) {
	t.Parallel()
	type checker interface{ Check(context.Context) error }
	for name, test := range map[string]struct {
		store   dpop.ReplayStore
		checked bool
	}{"a store": {&store{}, false}, "one that can be checked": {&checkedStore{}, true}} {
		timed := newTelemetry(t).Guard(middleware.Config{Proof: dpop.VerifierConfig{Replay: test.store}}).Proof.Replay
		first, err := timed.Record(t.Context(), dpop.Use{})
		require.NoError(t, err)
		require.True(t, first)
		checking, ok := timed.(checker)
		require.Equal(t, test.checked, ok, name)
		if ok {
			require.ErrorIs(t, checking.Check(t.Context()), errCheck)
		}
		require.Equal(t, "replay store", fmt.Sprintf("%+v", timed))
	}
}

// Without an SDK, neither a call with a token from memory nor a decision allocates
// anything for metrics and spans.
func TestNothingIsAllocatedWhenOff(t *testing.T) {
	for name, config := range map[string]otelhelseid.Config{
		"nobody has set a provider": {},
		"providers that do nothing": {MeterProvider: noop.NewMeterProvider(), TracerProvider: tracenoop.NewTracerProvider()},
	} {
		telemetry, err := otelhelseid.New(config)
		require.NoError(t, err)
		ctx := t.Context()
		for _, kind := range []helseid.EventKind{
			helseid.EventCacheHit, helseid.EventCacheStale, helseid.EventProof, helseid.EventRetry, helseid.EventNonceChallenge,
		} {
			event := helseid.Event{Kind: kind, ClientID: "client"}
			require.Zero(t, testing.AllocsPerRun(100, func() { telemetry.OnEvent(ctx, event) }), "%s: %s", name, kind)
		}
		guard := telemetry.Guard(middleware.Config{Proof: dpop.VerifierConfig{Replay: &store{}}})
		for _, record := range []middleware.Record{
			{Allowed: true, ClientID: "client", Route: "GET /things/{id}"},
			{Status: 401, Reason: "proof_replayed"},
			{Status: 403, Reason: "unheard_of"},
		} {
			require.Zero(t, testing.AllocsPerRun(100, func() { guard.Audit(ctx, record) }), "%s: %s", name, record.Reason)
		}
		require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = guard.Proof.Replay.Record(ctx, dpop.Use{}) }), name)
	}
}
