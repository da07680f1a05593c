package oteltest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/middleware"
)

const issuer = "https://helseid.test"

// opaqueHelseID answers each token request with another token, without looking at it.
type opaqueHelseID struct{ tokens chan int }

func newOpaqueHelseID() *opaqueHelseID { return &opaqueHelseID{tokens: make(chan int, 1)} }

func (o *opaqueHelseID) RoundTrip(request *http.Request) (*http.Response, error) {
	body := fmt.Sprintf(`{"issuer":%q,"token_endpoint":%q,"jwks_uri":%q}`, issuer, issuer+"/connect/token", issuer+"/jwks")
	if request.Method == http.MethodPost {
		_, _ = io.Copy(io.Discard, request.Body)
		body = `{"access_token":"opaque-secret","token_type":"DPoP","expires_in":600}`
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), Request: request,
	}, nil
}

// With ten thousand organisations there are few series, and none names one.
func TestSeriesOfManyOrganizations(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	c.keep("opaque-secret")
	telemetry := c.telemetry()
	key, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})
	require.NoError(t, err)
	client, err := helseid.New(telemetry.Client(helseid.Config{
		Issuer: issuer, ClientID: "the-client", Key: key, HTTPClient: &http.Client{Transport: newOpaqueHelseID()},
	}))
	require.NoError(t, err)
	defer client.Close()
	audit := telemetry.Guard(middleware.Config{}).Audit

	const organizations = 10_000
	var workers sync.WaitGroup
	const count = 8
	for worker := range count {
		workers.Go(func() {
			for i := worker; i < organizations; i += count {
				number := strconv.Itoa(100_000_000 + i)
				hpr := strconv.Itoa(560_000_000 + i)
				c.keep(number, hpr)
				ctx := helseid.ForOrganization(context.Background(), identity.OrganizationNumber(number), "")
				if _, err := client.Token(ctx, helseid.TokenRequest{Scopes: []string{"nhn:test-api/read"}}); err != nil {
					t.Error(err)
					return
				}
				record := middleware.Record{
					Allowed: i%10 != 0, ClientID: "client-" + number, Organization: identity.Organization{Parent: identity.OrganizationNumber(number)},
					HPRNumber: identity.HPRNumber(hpr), Subject: "subject-" + number, SessionID: "sid-" + number, TokenID: "jti-" + number,
					Method: http.MethodGet, Route: "GET /things/{id}", Duration: time.Millisecond,
				}
				record.ClientID = "client"
				if !record.Allowed {
					record.Status, record.Reason = http.StatusForbidden, middleware.ReasonScope
				}
				audit(context.Background(), record)
			}
		})
	}
	workers.Wait()
	require.Equal(t, float64(organizations), c.value("helseid.client.token.duration"))
	require.Equal(t, float64(organizations), c.value("helseid.guard.decisions"))
	sets, prometheus := c.series()
	t.Logf("%d series, %d as Prometheus counts", sets, prometheus)
	require.LessOrEqual(t, sets, 20)
	require.LessOrEqual(t, prometheus, 200)
}

// Whatever happens to a client and a guard, there are ten instruments and 200 series at
// most, and nothing of what errors say is in them.
func TestSeriesOfEverything(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	c.keep("123456785")
	everything(t, c, c.telemetry())
	require.Len(t, c.metrics(), 10)
	sets, _ := c.series()
	t.Logf("%d series", sets)
	require.LessOrEqual(t, sets, 200)
}

// A process has few clients. One with thousands has no more series for that.
func TestSeriesOfManyClients(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	telemetry := c.telemetry()
	for i := range 1000 {
		telemetry.OnEvent(t.Context(), helseid.Event{Kind: helseid.EventTokenRequest, ClientID: fmt.Sprintf("client-%d", i)})
		telemetry.OnEvent(t.Context(), helseid.Event{Kind: helseid.EventKeyInUse, ClientID: fmt.Sprintf("client-%d", i), Expiry: time.Now()})
	}
	require.Equal(t, 1.0, c.value("helseid.client.token.duration", "helseid.client.id=client-9"))
	require.Equal(t, 990.0, c.value("helseid.client.token.duration", "helseid.client.id=_OTHER"))
	sets, _ := c.series()
	require.Equal(t, 11+10+4*10, sets)
}

// The search finds what it is for.
func TestSearchFindsSecrets(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"very-secret", "eyJhbGciOiJub25lIn0.e30.x", "21916841008"} {
		c := newLeakyCollector(t)
		c.keep("very-secret")
		c.telemetry().OnEvent(t.Context(), helseid.Event{Kind: helseid.EventTokenRequest, ClientID: secret})
		require.Len(t, c.leaks(), 1, secret)
		c = newLeakyCollector(t)
		c.keep("very-secret")
		c.telemetry().Guard(middleware.Config{}).Audit(t.Context(), middleware.Record{Allowed: true, ClientID: secret})
		require.Len(t, c.leaks(), 1, secret)
	}
}

// What is rare is counted from zero: else Prometheus sees no increase at the first time.
func TestRareThingsBeginWithZero(t *testing.T) {
	t.Parallel()
	for _, kind := range []helseid.EventKind{helseid.EventTokenRequest, helseid.EventKeyInUse} {
		c := newCollector(t)
		telemetry := c.telemetry()
		telemetry.OnEvent(t.Context(), helseid.Event{Kind: kind, ClientID: "client"})
		telemetry.Guard(middleware.Config{})
		for name, points := range map[string]int{"helseid.client.key.events": 4, "helseid.guard.decisions": 5} {
			index := slices.Index(instrumentsOf(c), name)
			require.NotEqual(t, -1, index, name)
			require.Len(t, pointsOf(t, c.metrics()[index]), points, name)
			require.Zero(t, c.value(name))
		}
	}
}
