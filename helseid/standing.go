package helseid

import (
	"errors"
	"time"

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
type standing struct{ holdoff.HoldOff }

// refusal returns the refusal of the client as a whole that is in force, or nil. A
// refused grant type only concerns requests of systems, and not logins and sessions.
func (s *standing) refusal(now time.Time, system bool) error {
	err := s.Check(now)
	if !system && !isInvalidClient(err) {
		return nil
	}
	return err
}

// accepted records that HelseID has served the client. An accepted login or session,
// which anyone may cause, does not end a refusal of requests of systems.
func (s *standing) accepted(started, now time.Time, system bool) {
	if system || isInvalidClient(s.Last()) {
		s.Observe(started, now, nil)
	}
}
