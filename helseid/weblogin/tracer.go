package weblogin

import "context"

// Tracer makes one trace of a login, which takes two requests of the browser: one that
// starts it, and the callback. Package otelhelseid has one for OpenTelemetry.
type Tracer interface {
	// Carry returns what the login keeps of the trace in the context of the request that
	// starts it, until the callback: 128 bytes at most, or nothing is kept. It is sealed
	// into the login's cookie.
	Carry(ctx context.Context) string

	// Resume is called with the context of the callback and what Carry has returned, or
	// "". It returns the context to finish the login in, and a function that is called
	// once with the error that this ends with.
	Resume(ctx context.Context, carried string) (resumed context.Context, done func(error))
}

// maxTrace bounds what a login keeps of its trace, in bytes.
const maxTrace = 128

// carriedTrace returns what a login that is started now keeps of its trace.
func (w *Web) carriedTrace(ctx context.Context) string {
	if w.config.Tracer == nil {
		return ""
	}
	if trace := w.config.Tracer.Carry(ctx); len(trace) <= maxTrace {
		return trace
	}
	return ""
}

// resumeTrace returns the context for the rest of the login.
func (w *Web) resumeTrace(ctx context.Context, carried string) (resumed context.Context, done func(error)) {
	if w.config.Tracer == nil {
		return ctx, func(error) {}
	}
	return w.config.Tracer.Resume(ctx, carried)
}
