package otelhelseid

import (
	"context"
	"fmt"
	"io"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// loginTracer makes one trace of a login's two requests.
type loginTracer struct{ tracer trace.Tracer }

// Format prints "HelseID tracer" for every verb.
func (l loginTracer) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "HelseID tracer") }

// traceparent is the header of W3C Trace Context that a login keeps the value of. It has
// 55 bytes; the other one, tracestate, may have any number.
const traceparent = "traceparent"

// Carry implements [weblogin.Tracer].
func (l loginTracer) Carry(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier.Get(traceparent)
}

// Resume implements [weblogin.Tracer]. The callback comes without the trace of the
// login's start, unless the browser or a proxy before the application makes traces
// itself: then they are one already.
func (l loginTracer) Resume(ctx context.Context, carried string) (context.Context, func(error)) {
	callback := trace.SpanFromContext(ctx)
	carrier := propagation.MapCarrier{traceparent: carried}
	begun := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
	var options []trace.SpanStartOption
	if begun.IsValid() && begun.TraceID() != callback.SpanContext().TraceID() {
		options = append(options, linkTo(ctx))
		callback.AddLink(trace.Link{SpanContext: begun})
		ctx = trace.ContextWithRemoteSpanContext(ctx, begun)
	}
	ctx, span := l.tracer.Start(ctx, spanLogin, options...)
	return ctx, func(err error) {
		fail(span, err)
		span.End()
	}
}
