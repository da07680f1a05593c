package helseidtest

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/selvbetjening"
)

// What HelseID Selvbetjening's API goes by.
const (
	// SelvbetjeningScope is the scope that a client needs for it, among its
	// Scopes.
	SelvbetjeningScope = "nhn:selvbetjening/client"

	// DraftAPIKey is what the header api-key must be to make client drafts.
	DraftAPIKey = "helseidtest-api-key"
)

// defaultKeyLifetime is this server's. HelseID does not publish its own.
const defaultKeyLifetime = 365 * 24 * time.Hour

// Selvbetjening is an Option that mounts the API of HelseID Selvbetjening at
// [Server.SelvbetjeningURL]: a client's keys, its configuration, the delegations to
// it, and client drafts. It takes tokens of this server with SelvbetjeningScope
// and proofs, and nothing else. With it, clients' keys expire.
//
// Source: Norsk helsenett, Selvbetjening, Client API. It does not publish the
// shape of a delegation in the answer: here it is an object with the parent's
// organizationNumber.
type Selvbetjening struct {
	// KeyLifetime is how long a client's key lives from its registration. Zero
	// means 365 days.
	KeyLifetime time.Duration

	// KeyDelay makes a key that is registered through the API work only after a
	// while, as HelseID's caches do: 10 to 20 seconds. Zero means at once.
	KeyDelay time.Duration

	// ManualApproval makes scopes and claims that a client asks for wait for
	// Server.Approve. Otherwise they are granted at once.
	ManualApproval bool
}

func (s Selvbetjening) apply(o *options) {
	s.KeyLifetime = cmp.Or(s.KeyLifetime, defaultKeyLifetime)
	o.selvbetjening = &s
}

// SelvbetjeningURL is the base URL of Selvbetjening's API, which the paths of
// HelseID's documentation, such as /v1/client, follow. It is empty without the
// option Selvbetjening.
func (s *Server) SelvbetjeningURL() string {
	if s.options.selvbetjening == nil {
		return ""
	}
	return s.issuer + selvbetjening.Path
}

// Approve grants what a client waits for, in place of the APIs' owners.
func (s *Server) Approve(clientID string) error {
	if !(registry{s}).ChangeClient(clientID, (*selvbetjening.Client).Approve) {
		return errUnknownClient
	}
	return nil
}

// startSelvbetjening makes the API, if there shall be one. It reads the server's
// keys without a request, so that neither faults nor records have to do with it.
func (s *Server) startSelvbetjening() (err error) {
	if options := s.options.selvbetjening; options != nil {
		s.self, err = selvbetjening.New(selvbetjening.Config{
			Options: selvbetjening.Options(*options), Issuer: s.issuer, Keys: &http.Client{Transport: ownKeys{s}}, Registry: registry{s},
			Scope: SelvbetjeningScope, DraftAPIKey: DraftAPIKey,
		})
	}
	return err
}

// ownKeys answers the server's metadata and keys to itself.
type ownKeys struct{ server *Server }

// RoundTrip implements http.RoundTripper.
func (o ownKeys) RoundTrip(request *http.Request) (*http.Response, error) {
	handlers := map[Endpoint]http.HandlerFunc{EndpointMetadata: o.server.serveMetadata, EndpointJWKS: o.server.serveJWKS}
	for endpoint, handler := range handlers {
		if request.URL.Path == o.server.base+string(endpoint) {
			return serveInMemory(handler, request)
		}
	}
	return nil, errors.New("helseidtest: the server asks itself for its keys only")
}

// keyExpiry is when a key that is registered now expires.
func (s *Server) keyExpiry() time.Time {
	if s.options.selvbetjening == nil {
		return time.Time{}
	}
	return s.Now().Add(s.options.selvbetjening.KeyLifetime)
}

// registry gives Selvbetjening the server's clients.
type registry struct{ *Server }

// Client implements selvbetjening.Registry.
func (r registry) Client(id string) (selvbetjening.Client, bool) {
	client := r.client(id)
	if client == nil {
		return selvbetjening.Client{}, false
	}
	shown := client.shown()
	shown.Delegations = client.delegationsAt(r.Now())
	return shown, true
}

// ChangeClient implements selvbetjening.Registry.
func (r registry) ChangeClient(id string, change func(*selvbetjening.Client)) bool {
	return r.changeClient(id, func(client *Client) {
		changed := client.shown()
		change(&changed)
		client.become(changed)
	}) == nil
}

// AddClient implements selvbetjening.Registry.
func (r registry) AddClient(draft selvbetjening.Draft) {
	client := Client{ID: draft.Client.ID, Name: "client draft", ParentOrganization: draft.Organization}
	client.become(draft.Client)
	client.GrantTypes = client.usualGrantTypes()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clients[client.ID] = &client
}

// shown is what Selvbetjening shows and changes of a client.
func (c *Client) shown() selvbetjening.Client {
	return selvbetjening.Client{
		ID: c.ID, Scopes: c.Scopes, RedirectURIs: c.RedirectURIs, PostLogoutRedirectURIs: c.PostLogoutRedirectURIs,
		ChildOrganizations: c.ChildOrganizations, Claims: c.AudienceClaims, Keys: c.keys,
		PendingScopes: c.pendingScopes, PendingClaims: c.pendingClaims,
	}
}

// become takes over what Selvbetjening has changed.
func (c *Client) become(changed selvbetjening.Client) {
	c.Scopes, c.RedirectURIs, c.PostLogoutRedirectURIs = changed.Scopes, changed.RedirectURIs, changed.PostLogoutRedirectURIs
	c.ChildOrganizations, c.AudienceClaims = changed.ChildOrganizations, changed.Claims
	c.pendingScopes, c.pendingClaims = changed.PendingScopes, changed.PendingClaims
	c.keys = changed.Keys
	c.PublicJWKs = nil
	for _, key := range changed.Keys {
		c.PublicJWKs = append(c.PublicJWKs, key.JWK)
	}
}
