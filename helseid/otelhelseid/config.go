package otelhelseid

import (
	"errors"
	"fmt"
	"regexp"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// ErrConfig is wrapped by every error about the configuration.
var ErrConfig = errors.New("otelhelseid: configuration")

// Config says where metrics and spans go. Its zero value uses the global providers.
type Config struct {
	// MeterProvider gives the meter. Nil means [otel.GetMeterProvider].
	MeterProvider metric.MeterProvider

	// TracerProvider gives the tracer. Nil means [otel.GetTracerProvider].
	TracerProvider trace.TracerProvider

	// Reasons are those with which the API's own requirements refuse a caller
	// (Reason of [middleware.Denial]), 32 at most. The SDK's own need not be named.
	// Other reasons count as "_OTHER".
	Reasons []string
}

const maxReasons = 32

// reasonForm is that of all reasons of the SDK.
var reasonForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// checked returns the configuration with its defaults filled in. It reports all
// mistakes at once.
func (c Config) checked() (Config, error) {
	var errs []error
	if len(c.Reasons) > maxReasons {
		errs = append(errs, fmt.Errorf("%w: field Reasons has %d reasons: %d is the limit", ErrConfig, len(c.Reasons), maxReasons))
	}
	for i, reason := range c.Reasons {
		if !reasonForm.MatchString(reason) {
			errs = append(errs, fmt.Errorf("%w: field Reasons: number %d is not a single word of up to 64 lower-case letters, digits and _", ErrConfig, i+1))
		}
	}
	if c.MeterProvider == nil {
		c.MeterProvider = otel.GetMeterProvider()
	}
	if c.TracerProvider == nil {
		c.TracerProvider = otel.GetTracerProvider()
	}
	return c, errors.Join(errs...)
}
