package otelhelseid_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/otelhelseid"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// The hook that the client has already stays.
func Example() {
	telemetry, err := otelhelseid.New(otelhelseid.Config{}) // the global providers
	if err != nil {
		log.Fatal(err)
	}
	// In place of HelseID, and of the file from HelseID Selvbetjening.
	server, err := helseidtest.Start(helseidtest.InMemory())
	if err != nil {
		log.Fatal(err)
	}
	config := server.NewClient(helseidtest.Scopes("nhn:some-api/read"))
	config.OnEvent = func(_ context.Context, event helseid.Event) {
		if event.Kind == helseid.EventTokenRequest {
			fmt.Println("a token was asked for")
		}
	}
	client, err := helseid.New(telemetry.Client(config))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Token(context.Background(), helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}}); err != nil {
		log.Fatal(err)
	}
	// Output: a token was asked for
}

// An API has a requirement of its own, whose reason is counted by its name.
func ExampleTelemetry_Guard() {
	telemetry, err := otelhelseid.New(otelhelseid.Config{Reasons: []string{"patient_blocked"}})
	if err != nil {
		log.Fatal(err)
	}
	guard, err := middleware.New(telemetry.Guard(middleware.Config{
		Issuer:   helseid.Test.Issuer(),
		Audience: "nhn:some-api",
		Audit: func(_ context.Context, record middleware.Record) {
			fmt.Println("refused:", record.Reason)
		},
	}))
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	notBlocked := func(context.Context, *tokenvalidation.Claims) error {
		return &middleware.Denial{Reason: "patient_blocked", Detail: "the patient has blocked this journal"}
	}
	journal := guard.Require(func(http.ResponseWriter, *http.Request) {}, notBlocked)

	// A call without a token gets no further than that.
	journal.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/journal", nil))
	// Output: refused: no_credentials
}
