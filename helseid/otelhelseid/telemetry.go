package otelhelseid

import (
	"context"
	"fmt"
	"io"

	"go.opentelemetry.io/otel/trace"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/weblogin"
	"github.com/helseid-go/sdk/middleware"
)

// Telemetry makes metrics and spans of what clients and guards do. Make one for the
// process. It is safe for concurrent use.
type Telemetry struct {
	instruments *instruments
	tracer      trace.Tracer
	untraced    func() bool // no span goes anywhere
	client      clientMetrics
	guard       guardMetrics
}

// New checks the configuration, reports all its mistakes at once (they wrap
// [ErrConfig]) and makes the instruments.
func New(config Config) (*Telemetry, error) {
	config, err := config.checked()
	if err != nil {
		return nil, err
	}
	t := &Telemetry{tracer: config.TracerProvider.Tracer(scope), untraced: offSwitch(config.TracerProvider)}
	t.client.names.limit = maxClients
	t.instruments, err = newInstruments(config.MeterProvider.Meter(scope), t.client.expiries.observe)
	if err != nil {
		return nil, fmt.Errorf("otelhelseid: make the instruments: %w", err)
	}
	t.client.make(t.instruments)
	t.guard.make(t.instruments, config.Reasons)
	return t, nil
}

// Format prints "HelseID telemetry" for every verb.
func (t *Telemetry) Format(state fmt.State, _ rune) {
	_, _ = io.WriteString(state, "HelseID telemetry")
}

// Client returns a client's configuration with telemetry added. An OnEvent that is set
// is called, too. A Tracer that is set stays, and the client then makes no spans here.
// Call it for each client.
func (t *Telemetry) Client(config helseid.Config) helseid.Config {
	from := &teller{}
	config.OnEvent = both(config.OnEvent, func(ctx context.Context, event helseid.Event) { t.hear(ctx, event, from) })
	if config.Tracer == nil {
		config.Tracer = clientTracer{t.tracer}
	}
	return config
}

// Login returns the configuration of a web application's login with telemetry added:
// the trace of the request that starts a login goes on in the callback. A Tracer that
// is set stays. Its Client is made with [Telemetry.Client].
func (t *Telemetry) Login(config weblogin.Config) weblogin.Config {
	if config.Tracer == nil {
		config.Tracer = loginTracer{t.tracer}
	}
	return config
}

// Guard returns a guard's configuration with telemetry added. An Audit that is set is
// called, too. A Proof.Replay that is set is timed; the store in memory, which is used
// if it is nil, is not.
func (t *Telemetry) Guard(config middleware.Config) middleware.Config {
	config.Audit = both(config.Audit, t.decided)
	t.guard.begin()
	if config.Proof.Replay != nil {
		config.Proof.Replay = t.timed(config.Proof.Replay)
	}
	return config
}

// OnEvent counts an event of a client. [Telemetry.Client] sets it; it is exported for
// what has no helseid.Config, such as [helseid.KeyFileConfig].
func (t *Telemetry) OnEvent(ctx context.Context, event helseid.Event) {
	t.hear(ctx, event, nil)
}

func (t *Telemetry) hear(ctx context.Context, event helseid.Event, from *teller) {
	t.client.count(ctx, event, from)
	t.mark(ctx, event)
}

// both calls one hook after the other. The first may be nil.
func both[T any](first, second func(context.Context, T)) func(context.Context, T) {
	if first == nil {
		return second
	}
	return func(ctx context.Context, what T) {
		first(ctx, what)
		second(ctx, what)
	}
}

func (t *Telemetry) timed(store dpop.ReplayStore) dpop.ReplayStore {
	timed := &timedStore{store: store, took: t.instruments.replays}
	if checker, ok := store.(storeChecker); ok {
		return &checkedStore{timed, checker}
	}
	return timed
}
