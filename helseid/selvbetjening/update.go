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

// Configuration is what a client can change of its registration. It includes what waits
// for an approval: to leave that out is to withdraw it.
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

// Update changes the client's registration (PUT /v1/client). HelseID replaces the whole
// registration by what it receives, and a list that is missing or null becomes empty. So
// Update reads the registration, calls change to alter it, and sends all of it. Members
// that this library does not know are sent as they were received. If change alters
// nothing, nothing is sent.
//
// Updates of one Client run one at a time, and change must not start another. If two
// processes update at the same time, the last one wins: the API has no conditional
// update.
//
// What change adds is checked, and [Scope] cannot be removed: without it the client could
// neither restore it nor renew its keys. Such an error wraps [helseid.ErrConfig]. An error
// of change is returned wrapped. The errors of the read are those of
// [Client.ClientSecrets]; an answer in which a list is missing is one of them, because the
// update would empty that list. After all these errors nothing has been changed.
//
// If the PUT fails, nothing has been changed if the error wraps [helseid.ErrNoToken], or
// wraps an [*Error] and not [helseid.ErrUnavailable]. After any other error the change may
// have been made. The request is not sent again.
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
