package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
	"github.com/helseid-go/sdk/internal/jose"
)

// soon is how long before its end a key is told of: as by helseid.Client.Check.
const soon = 30 * 24 * time.Hour

// checkRegistration asks HelseID Selvbetjening for the client's keys and scopes, if the
// client may.
func checkRegistration(ctx context.Context, s *state) result {
	switch {
	case s.base == nil:
		return skip("%s", s.whyNoToken)
	case !s.maySelvbetjening():
		return skip("the client has no scope %s: look at the key's expiry in %s", selvbetjening.Scope, s.selvbetjeningPage())
	case s.options.selvbetjening == "" && !s.isPublic():
		return skip("-selvbetjening does not name the API of this server")
	}
	api, err := selvbetjening.New(selvbetjening.Config{
		Client: s.client, BaseURL: s.options.selvbetjening, Organization: s.organization, Timeout: s.options.timeout, Retries: -1,
	})
	if err != nil {
		return bad(text(err), "Correct -selvbetjening, or leave it out: production and the test environment have one address each.")
	}
	secrets, err := api.ClientSecrets(ctx)
	if err != nil {
		return s.noRegistration(err)
	}
	s.readPending(ctx, api)
	return s.judgeKey(secrets)
}

// maySelvbetjening reports that the client has the scope, or that the caller says so.
func (s *state) maySelvbetjening() bool {
	return s.options.selvbetjening != "" || slices.Contains(s.base.Scopes, selvbetjening.Scope)
}

func (s *state) isPublic() bool {
	return s.issuerText() == helseid.Production.Issuer() || s.issuerText() == helseid.Test.Issuer()
}

func (s *state) noRegistration(err error) result {
	if refused, ok := errors.AsType[*helseid.TokenError](err); ok && refused.Code == "invalid_scope" {
		return skip("the client has no scope %s: look at the key's expiry in %s", selvbetjening.Scope, s.selvbetjeningPage())
	}
	return bad("HelseID Selvbetjening does not tell the client's keys: "+text(err), "Look at the key's expiry in "+s.selvbetjeningPage()+" yourself. "+
		"If the address is not the right one, correct -selvbetjening.")
}

// readPending notes the scopes that wait for an approval. Without them less is known, and
// nothing is wrong.
func (s *state) readPending(ctx context.Context, api *selvbetjening.Client) {
	status, err := api.ClientStatus(ctx)
	if err != nil {
		return
	}
	s.pending = make(map[string]string)
	for _, scope := range status.Scopes {
		if scope.Status != selvbetjening.StatusOK {
			s.pending[scope.Scope] = string(scope.Status)
		}
	}
}

func (s *state) judgeKey(secrets []selvbetjening.ClientSecret) result {
	key := s.config.Key
	found := slices.IndexFunc(secrets, func(secret selvbetjening.ClientSecret) bool { return isOf(secret, key) })
	renew := "Register a new key before calls fail: helseid key rotate does it, or " + s.selvbetjeningPage() + ". Then put it into " + s.file() + "."
	switch {
	case found < 0 && !slices.ContainsFunc(secrets, func(secret selvbetjening.ClientSecret) bool { return secret.PublicJWK == nil }):
		return bad(fmt.Sprintf("HelseID Selvbetjening does not list the key %s among the client's %d, although HelseID takes it: it has expired or been removed, and will be refused soon", plain(key.ID()), len(secrets)), renew)
	case found < 0:
		return skip("HelseID Selvbetjening does not tell which of the client's %d keys this one is: look at its expiry in %s", len(secrets), s.selvbetjeningPage())
	}
	expiry := secrets[found].Expiration
	left := time.Until(expiry)
	date := expiry.UTC().Format(time.DateOnly)
	switch {
	case expiry.IsZero():
		return good("the key is registered; its expiry is not told")
	case left <= 0:
		return bad("the key "+plain(key.ID())+" has expired, at "+expiry.UTC().Format(time.RFC3339)+": HelseID will refuse it", renew)
	case left <= soon:
		return bad(fmt.Sprintf("the key %s expires in %d days, at %s", plain(key.ID()), int(left/(24*time.Hour)), date), renew)
	}
	return good("the key is registered, until %s", date)
}

// isOf reports that a registered key is the public half of a key. HelseID does not say how
// it makes its thumbprint.
func isOf(secret selvbetjening.ClientSecret, key *clientassertion.Key) bool {
	if secret.PublicJWK != nil {
		if object, err := jose.ParseObject(secret.PublicJWK); err == nil {
			public, err := jose.ParsePublicJWK(object, "")
			return err == nil && public.Thumbprint() == key.Thumbprint()
		}
	}
	return secret.Thumbprint == key.Thumbprint() || secret.KeyID == key.ID()
}
