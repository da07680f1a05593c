package oteltest_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/helseid/otelhelseid"
	"github.com/helseid-go/sdk/helseid/weblogin"
	"github.com/helseid-go/sdk/internal/testkit"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

const (
	application = "https://ehr.example.no"
	api         = "https://api.example.no"
	audience    = "nhn:test-api"
	read        = "nhn:test-api/read"
)

// landscape is a HelseID, an application that users log in to, and an API that it calls
// for them and for itself.
type landscape struct {
	*collector
	server *helseidtest.Server
	client *helseid.Client
}

func newLandscape(t *testing.T, options ...helseidtest.Option) *landscape {
	t.Helper()
	l := &landscape{collector: newCollector(t)}
	l.server = helseidtest.NewServer(t, append(options, helseidtest.InMemory())...)
	for _, user := range l.server.Users() {
		l.keep(user.PersonalIdentityNumber, user.HPRNumber)
	}
	l.keep(mint.DefaultPersonalIdentityNumber, mint.DefaultHPRNumber)
	telemetry := l.telemetry()
	network := &http.Client{Transport: tap{l.collector, l.server.HTTPClient().Transport}}

	config := l.server.NewClient(helseidtest.RedirectURI(application+"/callback"), helseidtest.Scopes(read))
	config.HTTPClient = network
	var err error
	l.client, err = helseid.New(telemetry.Client(config))
	require.NoError(t, err)
	t.Cleanup(l.client.Close)
	web, err := weblogin.New(telemetry.Login(weblogin.Config{Client: l.client, Login: helseid.LoginRequest{
		Scopes: []string{helseid.ScopeProfile, helseid.ScopeOfflineAccess, helseid.ScopeHPRNumber, read}, Resources: []string{audience},
	}}))
	require.NoError(t, err)
	pages := http.NewServeMux()
	web.Mount(pages)
	pages.Handle("GET /me", web.Require(func(w http.ResponseWriter, r *http.Request) {
		session := weblogin.Session(r.Context())
		l.keep(session.ID().Reveal(), session.User().Name)
		for _, transport := range []http.RoundTripper{
			session.Transport(helseid.TokenRequest{Resource: audience}),
			l.client.Transport(helseid.TokenRequest{Scopes: []string{read}}),
		} {
			l.call(t, r.Context(), l.traced(transport))
		}
		_, _ = io.WriteString(w, "done")
	}))
	l.server.Mount("ehr.example.no", l.stranger("application", pages))

	guard, err := middleware.New(telemetry.Guard(middleware.Config{
		Issuer: l.server.Issuer(), Audience: audience, PublicURL: api, Token: tokenvalidation.Config{HTTPClient: l.server.HTTPClient()},
	}))
	require.NoError(t, err)
	t.Cleanup(guard.Close)
	things := http.NewServeMux()
	things.Handle("GET /things/{id}", guard.Require(func(http.ResponseWriter, *http.Request) {}, middleware.Scope(read)))
	l.server.Mount("api.example.no", l.stranger("api", things))
	return l
}

// traced is a transport as applications wrap it with OpenTelemetry's instrumentation.
func (l *landscape) traced(base http.RoundTripper) http.RoundTripper {
	return otelhttp.NewTransport(base, otelhttp.WithTracerProvider(l.traces), otelhttp.WithPropagators(propagation.TraceContext{}))
}

// stranger serves as another process would: what it knows of the caller's trace is what
// the request's headers say.
func (l *landscape) stranger(name string, handler http.Handler) http.Handler {
	handler = otelhttp.NewHandler(handler, name, otelhttp.WithTracerProvider(l.traces), otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return r.Method + " " + r.Host + r.URL.Path }))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		defer context.AfterFunc(r.Context(), cancel)()
		handler.ServeHTTP(w, r.WithContext(ctx))
	})
}

func (l *landscape) call(t *testing.T, ctx context.Context, transport http.RoundTripper) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/things/17", nil)
	assert.NoError(t, err)
	response, err := (&http.Client{Transport: transport}).Do(request)
	if assert.NoError(t, err) {
		assert.Equal(t, http.StatusOK, response.StatusCode)
		_ = response.Body.Close()
	}
}

