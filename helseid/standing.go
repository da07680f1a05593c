package helseid

import (
	"errors"
	"time"

	"github.com/helseid-go/sdk/helseid/internal/exchange"
	"github.com/helseid-go/sdk/helseid/internal/holdoff"
)

// isRefusal reports that a request made again will fail again; whole tells that
// this goes for every request of the client, not just for the same one.
func isRefusal(err error) (refusal, whole bool) {
	var answer *TokenError
	if !errors.As(err, &answer) || exchange.TemporaryStatus(answer.StatusCode) || answer.Code == "use_dpop_nonce" {
		return false, false
	}
	return true, answer.Code == "invalid_client" || answer.Code == "unauthorized_client"
}

// isInvalidClient reports that HelseID does not know the client, whatever it
// asks for; unauthorized_client may go for one grant type only.
func isInvalidClient(err error) bool {
	var answer *TokenError
	return errors.As(err, &answer) && answer.Code == "invalid_client" && !exchange.TemporaryStatus(answer.StatusCode)
}

// standing is how HelseID regards the client as a whole.
type standing struct{ holdoff.HoldOff }

// refusal is the refusal that stands against the client as a whole. That it may
// not use a grant type goes for the systems that were told so, and not for logins
// and sessions.
func (s *standing) refusal(now time.Time, system bool) error {
	err := s.Check(now)
	if !system && !isInvalidClient(err) {
		return nil
	}
	return err
}

// accepted notes that HelseID has served the client. That a login or a session was
// served, which anybody may cause, takes back nothing that was said to systems.
func (s *standing) accepted(started, now time.Time, system bool) {
	if system || isInvalidClient(s.Last()) {
		s.Observe(started, now, nil)
	}
}
