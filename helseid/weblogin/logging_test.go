package weblogin_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/weblogin"
)

// What others say names people and organisations. It is in no line of a log,
// wherever it comes from; the codes are.
func TestNobodyElsesWordsAreLogged(t *testing.T) {
	t.Parallel()
	const (
		person       = "Ola Nordmann"
		organization = "Lillevik legekontor AS"
		words        = person + " of " + organization
		description  = "HID-1001: " + words
	)
	refused := func(status int, endpoint helseidtest.Endpoint, code string) helseidtest.Fault {
		return helseidtest.Fault{
			Endpoint: endpoint, Status: status, Times: -1,
			Body: fmt.Sprintf(`{"error":%q,"error_description":%q}`, code, description),
		}
	}
	answered := func(code string) func(url.Values) {
		return func(parameters url.Values) {
			parameters.Del("code")
			parameters.Set("error", code)
			parameters.Set("error_description", description)
		}
	}
	quoting := errors.New("cannot store the session of " + words)
	for name, test := range map[string]struct {
		config func(*weblogin.Config)
		run    func(w *world, b *browser)
		says   []string
	}{
		"an answer of HelseID's": {nil, func(w *world, b *browser) {
			w.server.AlterCallback(answered("invalid_request"))
			b.get(b.authenticate(b.begin("/login")))
		}, []string{"kind=expired", "invalid_request HID-1001", "HelseID logged nobody in"}},
		"a code that is none": {nil, func(w *world, b *browser) {
			w.server.AlterCallback(answered(words))
			b.get(b.authenticate(b.begin("/login")))
		}, []string{"another code HID-1001"}},
		"a refused start": {nil, func(w *world, b *browser) {
			w.server.Inject(refused(400, helseidtest.EndpointPAR, "invalid_request"))
			b.get("/login")
		}, []string{"invalid_request HID-1001 (status 400)"}},
		"trouble": {nil, func(w *world, b *browser) {
			w.client.TokenRetries = 1
			w.start()
			w.server.Inject(refused(503, helseidtest.EndpointPAR, "temporarily_unavailable"))
			b.get("/login")
		}, []string{"kind=unavailable", "a request to HelseID failed", "temporarily_unavailable HID-1001 (status 503)"}},
		"a refused code": {nil, func(w *world, b *browser) {
			callback := b.authenticate(b.begin("/login"))
			w.server.Inject(refused(400, helseidtest.EndpointToken, "invalid_grant"))
			b.get(callback)
		}, []string{"redeem the code", "invalid_grant HID-1001 (status 400)"}},
		"a refused revocation": {nil, func(w *world, b *browser) {
			b.logIn("/login")
			w.server.Inject(refused(400, helseidtest.EndpointRevocation, "invalid_request"))
			b.send("POST", "/logout")
		}, []string{"a logout was incomplete", "revoke the refresh token", "invalid_request HID-1001"}},
		"a broken connection": {nil, func(w *world, b *browser) {
			w.client.TokenRetries = -1
			w.start()
			w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointPAR, Times: -1, Cut: true})
			b.get("/login")
		}, []string{"kind=unavailable", "HelseID is not available"}},
		"the network": {nil, func(w *world, b *browser) {
			client := *w.client.HTTPClient
			client.Transport = failing{fmt.Errorf("proxy of %s", words)}
			w.client.HTTPClient, w.client.TokenRetries = &client, -1
			w.start()
			b.get("/login")
		}, []string{"kind=unavailable", "HelseID is not available"}},
		"metadata of another issuer": {nil, func(w *world, b *browser) {
			w.start()
			w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Times: -1, Body: fmt.Sprintf(`{"issuer":%q}`, words)})
			b.get("/login")
		}, []string{"the metadata is of another issuer"}},
		"metadata that cannot be read": {nil, func(w *world, b *browser) {
			w.start()
			w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Times: -1, Body: fmt.Sprintf(`{%q:1,%q:2}`, words, words)})
			b.get("/login")
		}, []string{"the answer is not one of HelseID's"}},
		"a page in place of an answer": {nil, func(w *world, b *browser) {
			w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointPAR, Times: -1, Status: 400, Body: "<p>" + words, Header: http.Header{"Content-Type": {"text/html; x=\"" + words + "\""}}})
			b.get("/login")
		}, []string{"text/html"}},
		"the session store": {nil, func(w *world, b *browser) {
			w.client.Store = failingStore{quoting}
			w.start()
			b.setCookie(sessionCookie, "some-id")
			b.get("/me")
			b.get("/login")
			b.send("POST", "/logout")
		}, []string{"the store failed"}},
		"the application": {func(config *weblogin.Config) {
			config.SamePerson = func(context.Context, *http.Request, identity.User) error {
				return fmt.Errorf("%w: the register of %s", helseid.ErrUnavailable, words)
			}
		}, func(_ *world, b *browser) { b.get(b.authenticate(b.begin("/login"))) }, []string{"who the user is could not be found out"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.config)
			test.run(w, w.newBrowser())
			logged := w.logged.String()
			for _, part := range []string{person, organization, "Nordmann", "Lillevik"} {
				require.NotContains(t, logged, part)
			}
			for _, text := range test.says {
				require.Contains(t, strings.ReplaceAll(logged, `\"`, `"`), text)
			}
		})
	}
}

// failing is a network that is down.
type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

// failingStore quotes what it was given.
type failingStore struct{ err error }

func (f failingStore) Load(context.Context, string) (helseid.StoredRow, error) {
	return helseid.StoredRow{}, f.err
}

func (f failingStore) Save(context.Context, string, helseid.StoredRow) (bool, error) {
	return false, f.err
}

func (f failingStore) Delete(context.Context, string) error { return f.err }