// browse opens the page that needs a login.
func (l *landscape) browse(t *testing.T, ctx context.Context, browser *http.Client) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, application+"/me", nil)
	require.NoError(t, err)
	response, err := browser.Do(request)
	require.NoError(t, err)
	page, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	_ = response.Body.Close()
	require.Equal(t, "done", string(page))
	require.Equal(t, application+"/me", response.Request.URL.String())
}

// A browser whose requests are traced: its login, the tokens, the calls of the API and
// the guard's decisions are one trace.
func TestOneTrace(t *testing.T) {
	t.Parallel()
	l := newLandscape(t)
	browser := l.server.Browser()
	browser.Transport = l.traced(browser.Transport)
	ctx, root := l.traces.Tracer("browser").Start(t.Context(), "browser")
	l.browse(t, ctx, browser)
	root.End()
	for _, ended := range l.spans.Ended() {
		require.Equal(t, root.SpanContext().TraceID(), ended.SpanContext().TraceID(), ended.Name())
	}

	// The login.
	start := l.one("GET ehr.example.no/login")
	for _, pushed := range l.named("POST", "helseid.endpoint=pushed_authorization_request_endpoint") {
		require.True(t, pushed.isChildOf(start))
		require.Equal(t, trace.SpanKindClient, pushed.SpanKind())
	}
	callback := l.one("GET ehr.example.no/callback")
	finished := l.one("helseid.login_callback")
	require.True(t, finished.isChildOf(callback))
	tokens := l.named("helseid.token_request")
	require.Len(t, tokens, 2)
	require.True(t, tokens[0].isChildOf(finished))

	// The calls of the API: the user's has the login's token, and the system's asks for one.
	calls := l.named("HTTP GET", "server.address=api.example.no")
	require.Len(t, calls, 2)
	require.True(t, tokens[1].isChildOf(calls[1]))
	for _, token := range tokens {
		require.Equal(t, l.client.ID(), token.attribute("helseid.client.id"))
		trips := 0
		for _, trip := range l.named("POST", "helseid.endpoint=token_endpoint") {
			if trip.isChildOf(token) {
				trips++
				require.Equal(t, "helseid.test", trip.attribute("server.address"))
				require.Equal(t, "443", trip.attribute("server.port"))
				require.Equal(t, l.server.Issuer()+"/connect/token", trip.attribute("url.full"))
				require.NotEmpty(t, trip.attribute("http.response.status_code"))
			}
		}
		require.Positive(t, trips)
	}
	served := l.named("GET api.example.no/things/17")
	decisions := l.named("helseid.guard")
	require.Len(t, served, 2)
	require.Len(t, decisions, 2)
	for i := range calls {
		require.True(t, served[i].isChildOf(calls[i]))
		require.True(t, decisions[i].isChildOf(served[i]))
		require.Equal(t, "allowed", decisions[i].attribute("helseid.guard.outcome"))
		require.Equal(t, "/things/{id}", decisions[i].attribute("http.route"))
		require.Equal(t, l.client.ID(), decisions[i].attribute("helseid.client.id"))
	}

	require.Equal(t, 2.0, l.value("helseid.client.token.duration"))
	require.Equal(t, 2.0, l.value("helseid.guard.decisions", "helseid.guard.outcome=allowed"))
	require.Equal(t, 2.0, l.value("helseid.client.proof.duration"))
	require.Equal(t, 1.0, l.value("helseid.client.token.lookups", "helseid.lookup.result=miss"))
	require.Equal(t, float64(len(l.named("POST"))), l.value("http.client.request.duration"))
	require.Positive(t, l.value("helseid.client.retries", "helseid.retry.reason=nonce", "helseid.peer=helseid"))
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Greater(t, len(l.secrets), 20, "there was something to be found")
}

