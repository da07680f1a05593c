package helseid_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/internal/testkit"
)

func (c *eventCount) all() []helseid.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]helseid.Event(nil), c.events...)
}

func (c *eventCount) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = nil
}

// kinds counts events as "kind" or "kind api".
func (c *eventCount) kinds() map[string]int {
	counts := make(map[string]int)
	for _, event := range c.all() {
		name := string(event.Kind)
		if event.API {
			name += " api"
		}
		counts[name]++
	}
	return counts
}

// An Event has room for nothing that names anybody.
func TestEventHasNoRoomForPersons(t *testing.T) {
	t.Parallel()
	event := reflect.TypeFor[helseid.Event]()
	allowed := map[string]reflect.Type{
		"Kind":     reflect.TypeFor[helseid.EventKind](),
		"ClientID": reflect.TypeFor[string](),
		"API":      reflect.TypeFor[bool](),
		"Endpoint": reflect.TypeFor[string](),
		"URL":      reflect.TypeFor[string](), // of HelseID's
		"Renewal":  reflect.TypeFor[bool](),
		"Shared":   reflect.TypeFor[bool](),
		"KeyID":    reflect.TypeFor[string](),    // of the client's own key
		"Expiry":   reflect.TypeFor[time.Time](), // of that key
		"Status":   reflect.TypeFor[int](),
		"Duration": reflect.TypeFor[time.Duration](),
		"Err":      reflect.TypeFor[error](),
	}
	require.Equal(t, len(allowed), event.NumField())
	for field := range event.Fields() {
		require.Equal(t, allowed[field.Name], field.Type, field.Name)
	}
	kinds := []helseid.EventKind{
		helseid.EventTokenRequest, helseid.EventRoundTrip, helseid.EventNonceChallenge, helseid.EventRetry, helseid.EventCacheHit,
		helseid.EventCacheStale, helseid.EventCacheMiss, helseid.EventProof, helseid.EventTokenDropped,
		helseid.EventKeyInUse, helseid.EventKeyExpiry, helseid.EventKeyFailed, helseid.EventKeyReplaced, helseid.EventKeyOrphan,
	}
	seen := make(map[helseid.EventKind]bool)
	for _, kind := range kinds {
		require.Regexp(t, `^[a-z]+(_[a-z]+)*$`, string(kind), "fit for a metric's label")
		require.False(t, seen[kind])
		seen[kind] = true
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	request := helseid.TokenRequest{Scopes: []string{testScope}}
	count := func(pairs ...any) map[string]int {
		counts := make(map[string]int)
		for i := 0; i < len(pairs); i += 2 {
			counts[pairs[i].(string)] = pairs[i+1].(int)
		}
		return counts
	}
	t.Run("a first call, a second, a stale one, a dead one", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{server: demanding})
			w.api(apiHost, good)
			api := w.client.HTTPClient(request)
			start := time.Now()
			call := func() {
				t.Helper()
				_, err := get(t, api, apiURL)
				require.NoError(t, err)
				synctest.Wait()
			}
			call()
			require.Equal(t, count("cache_miss", 1, "token_request", 1, "round_trip", 2, "key_in_use", 1, "nonce_challenge", 1, "proof api", 1), w.events.kinds())
			w.events.reset()
			call()
			require.Equal(t, count("cache_hit", 1, "proof api", 1), w.events.kinds())
			at(start, 575*time.Second)
			w.events.reset()
			call()
			// The nonce lives for two minutes, so that a new one is required.
			require.Equal(t, count("cache_stale", 1, "proof api", 1, "token_request", 1, "round_trip", 2, "nonce_challenge", 1), w.events.kinds())
			at(start, 575*time.Second+599*time.Second)
			w.events.reset()
			call()
			require.Equal(t, count("cache_miss", 1, "proof api", 1, "token_request", 1, "round_trip", 2, "nonce_challenge", 1), w.events.kinds())
		})
	})
	t.Run("durations, statuses and errors", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			w.server.Inject(
				helseidtest.Fault{Delay: time.Second, Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"3"}}},
				helseidtest.Fault{Delay: 2 * time.Second, Cut: true, Header: http.Header{}},
			)
			w.token(t)
			var trips []helseid.Event
			for _, event := range w.events.all() {
				switch event.Kind {
				case helseid.EventRoundTrip:
					trips = append(trips, event)
				case helseid.EventTokenRequest:
					require.NoError(t, event.Err)
					require.Greater(t, event.Duration, 6*time.Second)
					require.Less(t, event.Duration, 7*time.Second)
				}
			}
			require.Len(t, trips, 3)
			require.Equal(t, http.StatusServiceUnavailable, trips[0].Status)
			require.NoError(t, trips[0].Err)
			require.Equal(t, time.Second, trips[0].Duration)
			require.Zero(t, trips[1].Status)
			require.Error(t, trips[1].Err)
			require.Equal(t, 2*time.Second, trips[1].Duration)
			require.Equal(t, http.StatusOK, trips[2].Status)
			require.Equal(t, 2, w.events.of(helseid.EventRetry))
		})
	})
	t.Run("a token request that fails", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		_, err := w.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{"nhn:other-api/x"}})
		requireRefusal(t, err, "invalid_scope")
		require.Equal(t, count("cache_miss", 1, "token_request", 1, "round_trip", 1, "key_in_use", 1), w.events.kinds())
		for _, event := range w.events.all() {
			if event.Kind == helseid.EventTokenRequest {
				requireRefusal(t, event.Err, "invalid_scope")
			}
		}
	})
	t.Run("an API's nonce, refusal and broken connection", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			w.api(apiHost, inTurn(nonceDemand("one"), tokenRefused(), answer(http.StatusOK)))
			w.token(t)
			pause(time.Minute)
			w.events.reset()
			_, err := get(t, w.client.HTTPClient(request), apiURL)
			require.NoError(t, err)
			require.Equal(t, count(
				"cache_hit", 1, "proof api", 3, "nonce_challenge api", 1, "token_dropped api", 1,
				"cache_miss", 1, "token_request", 1, "round_trip", 1,
			), w.events.kinds())
		})
	})
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{config: func(c *helseid.Config) { c.OnEvent = nil }})
		w.token(t)
	})
}

