package otelhelseid

import (
	"context"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/helseid-go/sdk/middleware"
)

// The outcomes of decisions. Of a failure, the caller is not to blame.
const outcomeAllowed, outcomeRefused, outcomeFailed = "allowed", "refused", "failed"

func outcomeOf(record middleware.Record) string {
	switch {
	case record.Allowed:
		return outcomeAllowed
	case record.Status >= http.StatusInternalServerError:
		return outcomeFailed
	}
	return outcomeRefused
}

// guardMetrics counts decisions.
type guardMetrics struct {
	*instruments
	byOutcome  map[string]labels
	byDecision map[decision]labels
	reasons    map[string]bool
}

// decision is what is counted of one.
type decision struct{ outcome, reason string }

func (m *guardMetrics) make(instruments *instruments, ofTheAPI []string) {
	m.instruments = instruments
	m.byOutcome, m.byDecision, m.reasons = make(map[string]labels), make(map[decision]labels), make(map[string]bool)
	for _, outcome := range []string{outcomeAllowed, outcomeRefused, outcomeFailed} {
		m.byOutcome[outcome] = labelled(attrOutcome.String(outcome))
	}
	m.byDecision[decision{outcome: outcomeAllowed}] = m.byOutcome[outcomeAllowed]
	for _, known := range [][]string{refusals, failures, ofTheAPI, {other}} {
		for _, reason := range known {
			m.reasons[reason] = true
			for _, outcome := range []string{outcomeRefused, outcomeFailed} {
				m.byDecision[decision{outcome, reason}] = labelled(attrOutcome.String(outcome), attrReason.String(reason))
			}
		}
	}
}

// begin begins the counts of failures with zero, so that the first is an increase.
func (m *guardMetrics) begin() {
	for _, reason := range failures {
		m.decisions.Add(context.Background(), 0, m.byDecision[decision{outcomeFailed, reason}].add...)
	}
}

// of returns what is counted of a record.
func (m *guardMetrics) of(record middleware.Record) decision {
	found := decision{outcome: outcomeOf(record)}
	if found.outcome != outcomeAllowed {
		if found.reason = record.Reason; !m.reasons[found.reason] {
			found.reason = other
		}
	}
	return found
}

// decided is a hook for middleware's Audit.
func (t *Telemetry) decided(ctx context.Context, record middleware.Record) {
	decision := t.guard.of(record)
	t.guard.count(ctx, record, decision)
	if !t.untraced() {
		t.span(ctx, record, decision)
	}
}

func (m *guardMetrics) count(ctx context.Context, record middleware.Record, decision decision) {
	m.decisions.Add(ctx, 1, m.byDecision[decision].add...)
	m.decided.Record(ctx, record.Duration.Seconds(), m.byOutcome[decision.outcome].record...)
}

// span makes the span of a decision.
func (t *Telemetry) span(ctx context.Context, record middleware.Record, decision decision) {
	now := time.Now()
	_, span := t.tracer.Start(ctx, spanGuard, trace.WithTimestamp(now.Add(-record.Duration)))
	if span.IsRecording() {
		span.SetAttributes(decisionAttributes(record, decision)...)
		if decision.outcome == outcomeFailed {
			span.SetStatus(codes.Error, decision.reason)
		}
	}
	span.End(trace.WithTimestamp(now))
}

// decisionAttributes describe a decision. Of the caller they name the client only.
func decisionAttributes(record middleware.Record, decision decision) []attribute.KeyValue {
	attributes := make([]attribute.KeyValue, 0, 6)
	attributes = append(attributes, attrOutcome.String(decision.outcome))
	if decision.reason != "" {
		attributes = append(attributes, attrReason.String(decision.reason))
	}
	if start := strings.IndexByte(record.Route, '/'); start >= 0 { // after a method and a host
		attributes = append(attributes, attrRoute.String(record.Route[start:]))
	}
	if record.ClientID != "" {
		attributes = append(attributes, attrClientID.String(record.ClientID))
	}
	if record.Nested {
		attributes = append(attributes, attrNested.Bool(true))
	}
	if record.Unproven {
		attributes = append(attributes, attrUnproven.Bool(true))
	}
	return attributes
}
