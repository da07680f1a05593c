package otelhelseid

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/helseid-go/sdk/dpop"
)

// timedStore is a store of used proofs whose time is measured.
type timedStore struct {
	store dpop.ReplayStore
	took  metric.Float64Histogram
}

// Format prints "replay store" for every verb.
func (s *timedStore) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "replay store") }

// Record implements [dpop.ReplayStore].
func (s *timedStore) Record(ctx context.Context, use dpop.Use) (bool, error) {
	start := time.Now()
	first, err := s.store.Record(ctx, use)
	if err == nil {
		s.took.Record(ctx, time.Since(start).Seconds())
	} else {
		s.took.Record(ctx, time.Since(start).Seconds(), metric.WithAttributes(attrErrorType.String(storeError(err))))
	}
	return first, err
}

// storeError returns the kind of a store's error. The store may be of any make: what is
// not known is taken for an outage, as middleware does.
func storeError(err error) string {
	switch {
	case errors.Is(err, dpop.ErrReplayFull):
		return "full"
	case errors.Is(err, dpop.ErrBeforeStart):
		return "before_start"
	}
	if kind := errorKind(err); kind == "canceled" || kind == "timeout" {
		return kind
	}
	return "unavailable"
}

// storeChecker is a store that can be asked whether it works: middleware's Check does.
type storeChecker interface {
	Check(ctx context.Context) error
}

type checkedStore struct {
	*timedStore
	storeChecker
}