var (
	elevenDigits       = regexp.MustCompile(`(^|[^0-9A-Fa-f-])[0-9]{11}($|[^0-9A-Fa-f])`)
	organizationDigits = regexp.MustCompile(`(^|[^0-9])[0-9]{9}($|[^0-9])`)
)

// Events and log lines tell an operator enough, and nobody anything about
// organisations and persons: the fields say so.
func TestLogsAndEventsNameNobody(t *testing.T) {
	t.Parallel()
	var logged testkit.Log
	w := newWorld(t, worldOptions{server: demanding})
	events := w.events
	var printed testkit.Log
	registration := multiTenant()
	registration.UnsignedTerms = map[string][]string{otherOrg: {otherScope}}
	w.become(t, registration, func(c *helseid.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{
			Level: slog.LevelDebug,
			ReplaceAttr: func(_ []string, attribute slog.Attr) slog.Attr {
				if attribute.Value.Kind() == slog.KindTime || attribute.Value.Kind() == slog.KindDuration {
					attribute.Value = slog.StringValue("-") // digits of no person
				}
				return attribute
			},
		}))
		c.OnEvent = func(ctx context.Context, event helseid.Event) {
			events.add(ctx, event)
			fmt.Fprintf(&printed, "%s %v %s %d %v\n", event.Kind, event.API, event.Endpoint, event.Status, event.Err)
		}
		c.TokenRetries = 1
	})
	w.api(apiHost, inTurn(nonceDemand("a-nonce"), answer(http.StatusOK)))
	request := helseid.TokenRequest{Scopes: []string{testScope, otherScope}, JournalID: journalID, Attest: goodAttest(), AcceptMissingScopes: true}
	ctx := helseid.ForOrganization(t.Context(), otherOrg, childOrg)
	call := newRequest(t, http.MethodGet, apiURL+"/06828399789", nil)
	body := `{"error":"temporarily_unavailable","error_description":"the organisation 999977774 and the person 06828399789"}`
	w.server.Inject(helseidtest.Fault{Status: http.StatusServiceUnavailable, Body: body})
	response, err := w.client.HTTPClient(request).Do(call.WithContext(ctx))
	require.NoError(t, err)
	_ = response.Body.Close()
	w.server.Inject(helseidtest.Fault{Cut: true})
	_, err = w.client.Token(helseid.ForOrganization(t.Context(), parentOrg, ""), request)
	require.NoError(t, err)
	_, err = w.client.Token(helseid.ForOrganization(t.Context(), "994598759", ""), request)
	requireRefusal(t, err, "invalid_request")

	w.server.Inject(helseidtest.Fault{Status: http.StatusBadRequest, Body: `{"error":"invalid_request","error_description":"HID-1001: 999977774 has not delegated to 994598759"}`})
	_, err = w.client.Token(helseid.ForOrganization(t.Context(), childOrg, ""), request)
	requireRefusal(t, err, "invalid_request")

	require.Contains(t, logged.String(), "token fetched")
	require.Contains(t, logged.String(), "is retried")
	require.Contains(t, logged.String(), otherScope, "a rejected scope is told")
	require.Greater(t, strings.Count(printed.String(), "\n"), 10)
	for name, text := range map[string]string{"log": logged.String(), "events": printed.String()} {
		require.Empty(t, secrets.findPart(text), name)
		require.Empty(t, jwsLike.FindString(text), name)
		digits := strings.ReplaceAll(text, w.client.ID(), "") // a UUID, which can have nine in a row
		require.Empty(t, elevenDigits.FindString(digits), name)
		require.Empty(t, organizationDigits.FindString(digits), name)
		for _, secret := range []string{journalID, goodAttest().DecisionID, clientassertionOf(w)} {
			require.NotContains(t, text, secret, name)
		}
	}
}

