package oteltest_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/helseid/otelhelseid"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
)

const (
	timeLeft = "helseid.client.key.time_left"
	day      = 24 * time.Hour
	unknown  = time.Duration(0)
)

// requireTimeLeft requires what the gauge says about a client's key: unknown is no series.
func (c *collector) requireTimeLeft(clientID string, want time.Duration) {
	c.t.Helper()
	var found []point
	for _, made := range c.metrics() {
		if made.Name == timeLeft {
			found = pointsOf(c.t, made)
		}
	}
	for _, point := range found {
		if has(point.attributes.ToSlice(), "helseid.client.id="+clientID) {
			require.NotEqual(c.t, unknown, want, "%v days are left of a key whose expiry is not known", point.value/day.Seconds())
			require.InDelta(c.t, want.Seconds(), point.value, 300)
			return
		}
	}
	require.Equal(c.t, want, unknown, "the gauge is missing")
}

// keyHolder is a HelseID that tells when keys expire, and a client of it.
type keyHolder struct {
	*collector
	server    *helseidtest.Server
	telemetry *otelhelseid.Telemetry
	config    helseid.Config
}

func newKeyHolder(t *testing.T, lifetime time.Duration) *keyHolder {
	t.Helper()
	h := &keyHolder{collector: newCollector(t)}
	h.server = helseidtest.NewServer(t, helseidtest.Selvbetjening{KeyLifetime: lifetime}, helseidtest.Relaxed(rule.Nonce), helseidtest.InMemory())
	h.telemetry = h.collector.telemetry()
	h.config = h.server.NewClient(helseidtest.Scopes(selvbetjening.Scope, read))
	return h
}

func (h *keyHolder) client(config helseid.Config) *helseid.Client {
	h.t.Helper()
	client, err := helseid.New(h.telemetry.Client(config))
	require.NoError(h.t, err)
	h.t.Cleanup(client.Close)
	return client
}

func (h *keyHolder) selvbetjening(client *helseid.Client) *selvbetjening.Client {
	h.t.Helper()
	self, err := selvbetjening.New(selvbetjening.Config{Client: client, BaseURL: h.server.SelvbetjeningURL()})
	require.NoError(h.t, err)
	return self
}

// request makes a token request, which the client signs with its key.
func (h *keyHolder) request(client *helseid.Client) {
	h.t.Helper()
	request := helseid.TokenRequest{Scopes: []string{read}}
	client.TokenSource(request).Forget(h.t.Context())
	_, err := client.Token(h.t.Context(), request)
	require.NoError(h.t, err)
}

// As long as the expiry of the key in use is known, the gauge is there; however far away
// it is, and whether a request has been made or not.
func TestTimeLeftIsThereWhenKnown(t *testing.T) {
	t.Parallel()
	h := newKeyHolder(t, 300*day)
	client := h.client(h.config)
	h.requireTimeLeft(client.ID(), unknown)
	client.SetKeyExpiry(h.config.Key.ID(), time.Now().Add(100*day))
	h.requireTimeLeft(client.ID(), 100*day)
	h.request(client)
	h.requireTimeLeft(client.ID(), 100*day)
	_, err := h.selvbetjening(client).ClientSecrets(t.Context())
	require.NoError(t, err)
	h.requireTimeLeft(client.ID(), 300*day)
	client.SetKeyExpiry("another key", time.Now().Add(day))
	h.requireTimeLeft(client.ID(), 300*day)
	client.SetKeyExpiry(h.config.Key.ID(), time.Now().Add(-day))
	h.requireTimeLeft(client.ID(), -day)
	client.SetKeyExpiry(h.config.Key.ID(), time.Time{})
	h.requireTimeLeft(client.ID(), unknown)
}

// A key that its file has in place of another one has an expiry of its own.
func TestTimeLeftOfKeyInFile(t *testing.T) {
	t.Parallel()
	for name, told := range map[string]bool{"the file's events are counted": true, "they are not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newKeyHolder(t, 10*day)
			path := filepath.Join(t.TempDir(), "client.json")
			require.NoError(t, os.WriteFile(path, h.server.ConfigFile(helseidtest.Scopes(selvbetjening.Scope, read)), 0o600))
			config, err := helseid.LoadConfig(path)
			require.NoError(t, err)
			config.HTTPClient = h.server.HTTPClient()
			job := config
			source := helseid.KeyFileConfig{Path: path, Interval: time.Nanosecond}
			if told {
				source.OnEvent = h.telemetry.OnEvent
			}
			config.KeySource, err = helseid.NewKeyFile(source)
			require.NoError(t, err)
			client := h.client(config)
			_, err = h.selvbetjening(client).ClientSecrets(t.Context())
			require.NoError(t, err)
			h.requireTimeLeft(client.ID(), 10*day)

			rotation, err := selvbetjening.NewRotation(t.Context(), selvbetjening.RotationConfig{
				Client: job, Store: selvbetjening.FileStore{Path: path}, Settle: -1, Kind: clientassertion.P256,
				Selvbetjening: selvbetjening.Config{BaseURL: h.server.SelvbetjeningURL()},
			})
			require.NoError(t, err)
			defer rotation.Close()
			require.NoError(t, rotation.Rotate(t.Context())) // elsewhere
			h.request(client)
			h.requireTimeLeft(client.ID(), unknown)
			keyID, _ := client.KeyExpiry(t.Context())
			require.NotEqual(t, job.Key.ID(), keyID)
			client.SetKeyExpiry(keyID, time.Now().Add(365*day))
			h.requireTimeLeft(client.ID(), 365*day)
			require.NoError(t, os.WriteFile(path, []byte("{"), 0o600))
			h.request(client)
			h.requireTimeLeft(client.ID(), 365*day)
			counted := map[bool]float64{true: 1}[told]
			require.Equal(t, counted, h.value("helseid.client.key.events", "helseid.key.event=replaced"))
			require.Equal(t, counted, h.value("helseid.client.key.events", "helseid.key.event=not_replaced"))
		})
	}
}

