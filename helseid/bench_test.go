package helseid_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// stubTransport answers at once.
type stubTransport struct{}

func (stubTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader("")), Request: request,
	}, nil
}

// benchmarkClient has a token already. Requests to HelseID and to the API go
// different ways.
func benchmarkClient(b testing.TB) *helseid.Client {
	b.Helper()
	server := helseidtest.NewServer(b, helseidtest.InMemory())
	config := server.NewClient(helseidtest.Scopes(testScope))
	config.HTTPClient = &http.Client{Transport: &network{
		helseid: server.HTTPClient().Transport, hosts: map[string]http.RoundTripper{apiHost: stubTransport{}},
	}}
	client := newClient(b, config)
	_, err := client.Token(b.Context(), apiRequest)
	require.NoError(b, err)
	return client
}

func TestCachedTokenAllocatesNothing(t *testing.T) {
	source := benchmarkClient(t).TokenSource(apiRequest)
	ctx := t.Context()
	allocations := testing.AllocsPerRun(1000, func() {
		if _, err := source.Token(ctx); err != nil {
			t.Error(err)
		}
	})
	require.Zero(t, allocations)
}

func BenchmarkCachedToken(b *testing.B) {
	source := benchmarkClient(b).TokenSource(apiRequest)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := source.Token(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCachedTokenParallel(b *testing.B) {
	source := benchmarkClient(b).TokenSource(apiRequest)
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := source.Token(ctx); err != nil {
				b.Fail()
				return
			}
		}
	})
}

// BenchmarkCachedTokenComposed composes the token request for each call.
func BenchmarkCachedTokenComposed(b *testing.B) {
	client := benchmarkClient(b)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Token(ctx, apiRequest); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRequest is a whole call, with everything but the network.
func BenchmarkRequest(b *testing.B) {
	server := helseidtest.NewServer(b, helseidtest.InMemory())
	config := server.NewClient(helseidtest.Scopes(testScope))
	config.HTTPClient = &http.Client{Transport: routed{server.HTTPClient().Transport}}
	client := newClient(b, config)
	api := client.Transport(apiRequest)
	request := newRequest(b, http.MethodGet, apiURL+"?page=2", nil)
	call := func() {
		response, err := api.RoundTrip(request)
		if err != nil {
			b.Fatal(err)
		}
		_ = response.Body.Close()
	}
	call()
	b.ReportAllocs()
	for b.Loop() {
		call()
	}
}

// routed sends to HelseID or to the stub without any bookkeeping.
type routed struct{ helseid http.RoundTripper }

func (r routed) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Host == helseidHost {
		return r.helseid.RoundTrip(request)
	}
	return stubTransport{}.RoundTrip(request)
}