func clientassertionOf(w *world) string {
	return w.server.Requests(helseidtest.EndpointToken)[0].Form.Get("client_assertion")
}

// A caller's http.Client is copied: what it brings along works, and it stays as
// it was.
func TestCallersClientIsCopied(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	config := server.NewClient(helseidtest.Scopes(testScope))
	var through []string
	proxy := hop(func(request *http.Request) (*http.Response, error) {
		through = append(through, request.URL.Path)
		return http.DefaultTransport.RoundTrip(request)
	})
	redirect := errors.New("the caller's own")
	own := &http.Client{
		Transport: proxy, Jar: recordingJar{}, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return redirect },
	}
	before := *own
	config.HTTPClient = own
	client := newClient(t, config)
	_, err := client.Token(t.Context(), helseid.TokenRequest{})
	require.NoError(t, err)
	require.Equal(t, []string{"/.well-known/openid-configuration", "/connect/token", "/connect/token"}, through)
	require.Equal(t, reflect.ValueOf(before.Transport).Pointer(), reflect.ValueOf(own.Transport).Pointer())
	require.Equal(t, before.Jar, own.Jar)
	require.Equal(t, before.Timeout, own.Timeout)
	require.ErrorIs(t, own.CheckRedirect(nil, nil), redirect)
}

// A proxy of the caller's stands between it and HelseID, as in Helsenettet.
func TestProxy(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	config := server.NewClient(helseidtest.Scopes(testScope))
	proxied := 0
	proxyURL := serveProxy(t, &proxied)
	config.HTTPClient = &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxyURL)}}
	client := newClient(t, config)
	_, err := client.Token(t.Context(), helseid.TokenRequest{})
	require.NoError(t, err)
	require.Equal(t, 3, proxied)
}

func serveProxy(t testing.TB, count *int) *url.URL {
	t.Helper()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*count++
		body, _ := io.ReadAll(r.Body)
		outgoing, err := http.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), bytes.NewReader(body))
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		outgoing.Header = r.Header.Clone()
		response, err := http.DefaultTransport.RoundTrip(outgoing)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		maps.Copy(w.Header(), response.Header)
		w.WriteHeader(response.StatusCode)
		_, _ = io.Copy(w, response.Body)
	})
	return localServer(t, handler)
}
