package helseidtest

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/selvbetjening"
)

// The scope and the key of HelseID Selvbetjening's API.
const (
	// SelvbetjeningScope is the scope that a client needs for the API, in its Scopes.
	SelvbetjeningScope = "nhn:selvbetjening/client"

	// DraftAPIKey is the required value of the header api-key for making client drafts.
	DraftAPIKey = "helseidtest-api-key"
)

// defaultKeyLifetime is this server's choice. HelseID does not publish its own.
const defaultKeyLifetime = 365 * 24 * time.Hour

// Selvbetjening is an [Option] that adds the API of HelseID Selvbetjening at
// [Server.SelvbetjeningURL]: a client's keys, its configuration, the delegations to it,
// and client drafts. The API accepts only tokens of this server with
// [SelvbetjeningScope], and requires proofs. With this option, clients' keys expire.
//
// Source: Norsk helsenett, Selvbetjening, Client API. It does not publish the format of
// a delegation in the response: here it is an object with the parent's
// organizationNumber.
type Selvbetjening struct {
	// KeyLifetime is the lifetime of a client's key from its registration. Zero means
	// 365 days.
	KeyLifetime time.Duration

	// KeyDelay is the delay after which a key that is registered through the API works;
	// HelseID's caches cause a delay of 10 to 20 seconds. Zero means no delay.
	KeyDelay time.Duration

	// OldKeysDie makes the keys that a client has stop working when it registers another
	// through the API. Otherwise they work until they expire. HelseID does not publish
	// which of the two it does.
	OldKeysDie bool

	// ManualApproval makes scopes and claims that a client requests wait for
	// [Server.Approve]. Otherwise they are granted at once.
	ManualApproval bool
}

func (s Selvbetjening) apply(o *options) {
	s.KeyLifetime = cmp.Or(s.KeyLifetime, defaultKeyLifetime)
	o.selvbetjening = &s
}

// SelvbetjeningURL returns the base URL of Selvbetjening's API, to which the paths of
// HelseID's documentation, such as /v1/client, are appended. It is empty without the
// option [Selvbetjening].
func (s *Server) SelvbetjeningURL() string {
	if s.options.selvbetjening == nil {
		return ""
	}
	return s.issuer + selvbetjening.Path
}

// Approve grants the scopes and claims that a client waits for, on behalf of the APIs'
// owners.
func (s *Server) Approve(clientID string) error {
	if !(registry{s}).ChangeClient(clientID, (*selvbetjening.Client).Approve) {
		return errUnknownClient
	}
	return nil
}

// startSelvbetjening makes the API if the option is given. It reads the server's keys
// without a request, so that faults do not affect it and nothing is recorded.
func (s *Server) startSelvbetjening() (err error) {
	if options := s.options.selvbetjening; options != nil {
		s.self, err = selvbetjening.New(selvbetjening.Config{
			Options: selvbetjening.Options(*options), Issuer: s.issuer, Keys: &http.Client{Transport: ownKeys{s}}, Registry: registry{s},
			Scope: SelvbetjeningScope, DraftAPIKey: DraftAPIKey,
		})
	}
	return err
}

// ownKeys serves the server's metadata and keys to the server itself.
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

// keyExpiry returns the expiry of a key that is registered now.
func (s *Server) keyExpiry() time.Time {
	if s.options.selvbetjening == nil {
		return time.Time{}
	}
	return s.Now().Add(s.options.selvbetjening.KeyLifetime)
}

// registry gives Selvbetjening access to the server's clients.
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

// shown returns what Selvbetjening shows and changes of a client.
func (c *Client) shown() selvbetjening.Client {
	return selvbetjening.Client{
		ID: c.ID, Scopes: c.Scopes, RedirectURIs: c.RedirectURIs, PostLogoutRedirectURIs: c.PostLogoutRedirectURIs,
		ChildOrganizations: c.ChildOrganizations, Claims: c.AudienceClaims, Keys: c.keys,
		PendingScopes: c.pendingScopes, PendingClaims: c.pendingClaims,
	}
}

// become applies the changes that Selvbetjening has made.
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
