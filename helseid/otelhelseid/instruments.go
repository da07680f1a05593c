package otelhelseid

import (
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// instruments are all that is measured.
type instruments struct {
	requests metric.Float64Histogram
	tokens   metric.Float64Histogram
	lookups  metric.Int64Counter
	proofs   metric.Float64Histogram
	retries  metric.Int64Counter
	keys     metric.Int64Counter

	decisions metric.Int64Counter
	decided   metric.Float64Histogram
	replays   metric.Float64Histogram
}

// Bounds of histograms, in seconds.
var (
	// These are those of the semantic convention.
	networkBounds = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}

	// A token request may take 45 seconds with its retries.
	tokenBounds = []float64{0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 45}

	// A signature or a decision takes a tenth of a millisecond in memory, and as long
	// as a network takes otherwise.
	localBounds = []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1, 5}
)

func newInstruments(meter metric.Meter, observeExpiry metric.Float64Callback) (*instruments, error) {
	var errs []error
	histogram := func(name, description string, bounds []float64) metric.Float64Histogram {
		made, err := meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(bounds...))
		errs = append(errs, err)
		return made
	}
	counter := func(name, unit, description string) metric.Int64Counter {
		made, err := meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
		errs = append(errs, err)
		return made
	}
	made := &instruments{
		requests:  histogram(requestDuration, "Duration of HTTP client requests.", networkBounds),
		tokens:    histogram(tokenDuration, "Duration of token requests with all their round trips.", tokenBounds),
		lookups:   counter(tokenLookups, "{lookup}", "Number of times that a token was looked for in memory."),
		proofs:    histogram(proofDuration, "Time that the DPoP key took for a proof for an API.", localBounds),
		retries:   counter(clientRetries, "{retry}", "Number of reasons to send a request again."),
		keys:      counter(keyEvents, "{event}", "Number of times that a client's key was replaced, or failed."),
		decisions: counter(guardDecisions, "{decision}", "Number of decisions about requests to an API."),
		decided:   histogram(guardDuration, "Time that a decision about a request to an API took.", localBounds),
		replays:   histogram(replayDuration, "Time that the store of used proofs took.", localBounds),
	}
	_, err := meter.Float64ObservableGauge(keyTimeLeft, metric.WithUnit("s"), metric.WithFloat64Callback(observeExpiry),
		metric.WithDescription("Time until the client's key expires, below zero after that."))
	return made, errors.Join(append(errs, err)...)
}

// labels are attributes that are made once, since they are used for every request.
type labels struct {
	add    []metric.AddOption
	record []metric.RecordOption
}

func labelled(attributes ...attribute.KeyValue) labels {
	option := metric.WithAttributeSet(attribute.NewSet(attributes...))
	return labels{add: []metric.AddOption{option}, record: []metric.RecordOption{option}}
}
