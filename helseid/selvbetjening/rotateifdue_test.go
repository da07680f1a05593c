package selvbetjening_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
	"github.com/helseid-go/sdk/internal/testkit"
)

// A job that runs each night replaces a key once, shortly before it expires.
func TestRotateIfDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newRotationWorld(t, helseidtest.Selvbetjening{KeyLifetime: 90 * 24 * time.Hour})
		before := w.stored(t).Current.ID()
		night := func() string {
			r := w.rotation(t, func(config *selvbetjening.RotationConfig) { config.Before = 30 * 24 * time.Hour })
			defer r.Close()
			require.NoError(t, r.RotateIfDue(t.Context()))
			kid, expiry := r.Client().KeyExpiry(t.Context())
			require.Greater(t, time.Until(expiry), 28*24*time.Hour)
			return kid
		}
		replaced := map[string]int{} // kid to the first night
		for n := range 100 {
			if kid := night(); kid != before && replaced[kid] == 0 {
				replaced[kid] = n
			}
			testkit.Sleep(24 * time.Hour)
		}
		require.Len(t, replaced, 1, w.log.String())
		require.InDelta(t, 58, replaced[w.stored(t).Current.ID()], 3)
		require.Equal(t, 2, w.registered())
	})
}

// What an earlier run has begun is finished, however far the expiry is.
func TestRotateIfDueFinishes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newRotationWorld(t, helseidtest.Selvbetjening{})
		stored := w.stored(t)
		stored.Pending, stored.PendingSince = testkit.Must(clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})), time.Now()
		testkit.Must(w.store.Save(t.Context(), stored))
		require.NoError(t, w.rotation(t).RotateIfDue(t.Context()))
		require.Equal(t, stored.Pending.ID(), w.stored(t).Current.ID())
	})
}

// A key whose expiry is not known would never be replaced.
func TestRotateIfDueOfAnUnknownExpiry(t *testing.T) {
	t.Parallel()
	fake := newFakeAPI(t, answering(http.StatusOK, `[]`))
	server := helseidtest.NewServer(t)
	r, err := selvbetjening.NewRotation(t.Context(), selvbetjening.RotationConfig{
		Client: server.NewClient(helseidtest.Scopes(selvbetjening.Scope)),
		Store:  memoryKeys{}, Selvbetjening: selvbetjening.Config{BaseURL: fake.url},
	})
	require.NoError(t, err)
	defer r.Close()
	err = r.RotateIfDue(t.Context())
	require.ErrorIs(t, err, selvbetjening.ErrRotation)
	require.ErrorContains(t, err, "does not tell when the key")
	r.Close()
	require.ErrorIs(t, r.RotateIfDue(t.Context()), selvbetjening.ErrRotation)
}

// memoryKeys has saved nothing.
type memoryKeys struct{}

func (memoryKeys) Load(context.Context) (keys selvbetjening.StoredKeys, err error) { return keys, nil }

func (memoryKeys) Save(context.Context, selvbetjening.StoredKeys) (string, error) { return "1", nil }

// A caller that has too little time for a new key is told so, and not that HelseID is slow.
func TestRotationWithTooLittleTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newRotationWorld(t, helseidtest.Selvbetjening{})
		r := w.rotation(t, func(config *selvbetjening.RotationConfig) { config.Settle = time.Minute })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := r.Rotate(ctx)
		require.ErrorIs(t, err, selvbetjening.ErrRotation)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "the caller's context has ended: a new key waits 1m0s (Settle) and is then tried for up to 2m0s (VerifyTimeout)")
		require.NotContains(t, err.Error(), "HelseID is down")
		require.NoError(t, r.Rotate(t.Context()), "the next call finishes what was begun")
		require.Equal(t, 2, w.registered())
	})
}

// A multi-tenant client names an organisation for its own registration if it is told one,
// and none otherwise.
func TestOrganizationOfSelvbetjening(t *testing.T) {
	t.Parallel()
	const customer = "910000004"
	for name, test := range map[string]struct {
		registration helseidtest.ClientOption
		organization string
		refusal      string
	}{
		"a server that wants none":    {helseidtest.Scopes(selvbetjening.Scope), "", ""},
		"a server that wants one":     {helseidtest.Delegations(customer), "", "HID-1007"},
		"the customer":                {helseidtest.Delegations(customer), customer, ""},
		"one that has not delegated":  {helseidtest.Delegations(customer), "994598759", "HID-1001"},
		"one named to who takes none": {helseidtest.Scopes(selvbetjening.Scope), customer, "HID-1005"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := helseidtest.NewServer(t, helseidtest.Selvbetjening{}, helseidtest.InMemory())
			config := server.NewClient(helseidtest.Scopes(selvbetjening.Scope), test.registration)
			config.Tenancy = identity.MultiTenant
			client, err := helseid.New(config)
			require.NoError(t, err)
			defer client.Close()
			self, err := selvbetjening.New(selvbetjening.Config{
				Client: client, BaseURL: server.SelvbetjeningURL(), Retries: -1,
				Organization: clientassertion.Organization{Parent: identity.OrganizationNumber(test.organization)},
			})
			require.NoError(t, err)
			secrets, err := self.ClientSecrets(helseid.ForOrganization(t.Context(), customer, "")) // which is for other calls
			if test.refusal == "" {
				require.NoError(t, err)
				require.Len(t, secrets, 1)
				return
			}
			var refused *helseid.TokenError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, test.refusal, refused.HID)
			if test.refusal == "HID-1007" {
				require.ErrorContains(t, err, "selvbetjening.Config.Organization")
			}
		})
	}
}
