package helseidtest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/clientkey"
	"github.com/helseid-go/sdk/internal/orgnr"
)

// Client is a client's registration.
type Client struct {
	// ID is the client id. Required.
	ID string

	// Name is the claim helseid://claims/client/client_name.
	Name string

	// PublicJWKs are the client's registered keys, each with the one algorithm
	// of its alg (or PS256 or the curve's own). At least one is required.
	PublicJWKs [][]byte

	// Scopes are the API scopes that the client has been granted.
	Scopes []string

	// GrantTypes that the client may use. Empty means client_credentials, with
	// RedirectURIs also authorization_code and refresh_token, and with APIs also
	// token exchange.
	GrantTypes []string

	// ParentOrganization is the legal entity that the client belongs to: the
	// supplier, for a multi-tenant client.
	ParentOrganization string

	// MultiTenant makes the client one that serves organisations which have
	// delegated to it: Delegations. As a system it must name one of them in each
	// request; the token of a user for whom it names none is for no organisation.
	MultiTenant bool
	Delegations []string

	// ChildOrganizations are the sub-units that a single-tenant client may name.
	// A multi-tenant client may name any, unless there are some here (HID-1003):
	// HelseID has such lists, but they should not be used.
	ChildOrganizations []string

	// AllowBearer gives the client bearer tokens for token requests without a
	// proof. Otherwise they are refused.
	AllowBearer bool

	// UnsignedTerms names, by parent organisation, scopes whose terms it has not
	// signed. A token for it is granted without them (rejected_scope).
	UnsignedTerms map[string][]string

	// RedirectURIs are where logins may end. The port of http://localhost and
	// http://127.0.0.1 does not matter.
	RedirectURIs []string

	// PostLogoutRedirectURIs are where logouts may end.
	PostLogoutRedirectURIs []string

	// BackChannelLogoutURI gets a logout token when a session that the client
	// has logged in with ends, and FrontChannelLogoutURI is called by the
	// browser.
	BackChannelLogoutURI, FrontChannelLogoutURI string

	// APIs are the audiences that the client is the API of. It may exchange
	// tokens that are for one of them.
	APIs []string

	// Actors are the ids of the clients that may exchange tokens of this one.
	Actors []string

	// AudienceClaims are claims about the client that APIs' owners have defined
	// and approved, such as nhn:some-api/client/claims/some-id. Each is in tokens
	// for its API.
	AudienceClaims map[string]string

	keys    []clientkey.Key
	changes []delegationChange // by Delegate and RevokeDelegation

	pendingScopes []string // which wait for Approve
	pendingClaims map[string]string
}

// AddClient registers a client, or replaces the registration of its id.
func (s *Server) AddClient(client Client) error {
	if client.ID == "" || len(client.PublicJWKs) == 0 {
		return fmt.Errorf("helseidtest: a client needs an ID and a public key")
	}
	for i, number := range client.Delegations {
		if !orgnr.IsNumber(number) {
			return fmt.Errorf("helseidtest: Delegations[%d], %q, is not an organisation number of nine digits", i, number)
		}
	}
	if len(client.GrantTypes) == 0 {
		client.GrantTypes = client.usualGrantTypes()
	}
	client.keys = nil
	for i, data := range client.PublicJWKs {
		key, err := clientkey.Parse(data)
		if err != nil {
			return fmt.Errorf("helseidtest: PublicJWKs[%d]: %w", i, err)
		}
		key.Origin, key.Until = clientkey.FromGUI, s.keyExpiry()
		client.keys = append(client.keys, key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[client.ID] = &client
	return nil
}

// usualGrantTypes are those that a client of its kind needs.
func (c *Client) usualGrantTypes() []string {
	grants := []string{grantClientCredentials}
	if len(c.RedirectURIs) > 0 {
		grants = append(grants, grantCode, grantRefresh)
	}
	if len(c.APIs) > 0 {
		grants = append(grants, grantExchange)
	}
	return grants
}

// Clients returns the registrations, by name and id.
func (s *Server) Clients() []Client {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	clients := make([]Client, 0, len(s.clients))
	for _, registered := range s.clients {
		client := *registered
		client.Delegations, client.changes = client.delegationsAt(now), nil
		clients = append(clients, client)
	}
	slices.SortFunc(clients, func(a, b Client) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return clients
}

// RemoveClient takes a registration back. What the client holds cannot be used
// any more.
func (s *Server) RemoveClient(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, id)
}

var errUnknownClient = errors.New("helseidtest: no client has this id")

// changeClient replaces a registration by a changed copy, so that requests that
// are being answered keep the one that they began with.
func (s *Server) changeClient(id string, change func(*Client)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, registered := s.clients[id]
	if !registered {
		return errUnknownClient
	}
	client := *before
	change(&client)
	s.clients[id] = &client
	return nil
}

func (s *Server) client(id string) *Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clients[id]
}
