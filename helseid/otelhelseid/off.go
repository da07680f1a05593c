package otelhelseid

import (
	"reflect"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// unsetPackage is where OpenTelemetry has the provider that is the global one until the
// program sets another.
const unsetPackage = "go.opentelemetry.io/otel/internal/global"

// offSwitch returns a function that reports whether a provider's spans go nowhere. It
// spares each request the start of a span, which allocates even then.
func offSwitch(provider trace.TracerProvider) (off func() bool) {
	if _, ok := provider.(noop.TracerProvider); ok {
		return func() bool { return true }
	}
	if kind := reflect.TypeOf(provider); kind.Kind() == reflect.Pointer && kind.Elem().PkgPath() == unsetPackage {
		// Once the program sets a provider, this one passes everything on to it.
		return func() bool { return otel.GetTracerProvider() == provider }
	}
	return func() bool { return false }
}