// A rotation's new key is counted as soon as it is in use.
func TestTimeLeftOfRotatedKey(t *testing.T) {
	t.Parallel()
	h := newKeyHolder(t, 200*day)
	path := filepath.Join(t.TempDir(), "client.json")
	require.NoError(t, os.WriteFile(path, h.server.ConfigFile(helseidtest.Scopes(selvbetjening.Scope, read)), 0o600))
	config, err := helseid.LoadConfig(path)
	require.NoError(t, err)
	config.HTTPClient = h.server.HTTPClient()
	rotation, err := selvbetjening.NewRotation(t.Context(), selvbetjening.RotationConfig{
		Client: h.telemetry.Client(config), Store: selvbetjening.FileStore{Path: path}, Settle: -1, Kind: clientassertion.P256,
		Selvbetjening: selvbetjening.Config{BaseURL: h.server.SelvbetjeningURL()},
	})
	require.NoError(t, err)
	defer rotation.Close()
	client := rotation.Client()
	client.SetKeyExpiry(config.Key.ID(), time.Now().Add(3*day))
	h.requireTimeLeft(client.ID(), 3*day)
	require.NoError(t, rotation.Rotate(t.Context()))
	h.requireTimeLeft(client.ID(), 200*day)
	client.SetKeyExpiry(config.Key.ID(), time.Now().Add(3*day)) // the old key's
	h.requireTimeLeft(client.ID(), 200*day)
	h.request(client)
	h.requireTimeLeft(client.ID(), 200*day)
}

// Clients in one process have their own keys.
func TestTimeLeftOfSeveralClients(t *testing.T) {
	t.Parallel()
	h := newKeyHolder(t, 50*day)
	one, two := h.client(h.config), h.client(h.server.NewClient(helseidtest.Scopes(read)))
	twoKey, _ := two.KeyExpiry(t.Context())
	two.SetKeyExpiry(twoKey, time.Now().Add(20*day))
	h.requireTimeLeft(one.ID(), unknown)
	h.requireTimeLeft(two.ID(), 20*day)
	one.SetKeyExpiry(h.config.Key.ID(), time.Now().Add(90*day))
	h.request(one)
	h.request(two)
	h.requireTimeLeft(one.ID(), 90*day)
	h.requireTimeLeft(two.ID(), 20*day)
}

// Two clients of one id have one series. One that does not know when their key expires
// takes nothing from what the other one knows.
func TestTimeLeftOfClientsWithOneID(t *testing.T) {
	t.Parallel()
	h := newKeyHolder(t, 50*day)
	one, two := h.client(h.config), h.client(h.config)
	one.SetKeyExpiry(h.config.Key.ID(), time.Now().Add(90*day))
	h.request(two)
	h.requireTimeLeft(one.ID(), 90*day)
	one.SetKeyExpiry(h.config.Key.ID(), time.Time{})
	h.requireTimeLeft(one.ID(), unknown)
	two.SetKeyExpiry(h.config.Key.ID(), time.Now().Add(80*day))
	h.requireTimeLeft(one.ID(), 80*day)

	// The configuration is read again, with another key.
	next := h.config
	next.Key = h.newKey(next)
	two.Close()
	three := h.client(next)
	h.request(three)
	h.requireTimeLeft(three.ID(), unknown)
}

// newKey registers another key for a client.
func (h *keyHolder) newKey(config helseid.Config) *clientassertion.Key {
	h.t.Helper()
	key, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})
	require.NoError(h.t, err)
	client, err := helseid.New(config)
	require.NoError(h.t, err)
	defer client.Close()
	_, err = h.selvbetjening(client).AddClientSecret(h.t.Context(), key)
	require.NoError(h.t, err)
	return key
}

// A request that was signed with the old key, and is answered when the new one is in use,
// changes nothing.
func TestTimeLeftAfterLateAnswer(t *testing.T) {
	t.Parallel()
	h := newKeyHolder(t, 50*day)
	old, next := h.config.Key, h.newKey(h.config)
	source := &replaceableKey{}
	source.Store(old)
	held := &heldRequest{RoundTripper: h.server.HTTPClient().Transport}
	config := h.config
	config.KeySource, config.HTTPClient = source, &http.Client{Transport: held}
	client := h.client(config)
	client.SetKeyExpiry(old.ID(), time.Now().Add(5*day))
	client.SetKeyExpiry(next.ID(), time.Now().Add(60*day))
	h.requireTimeLeft(client.ID(), 5*day)

	meanwhile := func() {
		source.Store(next)
		_, err := client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{selvbetjening.Scope}})
		require.NoError(t, err)
		h.requireTimeLeft(client.ID(), 60*day)
	}
	held.meanwhile.Store(&meanwhile)
	h.request(client)
	require.Nil(t, held.meanwhile.Load())
	h.requireTimeLeft(client.ID(), 60*day)
	client.SetKeyExpiry(old.ID(), time.Now().Add(4*day))
	h.requireTimeLeft(client.ID(), 60*day)
}

type replaceableKey struct {
	atomic.Pointer[clientassertion.Key]
}

func (r *replaceableKey) Key(context.Context) (*clientassertion.Key, error) { return r.Load(), nil }

// heldRequest does something else before it sends the next request with a signature.
type heldRequest struct {
	http.RoundTripper
	meanwhile atomic.Pointer[func()]
}

func (h *heldRequest) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodPost {
		if do := h.meanwhile.Swap(nil); do != nil {
			(*do)()
		}
	}
	return h.RoundTripper.RoundTrip(request)
}
