package helseid_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	request := helseid.TokenRequest{Scopes: []string{testScope}}
	t.Run("nothing is wrong, and what was fetched is kept", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		require.NoError(t, w.client.Check(t.Context(), request, helseid.TokenRequest{Scopes: []string{otherScope}}))
		require.Len(t, w.server.Requests(), 3)
		w.token(t)
		require.NoError(t, w.client.Check(t.Context(), request))
		require.Len(t, w.server.Requests(), 3)
	})
	t.Run("without requests the metadata alone", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		require.NoError(t, w.client.Check(t.Context()))
		require.Len(t, w.server.Requests(), 1)
		require.Zero(t, w.tokenRequests())
	})
	for name, fault := range map[string]helseidtest.Fault{
		"503": {Status: http.StatusServiceUnavailable}, "cut": {Cut: true}, "half": {HalfBody: true}, "silence": {Delay: time.Hour},
	} {
		t.Run("metadata cannot be reached: "+name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{})
				fault.Endpoint, fault.Times = helseidtest.EndpointMetadata, -1
				w.server.Inject(fault)
				err := w.client.Check(t.Context(), request)
				requireError(t, err, helseid.ErrUnavailable)
				require.ErrorContains(t, err, "metadata")
				require.Zero(t, w.tokenRequests())
			})
		})
	}
	t.Run("another server answers", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Body: "<html>", Header: http.Header{"Content-Type": {"text/html"}}})
		err := w.client.Check(t.Context(), request)
		requireError(t, err, helseid.ErrInvalidResponse)
		require.ErrorContains(t, err, "text/html")
	})
	t.Run("another issuer", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Body: metadataDocument(t, w, map[string]any{"issuer": "https://other.example.no"})})
		err := w.client.Check(t.Context(), request)
		requireError(t, err, helseid.ErrIssuerMismatch)
		require.Zero(t, w.tokenRequests())
	})
	t.Run("the key is not known", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{config: func(c *helseid.Config) {
			var err error
			c.Key, err = clientassertion.NewKey(rsa2048(), clientassertion.KeyOptions{})
			require.NoError(t, err)
		}})
		refusal := refusalOf(t, w.client.Check(t.Context(), request), "invalid_client")
		require.Contains(t, refusal.Advice(), "public key is registered")
		require.Zero(t, refusal.ClockDifference)
	})
	t.Run("the client is not known", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{config: func(c *helseid.Config) { c.ClientID = "another" }})
		refusal := refusalOf(t, w.client.Check(t.Context(), request), "invalid_client")
		require.Contains(t, refusal.Advice(), "client id")
	})
	t.Run("a scope is not granted", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		refusal := refusalOf(t, w.client.Check(t.Context(), request, helseid.TokenRequest{Scopes: []string{"nhn:other-api/x"}}), "invalid_scope")
		require.Contains(t, refusal.Advice(), "granted")
	})
	t.Run("a scope is left out", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.server.Inject(helseidtest.Fault{Body: w.tokenAnswer(t, nil)})
		err := w.client.Check(t.Context(), helseid.TokenRequest{Scopes: []string{testScope, otherScope}})
		requireError(t, err, helseid.ErrScopeNotGranted)
		require.ErrorContains(t, err, otherScope)
	})
	t.Run("a request is wrong", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		requireError(t, w.client.Check(t.Context(), helseid.TokenRequest{Scopes: []string{"a b"}}), helseid.ErrConfig)
	})
	for name, test := range map[string]struct {
		skew time.Duration // of HelseID
		off  bool
	}{
		"30 s ahead": {-30 * time.Second, true}, "30 s behind": {30 * time.Second, true},
		"6 s behind": {6 * time.Second, true}, "6 s ahead": {-6 * time.Second, true},
		"4 s ahead": {-4 * time.Second, false}, "4 s behind": {4 * time.Second, false},
	} {
		t.Run("the clock is "+name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{})
				w.server.SetClockSkew(test.skew)
				err := w.client.Check(t.Context())
				if !test.off {
					require.NoError(t, err)
					return
				}
				requireError(t, err, helseid.ErrClock)
				require.ErrorContains(t, err, test.skew.Abs().String())
			})
		})
	}
	t.Run("everything at once", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			w.server.SetClockSkew(6 * time.Second)
			w.server.Inject(helseidtest.Fault{Body: w.tokenAnswer(t, map[string]any{"scope": "x"})})
			w.server.Inject(helseidtest.Fault{Status: http.StatusBadRequest, Body: `{"error":"invalid_target"}`})
			w.server.Inject(helseidtest.Fault{Status: http.StatusServiceUnavailable, Times: -1})
			err := w.client.Check(t.Context(), request, helseid.TokenRequest{Resource: "nhn:x"}, helseid.TokenRequest{Scopes: []string{"a b"}}, helseid.TokenRequest{Resource: "nhn:y"})
			for _, category := range []error{helseid.ErrClock, helseid.ErrScopeNotGranted, helseid.ErrConfig, helseid.ErrUnavailable} {
				requireError(t, err, category)
			}
			requireRefusal(t, err, "invalid_target")
		})
	})
	t.Run("for an organisation of the context", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.become(t, multiTenant(), nil)
		require.NoError(t, w.client.Check(helseid.ForOrganization(t.Context(), parentOrg, ""), request))
		require.Equal(t, "HID-1001", refusalOf(t, w.client.Check(helseid.ForOrganization(t.Context(), "994598759", ""), request), "invalid_request").HID)
	})
}

