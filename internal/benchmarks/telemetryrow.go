package main

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/otelhelseid"
	"github.com/helseid-go/sdk/internal/benchmarks/lab"
	"github.com/helseid-go/sdk/middleware"
)

// discard exports spans to nowhere.
type discard struct{}

func (discard) ExportSpans(context.Context, []trace.ReadOnlySpan) error { return nil }
func (discard) Shutdown(context.Context) error                          { return nil }

// telemetryRow measures what otelhelseid adds to a protected request, both at the client
// and at the guard, with OpenTelemetry's SDK: all spans are sampled, and each is given
// to an exporter at once. It is measured by itself, since a twentieth of a request is
// less than the difference between two measurements of it.
func telemetryRow(request *task) (*row, error) {
	telemetry, err := otelhelseid.New(otelhelseid.Config{
		MeterProvider:  metric.NewMeterProvider(metric.WithReader(metric.NewManualReader())),
		TracerProvider: trace.NewTracerProvider(trace.WithSyncer(discard{})),
	})
	if err != nil {
		return nil, err
	}
	client, guard := telemetry.Client(helseid.Config{}), telemetry.Guard(middleware.Config{Audience: lab.Audience})
	ctx := context.Background()
	hit := helseid.Event{Kind: helseid.EventCacheHit, ClientID: "a-client"}
	proof := helseid.Event{Kind: helseid.EventProof, API: true, ClientID: "a-client", Endpoint: "api.example.no", Duration: 30 * time.Microsecond}
	decision := middleware.Record{
		Allowed: true, Method: http.MethodGet, Route: "GET /things/{id}", ClientID: "a-client", HPRNumber: "565505933",
		Subject: "a-pseudonym", SessionID: "a-session", TokenID: "a-token", Duration: 80 * time.Microsecond,
	}
	return &row{name: rowTelemetry, bare: request, maxRatio: 0.05, ours: plain(func() error {
		client.OnEvent(ctx, hit)
		client.OnEvent(ctx, proof)
		guard.Audit(ctx, decision)
		return nil
	})}, nil
}
