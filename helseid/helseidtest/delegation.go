package helseidtest

import (
	"errors"
	"slices"
	"time"

	"github.com/helseid-go/sdk/internal/orgnr"
)

// DelegationDelay makes [Server.Delegate] and [Server.RevokeDelegation] take effect
// after a delay. In Altinn, this takes up to an hour. The default is no delay.
func DelegationDelay(delay time.Duration) Option {
	return option(func(o *options) { o.delegationDelay = delay })
}

// delegationChange is a delegation that is given or revoked from a point in time.
type delegationChange struct {
	parent string
	at     time.Time
	gives  bool
}

// Delegate makes an organisation delegate to the supplier of a multi-tenant client, as
// in Altinn: the client may then act for it. Earlier requests are refused with
// HID-1001.
func (s *Server) Delegate(parent, clientID string) error {
	if !orgnr.IsNumber(parent) {
		return errors.New("helseidtest: parent is not an organisation number of nine digits")
	}
	return s.changeDelegation(parent, clientID, true)
}

// RevokeDelegation revokes a delegation. Tokens that have been issued work until they
// expire.
func (s *Server) RevokeDelegation(parent, clientID string) error {
	return s.changeDelegation(parent, clientID, false)
}

func (s *Server) changeDelegation(parent, clientID string, gives bool) error {
	change := delegationChange{parent, s.Now().Add(s.options.delegationDelay), gives}
	single := false
	err := s.changeClient(clientID, func(client *Client) {
		if single = !client.MultiTenant; !single {
			client.changes = append(slices.Clip(client.changes), change)
		}
	})
	if single {
		return errors.New("helseidtest: delegations are for multi-tenant clients only")
	}
	return err
}

// delegationsAt returns the organisations that have delegated at that time.
func (c *Client) delegationsAt(now time.Time) []string {
	delegations := slices.Clone(c.Delegations)
	for _, change := range c.changes {
		if now.Before(change.at) {
			continue
		}
		delegations = slices.DeleteFunc(delegations, func(parent string) bool { return parent == change.parent })
		if change.gives {
			delegations = append(delegations, change.parent)
		}
	}
	return delegations
}