// Check obeys its context, also while HelseID is silent.
func TestCheckObeysItsContext(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []helseidtest.Endpoint{helseidtest.EndpointMetadata, helseidtest.EndpointToken} {
		t.Run(string(endpoint), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{})
				w.server.Inject(helseidtest.Fault{Endpoint: endpoint, Times: -1, Delay: time.Hour})
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				start := time.Now()
				err := w.client.Check(ctx, helseid.TokenRequest{})
				require.Error(t, err)
				require.Equal(t, 2*time.Second, time.Since(start))
				requireError(t, err, context.DeadlineExceeded)
			})
		})
	}
	t.Run("after Close", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.client.Close()
		requireError(t, w.client.Check(t.Context(), helseid.TokenRequest{}), helseid.ErrClosed)
		require.Empty(t, w.server.Requests())
	})
}

// T101 T102 T104: what is missing is named, all of it, before any traffic.
func TestT101T102T104Configuration(t *testing.T) {
	t.Parallel()
	t.Run("T101 T102 each field that is missing is named", func(t *testing.T) {
		t.Parallel()
		_, err := helseid.New(helseid.Config{})
		require.ErrorIs(t, err, helseid.ErrConfig)
		for _, field := range []string{"Issuer", "ClientID", "Key"} {
			require.ErrorContains(t, err, "field "+field)
		}
		for field, config := range map[string]helseid.Config{
			"Issuer":   {ClientID: "a", Key: testKey(t)},
			"ClientID": {Issuer: helseid.Test.Issuer(), Key: testKey(t)},
			"Key":      {Issuer: helseid.Test.Issuer(), ClientID: "a"},
		} {
			_, err := helseid.New(config)
			require.ErrorIs(t, err, helseid.ErrConfig)
			for _, other := range []string{"Issuer", "ClientID", "Key"} {
				if other == field {
					require.ErrorContains(t, err, "field "+other)
				} else {
					require.NotContains(t, err.Error(), "field "+other)
				}
			}
		}
	})
	t.Run("T101 the least there can be has defaults", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		client := newClient(t, helseid.Config{Issuer: w.config.Issuer, ClientID: w.config.ClientID, Key: w.config.Key, HTTPClient: w.config.HTTPClient})
		_, err := client.Token(t.Context(), helseid.TokenRequest{})
		require.NoError(t, err)
		claims := assertionClaims(t, w.server.Requests(helseidtest.EndpointToken)[0])
		require.Equal(t, 10.0, claims["exp"].(float64)-claims["iat"].(float64))
	})
	t.Run("T102 an environment that is not one", func(t *testing.T) {
		t.Parallel()
		for _, issuer := range []string{"production", "test", "helseid-sts.nhn.no", "http://helseid-sts.nhn.no", "https://"} {
			_, err := helseid.New(helseid.Config{Issuer: issuer, ClientID: "a", Key: testKey(t)})
			require.ErrorIs(t, err, helseid.ErrConfig, issuer)
			require.ErrorContains(t, err, "field Issuer")
		}
	})
	t.Run("T103 the environments share nothing", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, "https://helseid-sts.nhn.no", helseid.Production.Issuer())
		require.Equal(t, "https://helseid-sts.test.nhn.no", helseid.Test.Issuer())
		// A key of the test environment is not known to another: HelseID says so.
		one, other := newWorld(t, worldOptions{}), newWorld(t, worldOptions{})
		other.config.Key = one.config.Key
		refusal := refusalOf(t, newClient(t, other.config).Check(t.Context(), helseid.TokenRequest{}), "invalid_client")
		require.Contains(t, refusal.Advice(), "public key")
	})
	t.Run("T104 long lists of scopes arrive whole", func(t *testing.T) {
		t.Parallel()
		scopes := make([]string, 60)
		for i := range scopes {
			scopes[i] = "nhn:test-api/scope-" + string(organizationNumber(i))
		}
		w := newWorld(t, worldOptions{scopes: scopes})
		token, err := w.client.Token(t.Context(), helseid.TokenRequest{Scopes: scopes})
		require.NoError(t, err)
		require.Len(t, token.Scopes, 60)
	})
}

// One mistake does not hide the next.
func TestCheckErrorsAreJoined(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	err := w.client.Check(t.Context(), helseid.TokenRequest{Scopes: []string{"nhn:x/1"}}, helseid.TokenRequest{Scopes: []string{"nhn:x/2"}})
	var joined interface{ Unwrap() []error }
	require.ErrorAs(t, err, &joined)
	require.Len(t, joined.Unwrap(), 2)
}
