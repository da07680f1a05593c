package helseidtest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/clientkey"
	"github.com/helseid-go/sdk/internal/orgnr"
)

// Client is the registration of a client.
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

	// GrantTypes are the grant types that the client may use. Empty means
	// client_credentials, with RedirectURIs also authorization_code and refresh_token,
	// and with APIs also token exchange.
	GrantTypes []string

	// ParentOrganization is the legal entity that the client belongs to. For a
	// multi-tenant client it is the supplier.
	ParentOrganization string

	// MultiTenant makes it a multi-tenant client, which serves the organisations that
	// have delegated to it (Delegations). As a system it must name one of them in each
	// request. For a user it may name none, and the token is then for no organisation.
	MultiTenant bool
	Delegations []string

	// ChildOrganizations are the sub-units that a single-tenant client may name. A
	// multi-tenant client may name any, unless this list is set (HID-1003): HelseID has
	// such lists but advises against them.
	ChildOrganizations []string

	// AllowBearer issues bearer tokens for token requests without a proof. Otherwise
	// such requests are refused.
	AllowBearer bool

	// UnsignedTerms lists, by parent organisation, scopes whose terms the organisation
	// has not signed. A token for it is issued without these scopes (rejected_scope).
	UnsignedTerms map[string][]string

	// RedirectURIs are the permitted redirect URIs of logins. The port of
	// http://localhost and http://127.0.0.1 is ignored.
	RedirectURIs []string

	// PostLogoutRedirectURIs are the permitted redirect URIs of logouts.
	PostLogoutRedirectURIs []string

	// BackChannelLogoutURI receives a logout token when a session that the client has
	// logged in to ends. The browser calls FrontChannelLogoutURI then.
	BackChannelLogoutURI, FrontChannelLogoutURI string

	// APIs are the audiences of which the client is the API. It may exchange tokens
	// that are for one of them.
	APIs []string

	// Actors are the IDs of the clients that may exchange tokens of this client.
	Actors []string

	// AudienceClaims are claims about the client that owners of APIs have defined and
	// approved, such as nhn:some-api/client/claims/some-id. Each is in the tokens for
	// its API.
	AudienceClaims map[string]string

	keys    []clientkey.Key
	changes []delegationChange // by Delegate and RevokeDelegation

	pendingScopes []string // waiting for Approve
	pendingClaims map[string]string
}

// AddClient registers a client, or replaces the registration with the same ID.
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

// usualGrantTypes returns the grant types that a client of its kind needs.
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

// Clients returns the registrations, sorted by name and ID.
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

// RemoveClient removes a registration. The client's tokens can no longer be used.
func (s *Server) RemoveClient(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, id)
}

var errUnknownClient = errors.New("helseidtest: no client has this id")

// changeClient replaces a registration by a changed copy, so that requests in progress
// keep the registration with which they began.
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
