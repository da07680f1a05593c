package selvbetjening

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/jose"
)

// Configuration is what a client can change of its registration. What waits for an
// approval is part of it: left out, it is withdrawn.
type Configuration struct {
	Scopes                 []string
	Claims                 []Claim // about the client, for the APIs that own them
	RedirectURIs           []string
	PostLogoutRedirectURIs []string
	ChildOrganizations     []identity.OrganizationNumber
}

// Claim is a claim about the client that an API asks for, such as
// nhn:some-api/client/claims/some-id.
type Claim struct {
	Type, Value string
}

// Update changes the client's registration (PUT /v1/client). It reads how the client is
// registered, lets change alter that, and sends the whole: HelseID replaces everything
// by what it gets, and a list that is missing or null empties what was there. Members
// that this library does not know are sent back as they came. A change that alters
// nothing is not sent.
//
// Two updates of one Client take turns, and change must not start another. Between
// processes the last one wins, since the API knows no condition for a change.
//
// What change adds is checked, and [Scope] cannot be removed: without it the client
// could neither put it back nor renew its keys. Such an error wraps [helseid.ErrConfig],
// and an error of change's comes back wrapped; neither has changed anything. Nor has one
// of the read before, whose errors are those of [Client.ClientSecrets]; so is an answer in
// which a list is missing, of which it cannot be told what the client would lose. Of the
// errors of the PUT, one that wraps [helseid.ErrNoToken] and an [*Error] that does not wrap
// [helseid.ErrUnavailable] have not changed anything, and others may have. The request is not sent again.
func (c *Client) Update(ctx context.Context, change func(*Configuration) error) error {
	if change == nil {
		return fmt.Errorf("selvbetjening: %w: there is no change", helseid.ErrConfig)
	}
	select {
	case c.updating <- struct{}{}:
		defer func() { <-c.updating }()
	case <-ctx.Done():
		return fmt.Errorf("selvbetjening: wait for another update: %w", ctx.Err())
	}
	found, err := c.registration(ctx)
	if err != nil {
		return err
	}
	before, err := found.configuration()
	if err != nil {
		return named(http.MethodGet, pathClient, err)
	}
	after := before.clone()
	if err := change(&after); err != nil {
		return fmt.Errorf("selvbetjening: the change: %w", err)
	}
	if after.equal(before) {
		return nil
	}
	if err := after.check(before, c.config.Client.Issuer() == helseid.Production.Issuer()); err != nil {
		return fmt.Errorf("selvbetjening: %w: the change: %w", helseid.ErrConfig, err)
	}
	body, err := after.in(found.document)
	if err != nil {
		return err
	}
	_, err = c.send(ctx, http.MethodPut, pathClient, body)
	return err
}

// configuration is the registration as it must be sent for everything to stay as it is.
func (r registration) configuration() (Configuration, error) {
	for _, name := range members {
		if !r.document.Has(name) {
			return Configuration{}, unusable(fmt.Errorf("there is no %s: an update would empty it", name))
		}
	}
	configuration := Configuration{
		RedirectURIs:           r.status.RedirectURIs,
		PostLogoutRedirectURIs: r.status.PostLogoutRedirectURIs,
		ChildOrganizations:     r.status.ChildOrganizations,
	}
	for _, scope := range r.status.Scopes {
		if scope.Scope == "" {
			return Configuration{}, unusable(errors.New("a scope has no name"))
		}
		configuration.Scopes = append(configuration.Scopes, scope.Scope)
	}
	for _, claim := range r.status.Claims {
		value := claim.Pending // what has been asked for last
		if value == "" {
			value = claim.Active
		}
		if claim.Type == "" || value == "" {
			return Configuration{}, unusable(errors.New("a claim has no name or no value: an update would lose it"))
		}
		configuration.Claims = append(configuration.Claims, Claim{claim.Type, value})
	}
	return configuration, nil
}

func (c Configuration) clone() Configuration {
	return Configuration{
		Scopes:                 slices.Clone(c.Scopes),
		Claims:                 slices.Clone(c.Claims),
		RedirectURIs:           slices.Clone(c.RedirectURIs),
		PostLogoutRedirectURIs: slices.Clone(c.PostLogoutRedirectURIs),
		ChildOrganizations:     slices.Clone(c.ChildOrganizations),
	}
}

func (c Configuration) equal(other Configuration) bool {
	return slices.Equal(c.Scopes, other.Scopes) && slices.Equal(c.Claims, other.Claims) &&
		slices.Equal(c.RedirectURIs, other.RedirectURIs) && slices.Equal(c.PostLogoutRedirectURIs, other.PostLogoutRedirectURIs) &&
		slices.Equal(c.ChildOrganizations, other.ChildOrganizations)
}

// in is the document with this configuration in it, in the form of PUT /v1/client.
func (c Configuration) in(document jose.Object) ([]byte, error) {
	type claim struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	claims := make([]claim, 0, len(c.Claims))
	for _, one := range c.Claims {
		claims = append(claims, claim{one.Type, one.Value})
	}
	known := map[string]any{
		memberScopes:     orEmpty(c.Scopes),
		memberClaims:     claims,
		memberRedirects:  orEmpty(c.RedirectURIs),
		memberPostLogout: orEmpty(c.PostLogoutRedirectURIs),
		memberChildren:   orEmpty(c.ChildOrganizations),
	}
	var out jose.ObjectBuilder
	for _, name := range document.Names() {
		raw := document.Get(name).Raw()
		if value, ok := known[name]; ok {
			encoded, err := json.Marshal(value)
			if err != nil {
				return nil, fmt.Errorf("selvbetjening: the change: %w", err)
			}
			raw = string(encoded)
		}
		out.Raw(name, raw)
	}
	return out.Bytes(), nil
}

// orEmpty is the list, and never null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