// Other browsers trace nothing. The callback still goes on with the trace of the request
// that started the login, and the two traces name each other.
func TestLoginIsOneTrace(t *testing.T) {
	t.Parallel()
	l := newLandscape(t)
	l.browse(t, t.Context(), l.server.Browser())
	start, callback := l.one("GET ehr.example.no/login"), l.one("GET ehr.example.no/callback")
	require.NotEqual(t, start.SpanContext().TraceID(), callback.SpanContext().TraceID())
	finished := l.one("helseid.login_callback")
	require.True(t, finished.isChildOf(start))
	require.Equal(t, []trace.SpanID{callback.SpanContext().SpanID()}, finished.links())
	require.Equal(t, []trace.SpanID{start.SpanContext().SpanID()}, callback.links())
	require.True(t, l.named("helseid.token_request")[0].isChildOf(finished))
}

// A fetch is part of the first call's trace. The spans of the others that wait link to
// it. A renewal in the background is a trace of its own, which links to the call that
// has noticed that it is time.
func TestSharedFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(t)
		server := helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.Relaxed(rule.Nonce))
		config := server.NewClient(helseidtest.Scopes(read))
		config.TokenRetries = -1
		client, err := helseid.New(c.telemetry().Client(config))
		require.NoError(t, err)
		defer client.Close()
		source := client.TokenSource(helseid.TokenRequest{Scopes: []string{read}})
		tracer := c.traces.Tracer("caller")
		ask := func(name string) {
			ctx, call := tracer.Start(t.Context(), name)
			defer call.End()
			_, _ = source.Token(ctx)
		}
		server.Inject(helseidtest.Fault{Delay: 2 * time.Second})
		go ask("first")
		testkit.Sleep(time.Second)
		for range 15 {
			go ask("other")
		}
		testkit.Sleep(2 * time.Second)
		synctest.Wait()
		fetch := c.one("helseid.token_request")
		require.True(t, fetch.isChildOf(c.one("first")))
		require.Equal(t, "false", fetch.attribute("helseid.token.renewal"))
		waits := c.named("helseid.token_wait")
		require.Len(t, waits, 15)
		for _, wait := range waits {
			require.Equal(t, []trace.SpanID{fetch.SpanContext().SpanID()}, wait.links())
			require.Equal(t, time.Second, wait.EndTime().Sub(wait.StartTime()))
			require.NotEqual(t, fetch.SpanContext().TraceID(), wait.SpanContext().TraceID())
		}
		for _, other := range c.named("other") {
			require.True(t, slices.ContainsFunc(waits, func(wait span) bool { return wait.isChildOf(other) }))
		}

		server.Inject(helseidtest.Fault{Status: http.StatusServiceUnavailable})
		testkit.Sleep(570 * time.Second)
		ask("late")
		synctest.Wait()
		renewal := c.one("helseid.token_request", "helseid.token.renewal=true")
		require.False(t, renewal.Parent().IsValid())
		require.Equal(t, []trace.SpanID{c.one("late").SpanContext().SpanID()}, renewal.links())
		require.Equal(t, codes.Error, renewal.Status().Code)
		require.Equal(t, "unavailable", renewal.Status().Description)
		require.Equal(t, 1.0, c.value("helseid.client.token.duration", "helseid.token.renewal=true", "error.type=unavailable"))
		trip := c.one("POST", "error.type=503")
		require.True(t, trip.isChildOf(renewal))
	})
}

// A program may set the global providers after it has made its guards: from then on, all
// of their decisions are traced and counted.
func TestProvidersThatAreSetLater(t *testing.T) {
	telemetry, err := otelhelseid.New(otelhelseid.Config{})
	require.NoError(t, err)
	audit := telemetry.Guard(middleware.Config{}).Audit
	audit(t.Context(), middleware.Record{Status: http.StatusUnauthorized, Reason: "proof_missing"})
	c := newCollector(t)
	otel.SetTracerProvider(c.traces)
	otel.SetMeterProvider(c.meters)
	require.Empty(t, c.spans.Ended())
	audit(t.Context(), middleware.Record{Allowed: true, Duration: time.Millisecond})
	require.Equal(t, "allowed", c.one("helseid.guard").attribute("helseid.guard.outcome"))
	require.Equal(t, 1.0, c.value("helseid.guard.decisions"))
}
