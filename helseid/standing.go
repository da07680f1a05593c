package helseid

import (
	"context"
	"errors"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/internal/exchange"
	"github.com/helseid-go/sdk/helseid/internal/holdoff"
)

// isRefusal reports that the same request would fail again. whole says that this
// applies to every request of the client.
func isRefusal(err error) (refusal, whole bool) {
	var answer *TokenError
	if !errors.As(err, &answer) || exchange.TemporaryStatus(answer.StatusCode) || answer.Code == "use_dpop_nonce" {
		return false, false
	}
	return true, answer.Code == "invalid_client" || answer.Code == "unauthorized_client"
}

// isInvalidClient reports that HelseID does not know the client, whatever it asks
// for. unauthorized_client, in contrast, may apply to one grant type only.
func isInvalidClient(err error) bool {
	var answer *TokenError
	return errors.As(err, &answer) && answer.Code == "invalid_client" && !exchange.TemporaryStatus(answer.StatusCode)
}

// standing holds back the client's requests when HelseID refuses the client as a
// whole.
type standing struct {
	holdoff.HoldOff
	keyID func(context.Context) string // the kid of the key that would sign now
}

// currentKeyID gives the kid of the key that would sign now, or "" if it is not to be
// had.
func currentKeyID(assertions *clientassertion.Signer) func(context.Context) string {
	return func(ctx context.Context) string {
		current, err := assertions.Current(ctx)
		if err != nil {
			return ""
		}
		return current.KeyID()
	}
}

// refusal returns the refusal of the client as a whole that is in force, or nil. A
// refused grant type only concerns requests of systems, and not logins and sessions. The
// refusal of a key is no longer in force when another key has replaced it.
func (s *standing) refusal(ctx context.Context, now time.Time, system bool) error {
	err := s.Check(now)
	if s.keyReplaced(ctx, err) {
		return nil
	}
	if !system && !isInvalidClient(err) {
		return nil
	}
	return err
}

func (s *standing) keyReplaced(ctx context.Context, err error) bool {
	var about *exchange.KeyError
	if !isInvalidClient(err) || !errors.As(err, &about) {
		return false
	}
	current := s.keyID(ctx)
	return current != "" && current != about.KeyID
}

// accepted records that HelseID has served the client. An accepted login or session,
// which anyone may cause, does not end a refusal of requests of systems.
func (s *standing) accepted(started, now time.Time, system bool) {
	if system || isInvalidClient(s.Last()) {
		s.Observe(started, now, nil)
	}
}
