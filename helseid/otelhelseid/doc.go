// Package otelhelseid makes OpenTelemetry metrics and spans of what clients of package
// helseid, logins of package weblogin and guards of package middleware do.
//
// It is a separate module, so that only programs that use it depend on OpenTelemetry,
// and it depends on OpenTelemetry's API only: the program chooses the SDK and where the
// data go. This one prints them:
//
//	package main
//
//	import (
//		"context"
//		"log"
//		"net/http"
//		"time"
//
//		"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
//		"go.opentelemetry.io/otel"
//		"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
//		"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
//		"go.opentelemetry.io/otel/propagation"
//		"go.opentelemetry.io/otel/sdk/metric"
//		"go.opentelemetry.io/otel/sdk/trace"
//
//		"github.com/helseid-go/sdk/helseid"
//		"github.com/helseid-go/sdk/helseid/otelhelseid"
//	)
//
//	func main() {
//		// What every program with OpenTelemetry has, for its exporter.
//		ctx := context.Background()
//		spans, err := stdouttrace.New()
//		if err != nil {
//			log.Fatal(err)
//		}
//		metrics, err := stdoutmetric.New()
//		if err != nil {
//			log.Fatal(err)
//		}
//		traces := trace.NewTracerProvider(trace.WithBatcher(spans))
//		defer func() { _ = traces.Shutdown(ctx) }()
//		meters := metric.NewMeterProvider(metric.WithReader(metric.NewPeriodicReader(metrics)))
//		defer func() { _ = meters.Shutdown(ctx) }()
//		otel.SetTracerProvider(traces)
//		otel.SetMeterProvider(meters)
//		otel.SetTextMapPropagator(propagation.TraceContext{})
//
//		// What is added for HelseID.
//		telemetry, err := otelhelseid.New(otelhelseid.Config{})
//		if err != nil {
//			log.Fatal(err)
//		}
//		config, err := helseid.LoadConfig("client.json")
//		if err != nil {
//			log.Fatal(err)
//		}
//		client, err := helseid.New(telemetry.Client(config))
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer client.Close()
//
//		// Calls of APIs are traced as all others are. The token request is part of the call.
//		transport := client.Transport(helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}})
//		api := &http.Client{Transport: otelhttp.NewTransport(transport), Timeout: time.Minute}
//		response, err := api.Get("https://api.example.no/things")
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer response.Body.Close()
//		log.Print(response.Status)
//	}
//
// A web application's login and an API's guard take one line each:
//
//	web, err := weblogin.New(telemetry.Login(weblogin.Config{Client: client, Login: login}))
//	…
//	guard, err := middleware.New(telemetry.Guard(middleware.Config{Issuer: issuer, Audience: audience}))
//	…
//	handler := otelhttp.NewHandler(mux, "api") // around the guards
//
// Hooks that a configuration has already (OnEvent, Audit) stay and are called first.
//
// # Metrics
//
// docs/monitoring.md lists the instruments, their attributes and alerts for Prometheus:
// ten instruments, and fewer than 200 series for a client and a guard, however many
// organisations they serve.
//
// # Spans
//
// A token request is a child of the call that asked for the token, and the round trips
// to HelseID are its children. If several calls wait for the same token, the others have
// a span for the wait, with a link to the token request. A renewal in the background has
// a trace of its own, with a link to the call that started it. A login under way carries
// its trace in its sealed cookie, so that the callback and the exchange of the code are
// part of the trace of the request that started it.
//
// # What is not in them
//
// No attribute holds a token, a key, a national identity number, an HPR number, an
// organisation or a user, and no text of an error is copied: errors and reasons are a
// fixed set of words. Ids of clients are in spans; metrics name the first ten clients of
// the process, and no callers.
package otelhelseid
