// Package oteltest_test holds package otelhelseid against OpenTelemetry's SDK and its
// instrumentation of net/http. It stands in a module of its own, since otelhelseid
// itself depends on the API only, and what its tests need would be in its go.mod, too.
package oteltest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/helseid-go/sdk/helseid/otelhelseid"
	"github.com/helseid-go/sdk/internal/testkit"
)

const scope = "github.com/helseid-go/sdk/helseid/otelhelseid"

// collector keeps in the process what is measured and traced, and knows the secrets of
// the run.
type collector struct {
	t      testing.TB
	spans  *tracetest.SpanRecorder
	traces *sdktrace.TracerProvider
	reader *sdkmetric.ManualReader
	meters *sdkmetric.MeterProvider

	mu      sync.Mutex
	secrets map[string]bool
}

// newCollector makes a collector. When the test ends, nothing that otelhelseid has
// recorded holds a secret of the run.
func newCollector(t testing.TB) *collector {
	t.Helper()
	c := newLeakyCollector(t)
	t.Cleanup(func() {
		require.Empty(t, c.leaks())
		require.Equal(t, len(c.spans.Started()), len(c.spans.Ended()), "each span ends")
	})
	return c
}

// newLeakyCollector makes one that does not mind secrets.
func newLeakyCollector(t testing.TB) *collector {
	c := &collector{t: t, spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader(), secrets: make(map[string]bool)}
	c.traces = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(c.spans))
	c.meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(c.reader))
	return c
}

func (c *collector) telemetry(reasons ...string) *otelhelseid.Telemetry {
	c.t.Helper()
	made, err := otelhelseid.New(otelhelseid.Config{MeterProvider: c.meters, TracerProvider: c.traces, Reasons: reasons})
	require.NoError(c.t, err)
	return made
}

// metrics returns what otelhelseid has measured.
func (c *collector) metrics() []metricdata.Metrics {
	c.t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(c.t, c.reader.Collect(context.WithoutCancel(c.t.Context()), &all))
	for _, found := range all.ScopeMetrics {
		if found.Scope.Name == scope {
			return found.Metrics
		}
	}
	return nil
}

// point is one series.
type point struct {
	attributes attribute.Set
	value      float64 // or the number of measurements of a histogram
	series     int     // as Prometheus counts: a histogram has one for each bucket, and two more
}

func pointsOf(t testing.TB, of metricdata.Metrics) (points []point) {
	t.Helper()
	switch data := of.Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			points = append(points, point{p.Attributes, float64(p.Value), 1})
		}
	case metricdata.Gauge[float64]:
		for _, p := range data.DataPoints {
			points = append(points, point{p.Attributes, p.Value, 1})
		}
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			points = append(points, point{p.Attributes, float64(p.Count), len(p.BucketCounts) + 2})
		}
	default:
		require.Failf(t, "another kind of data", "%s is %T", of.Name, of.Data)
	}
	return points
}

// value returns the sum of the points of an instrument that have these attributes,
// written as "key=value".
func (c *collector) value(name string, with ...string) (sum float64) {
	c.t.Helper()
	for _, found := range c.metrics() {
		if found.Name != name {
			continue
		}
		for _, point := range pointsOf(c.t, found) {
			if has(point.attributes.ToSlice(), with...) {
				sum += point.value
			}
		}
	}
	return sum
}

func has(attributes []attribute.KeyValue, with ...string) bool {
	for _, wanted := range with {
		if !slices.ContainsFunc(attributes, func(a attribute.KeyValue) bool { return string(a.Key)+"="+a.Value.String() == wanted }) {
			return false
		}
	}
	return true
}

// series counts the series, as OpenTelemetry and as Prometheus do.
func (c *collector) series() (sets, prometheus int) {
	c.t.Helper()
	for _, found := range c.metrics() {
		for _, point := range pointsOf(c.t, found) {
			sets++
			prometheus += point.series
		}
	}
	return sets, prometheus
}

// span is a span that has ended, and what otelhelseid's tests ask of it.
type span struct{ sdktrace.ReadOnlySpan }

func (s span) attribute(key string) string {
	for _, found := range s.Attributes() {
		if string(found.Key) == key {
			return found.Value.String()
		}
	}
	return ""
}

func (s span) isChildOf(parent span) bool {
	return s.Parent().SpanID() == parent.SpanContext().SpanID() && s.SpanContext().TraceID() == parent.SpanContext().TraceID()
}

