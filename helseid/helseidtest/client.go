package helseidtest

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"testing"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/jose"
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

	keys    []registeredKey
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
		key, err := newRegisteredKey(data)
		if err != nil {
			return fmt.Errorf("helseidtest: PublicJWKs[%d]: %w", i, err)
		}
		key.origin, key.until = "Gui", s.keyExpiry()
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

// NewClient registers a client with a fresh EC key and returns the
// configuration for it: pass it to helseid.New.
func (s *Server) NewClient(scopes ...string) (helseid.Config, error) {
	return s.NewClientFor(Client{Scopes: scopes})
}

// NewClientFor does the same for a registration of the caller's. Its ID, Name and
// ParentOrganization are filled in if they are empty, and the new key is added to
// PublicJWKs. The configuration of a multi-tenant client says so (Config.Tenancy).
func (s *Server) NewClientFor(client Client) (helseid.Config, error) {
	key, err := jose.GenerateKey()
	if err != nil {
		return helseid.Config{}, fmt.Errorf("helseidtest: %w", err)
	}
	return s.register(key.Signer(), clientassertion.KeyOptions{}, client)
}

// NewClientWithKey does the same with a key of the caller's.
func (s *Server) NewClientWithKey(signer crypto.Signer, options clientassertion.KeyOptions, scopes ...string) (helseid.Config, error) {
	return s.register(signer, options, Client{Scopes: scopes})
}

// NewMultiTenantClient registers a multi-tenant client with a fresh EC key, to
// which the given organisations have delegated.
func (s *Server) NewMultiTenantClient(delegations []string, scopes ...string) (helseid.Config, error) {
	return s.NewClientFor(Client{Scopes: scopes, MultiTenant: true, Delegations: delegations})
}

// register completes a registration with a key and an id.
func (s *Server) register(signer crypto.Signer, options clientassertion.KeyOptions, client Client) (helseid.Config, error) {
	key, err := clientassertion.NewKey(signer, options)
	if err != nil {
		return helseid.Config{}, fmt.Errorf("helseidtest: %w", err)
	}
	client.ID = cmp.Or(client.ID, newUUID())
	client.Name = cmp.Or(client.Name, "helseidtest client")
	client.PublicJWKs = append(client.PublicJWKs, key.PublicJWK())
	owner := DefaultParentOrganization
	if client.MultiTenant {
		owner = DefaultSupplier
	}
	client.ParentOrganization = cmp.Or(client.ParentOrganization, owner)
	if err := s.AddClient(client); err != nil {
		return helseid.Config{}, err
	}
	registered := s.client(client.ID)
	var tenancy clientassertion.Tenancy
	if client.MultiTenant {
		tenancy = clientassertion.MultiTenant
	}
	return helseid.Config{
		Issuer: s.Issuer(), ClientID: client.ID, Key: key, HTTPClient: s.HTTPClient(), Tenancy: tenancy,
		Registered: helseid.Registration{
			ClientName:             registered.Name,
			GrantTypes:             registered.GrantTypes,
			Scopes:                 registered.Scopes,
			RedirectURIs:           registered.RedirectURIs,
			PostLogoutRedirectURIs: registered.PostLogoutRedirectURIs,
		},
	}, nil
}

// NewLoginClient registers a client that logs users in and sends them back to
// redirectURI, with a fresh EC key. After a logout they may be sent to the root
// of the same host. It may ask for the API scopes given, for all identity scopes
// and for offline_access, and for tokens of its own as a system.
func (s *Server) NewLoginClient(redirectURI string, scopes ...string) (helseid.Config, error) {
	target, err := url.Parse(redirectURI)
	if err != nil || target.Scheme == "" || target.Host == "" {
		return helseid.Config{}, errors.New("helseidtest: the redirect URI is not an absolute URL")
	}
	return s.NewClientFor(Client{
		Scopes:                 scopes,
		RedirectURIs:           []string{redirectURI},
		PostLogoutRedirectURIs: []string{target.Scheme + "://" + target.Host + "/"},
	})
}

// ClientConfig is NewClient for tests.
func (s *Server) ClientConfig(t testing.TB, scopes ...string) helseid.Config {
	t.Helper()
	config, err := s.NewClient(scopes...)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// ConfigFile registers a client with a fresh EC key and returns its
// configuration in the form that HelseID Selvbetjening hands out: write it to a
// file for helseid.LoadConfig.
func (s *Server) ConfigFile(scopes ...string) ([]byte, error) {
	return s.ConfigFileFor(Client{Scopes: scopes})
}

// ConfigFileFor does the same for a registration of the caller's. Its ID, Name
// and ParentOrganization are filled in if they are empty, and the new key is
// added to PublicJWKs.
func (s *Server) ConfigFileFor(client Client) ([]byte, error) {
	key, err := jose.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("helseidtest: %w", err)
	}
	config, err := s.register(key.Signer(), clientassertion.KeyOptions{}, client)
	if err != nil {
		return nil, err
	}
	jwk, err := key.MarshalPrivateJWK()
	if err != nil {
		return nil, fmt.Errorf("helseidtest: %w", err)
	}
	file := map[string]any{
		"clientName": config.Registered.ClientName,
		"authority":  s.Issuer(),
		"clientId":   config.ClientID,
		"grantTypes": config.Registered.GrantTypes,
		"scopes":     client.Scopes,
		"secretType": "private_key_jwt:RsaPrivateKeyJwtSecret",
		"privateJwk": string(jwk),
	}
	if slices.Contains(config.Registered.GrantTypes, grantCode) {
		file["redirectUris"] = client.RedirectURIs
		file["postLogoutRedirectUris"] = client.PostLogoutRedirectURIs
		file["pkceRequired"] = true
	}
	return json.MarshalIndent(file, "", "  ")
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

// changeClient replaces a registration by a changed copy, so that requests that
// are being answered keep the one that they began with.
func (s *Server) changeClient(id string, change func(*Client)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, registered := s.clients[id]
	if !registered {
		return errors.New("helseidtest: no client has this id")
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

// newUUID returns a random UUID (version 4), as HelseID's client ids are.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
