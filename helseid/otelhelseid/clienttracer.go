package otelhelseid

import (
	"context"
	"fmt"
	"io"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/helseid-go/sdk/helseid"
)

// clientTracer makes the spans of a client.
type clientTracer struct{ tracer trace.Tracer }

// Format prints "HelseID tracer" for every verb.
func (c clientTracer) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "HelseID tracer") }

// Begin implements [helseid.Tracer]. A token request is part of the trace of the call
// that caused it, and a renewal in the background, which outlives that call, has a
// trace of its own with a link.
func (c clientTracer) Begin(ctx, caller context.Context, event helseid.Event) (context.Context, func(helseid.Event)) {
	if event.Kind == helseid.EventRoundTrip {
		return c.begin(ctx, spanRoundTrip, endRoundTrip, trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(append(requestAttributes(event), attrURL.String(event.URL))...))
	}
	attributes := trace.WithAttributes(attrClientID.String(event.ClientID), attrRenewal.Bool(event.Renewal))
	if event.Renewal {
		return c.begin(ctx, spanToken, endWork, attributes, trace.WithNewRoot(), linkTo(caller))
	}
	return c.begin(trace.ContextWithSpan(ctx, trace.SpanFromContext(caller)), spanToken, endWork, attributes)
}

func (c clientTracer) begin(ctx context.Context, name string, end func(trace.Span, helseid.Event), options ...trace.SpanStartOption) (context.Context, func(helseid.Event)) {
	ctx, span := c.tracer.Start(ctx, name, options...)
	return ctx, func(event helseid.Event) {
		end(span, event)
		span.End()
	}
}

// Waited implements [helseid.Tracer].
func (c clientTracer) Waited(ctx, work context.Context, event helseid.Event) {
	now := time.Now()
	_, span := c.tracer.Start(ctx, spanWait, trace.WithTimestamp(now.Add(-event.Duration)), linkTo(work),
		trace.WithAttributes(attrClientID.String(event.ClientID)))
	endWork(span, event)
	span.End(trace.WithTimestamp(now))
}

// linkTo links to the span of a context, if it has one.
func linkTo(ctx context.Context) trace.SpanStartOption {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return trace.WithLinks()
	}
	return trace.WithLinks(trace.LinkFromContext(ctx))
}

func endWork(span trace.Span, event helseid.Event) { fail(span, event.Err) }

func endRoundTrip(span trace.Span, event helseid.Event) {
	span.SetAttributes(answerAttributes(event)...)
	if kind := tripError(event); kind != "" {
		span.SetStatus(codes.Error, kind)
	}
}

// fail notes an error on a span, without its text.
func fail(span trace.Span, err error) {
	kind := errorKind(err)
	if kind == "" {
		return
	}
	span.SetStatus(codes.Error, kind)
	span.SetAttributes(attrErrorType.String(kind))
	if number := hid(err); number != "" {
		span.SetAttributes(attrHID.String(number))
	}
}

// mark notes on the span in the context why a request is sent again.
func (t *Telemetry) mark(ctx context.Context, event helseid.Event) {
	reason, ok := retryReasons[event.Kind]
	if !ok {
		return
	}
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	peer := peerHelseID
	if event.API {
		peer = peerAPI
	}
	span.AddEvent(eventRetry, trace.WithAttributes([]attribute.KeyValue{attrRetryReason.String(reason), attrPeer.String(peer)}...))
}
