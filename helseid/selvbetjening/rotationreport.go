package selvbetjening

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/redact"
)

// failure says what was being done when the key was not replaced, and what to do.
func (r *Rotation) failure(ctx context.Context, doing string, err error) error {
	var answer *Error
	advice := ""
	switch {
	case ctx.Err() != nil: // which says nothing about HelseID
		advice = fmt.Sprintf("the caller's context has ended: a new key waits %v (Settle) and is then tried for up to %v (VerifyTimeout); the next call finishes what was begun",
			max(r.config.Settle, 0), r.config.VerifyTimeout)
	case errors.Is(err, ErrKeysChanged):
		advice = "another instance has saved keys at the same time: the next try uses them"
	case errors.Is(err, helseid.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		advice = "HelseID is down or slow: try again later, which Run does; nothing is lost until the key expires"
	case errors.As(err, &answer) && answer.Status == http.StatusBadRequest:
		advice = "HelseID refuses this key, and the next try makes another: if this happens again, choose another RotationConfig.Kind"
	case errors.As(err, &answer), errors.Is(err, ErrKeyStore), isInvalidClient(err):
		return fmt.Errorf("%w: %s: %w", ErrRotation, doing, err) // it says so itself
	default:
		advice = "try again when the cause is removed, which Run does"
	}
	return fmt.Errorf("%w: %s: %w: %s", ErrRotation, doing, err, advice)
}

// failed reports a failure that is not returned to a caller.
func (r *Rotation) failed(ctx context.Context, err error) {
	key, expiry := r.key.current(), r.knownExpiry()
	r.config.Client.Logger.ErrorContext(ctx, "the client's key was not replaced: it is tried again",
		r.whose(key), slog.Time("expiry", expiry), slog.String("cause", redact.Cause(err)))
	r.tell(ctx, helseid.Event{Kind: helseid.EventKeyFailed, KeyID: key.ID(), Expiry: expiry, Err: &toldError{redact.Cause(err), withoutWords(err)}})
}

// toldError is an error as an event has it: without what HelseID said in words, which may
// name an organisation.
type toldError struct {
	text   string
	causes []error
}

func (e *toldError) Error() string { return e.text }

func (e *toldError) Unwrap() []error { return e.causes }

// LogValue is the error for a log line.
func (e *toldError) LogValue() slog.Value { return slog.StringValue(e.text) }

// withoutWords returns what callers can test an error for. ErrKey is not among it: in an
// event it means that the client's key did not sign, which the client tells itself.
func withoutWords(err error) (causes []error) {
	for _, category := range []error{ErrRotation, ErrKeysChanged, ErrKeyStore, helseid.ErrNoToken, helseid.ErrUnavailable, helseid.ErrInvalidResponse, helseid.ErrStore} {
		if errors.Is(err, category) {
			causes = append(causes, category)
		}
	}
	if answer, ok := errors.AsType[*Error](err); ok {
		causes = append(causes, &Error{Status: answer.Status, RetryAfter: answer.RetryAfter})
	}
	if refused, ok := errors.AsType[*helseid.TokenError](err); ok {
		bare := *refused
		bare.Description = ""
		causes = append(causes, &bare)
	}
	return causes
}

// orphan reports a key at HelseID that does not work, or that is not in the store.
func (r *Rotation) orphan(ctx context.Context, secret ClientSecret, message string) {
	kid := nameOf(secret)
	r.reported[kid] = true
	r.config.Client.Logger.WarnContext(ctx, message, r.whose(r.key.current()),
		slog.String("orphan_kid", kid), slog.Time("orphan_expiry", secret.Expiration), slog.String("orphan_origin", secret.Origin))
	r.tell(ctx, helseid.Event{Kind: helseid.EventKeyOrphan, KeyID: kid, Expiry: secret.Expiration})
}

func (r *Rotation) whose(key *clientassertion.Key) slog.Attr {
	return slog.Group("", slog.String("client_id", r.client.ID()), slog.String("kid", key.ID()))
}

func (r *Rotation) tell(ctx context.Context, event helseid.Event) {
	if r.config.Client.OnEvent != nil {
		event.ClientID = r.client.ID()
		r.config.Client.OnEvent(ctx, event)
	}
}