func (s span) links() (linked []trace.SpanID) {
	for _, link := range s.Links() {
		linked = append(linked, link.SpanContext.SpanID())
	}
	return linked
}

// named returns the spans with a name that have these attributes, in the order in which
// they began.
func (c *collector) named(name string, with ...string) (found []span) {
	for _, ended := range c.spans.Ended() {
		if ended.Name() == name && has(ended.Attributes(), with...) {
			found = append(found, span{ended})
		}
	}
	slices.SortStableFunc(found, func(a, b span) int { return a.StartTime().Compare(b.StartTime()) })
	return found
}

// one returns the only one.
func (c *collector) one(name string, with ...string) span {
	c.t.Helper()
	found := c.named(name, with...)
	require.Len(c.t, found, 1, "%s %v", name, with)
	return found[0]
}

// keep notes secrets of the run.
func (c *collector) keep(secrets ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, secret := range secrets {
		if len(secret) >= 6 { // else it is found anywhere
			c.secrets[secret] = true
		}
	}
}

// leaks returns the texts of otelhelseid's spans and metrics that hold a secret.
func (c *collector) leaks() (leaked []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	texts := c.texts()
	slices.Sort(texts)
	for _, text := range slices.Compact(texts) {
		if kind := testkit.FindCredential(text); kind != "" {
			leaked = append(leaked, kind+": "+text)
		}
		for secret := range c.secrets {
			if strings.Contains(text, secret) {
				leaked = append(leaked, text)
			}
		}
	}
	return leaked
}

// texts returns every text in what otelhelseid has recorded.
func (c *collector) texts() (texts []string) {
	attributes := func(found []attribute.KeyValue) {
		for _, a := range found {
			texts = append(texts, string(a.Key), a.Value.String())
		}
	}
	scopeOf := func(of instrumentation.Scope) bool { return of.Name == scope }
	for _, found := range c.spans.Ended() {
		if !scopeOf(found.InstrumentationScope()) {
			// Events on the spans of others are still otelhelseid's.
			for _, event := range found.Events() {
				texts = append(texts, event.Name)
				attributes(event.Attributes)
			}
			continue
		}
		texts = append(texts, found.Name(), found.Status().Description, found.SpanContext().TraceState().String())
		attributes(found.Attributes())
		for _, event := range found.Events() {
			texts = append(texts, event.Name)
			attributes(event.Attributes)
		}
		for _, link := range found.Links() {
			attributes(link.Attributes)
		}
	}
	for _, found := range c.metrics() {
		texts = append(texts, found.Name, found.Description, found.Unit)
		for _, point := range pointsOf(c.t, found) {
			attributes(point.attributes.ToSlice())
		}
		if data, ok := found.Data.(metricdata.Histogram[float64]); ok {
			for _, point := range data.DataPoints {
				for _, exemplar := range point.Exemplars {
					attributes(exemplar.FilteredAttributes)
				}
			}
		}
	}
	return texts
}

// tap is a network that keeps the secrets that pass it.
type tap struct {
	collector *collector
	base      http.RoundTripper
}

// public are the parameters of requests to HelseID that are no secrets.
var public = []string{
	"client_id", "client_assertion_type", "grant_type", "scope", "resource", "redirect_uri", "response_type", "response_mode",
	"code_challenge_method", "token_type_hint", "prompt", "max_age", "acr_values",
}

var secretMembers = regexp.MustCompile(`"(?:access_token|refresh_token|id_token|request_uri)":"([^"]+)"`)

func (t tap) RoundTrip(request *http.Request) (*http.Response, error) {
	for _, name := range []string{"Authorization", "DPoP"} {
		_, value, found := strings.Cut(request.Header.Get(name), " ")
		if !found {
			value = request.Header.Get(name)
		}
		t.collector.keep(value)
	}
	if request.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return nil, err
		}
		_ = request.Body.Close()
		request = request.Clone(request.Context())
		request.Body = io.NopCloser(bytes.NewReader(body))
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, err
		}
		for name, values := range form {
			if !slices.Contains(public, name) {
				t.collector.keep(values...)
			}
		}
	}
	response, err := t.base.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	t.collector.keep(response.Header.Get("DPoP-Nonce"))
	for _, cookie := range response.Cookies() {
		t.collector.keep(cookie.Value)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("tap: %w", err)
	}
	for _, found := range secretMembers.FindAllSubmatch(body, -1) {
		t.collector.keep(string(found[1]))
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}
