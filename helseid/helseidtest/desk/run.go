package desk

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/httpx"
)

// Run serves until the context ends. Errors about the configuration, the file of clients
// and the files to write wrap [ErrConfig].
func Run(ctx context.Context, config Config) error {
	config.Listen = cmp.Or(config.Listen, DefaultListen)
	config.TestTokenKey = cmp.Or(config.TestTokenKey, rand.Text())
	if config.Output == nil {
		config.Output = io.Discard
	}
	if err := config.check(); err != nil {
		return err
	}
	d := &desk{Config: config, report: &report{stdout: config.Output, asJSON: config.JSON}}
	defer d.close()
	if err := d.start(); err != nil {
		return err
	}
	if config.ClientsFile != "" {
		return d.serveFile(ctx)
	}
	return d.serveMadeClient(ctx)
}

// desk is the server while it runs.
type desk struct {
	Config
	report *report
	server *helseidtest.Server
	listen string // the address that it listens on
	caFile string // "": there is no TLS
	echo   *echo  // nil: there is none
	undo   []func()
}

func (d *desk) close() {
	for _, undo := range slices.Backward(d.undo) {
		undo()
	}
}

func (d *desk) start() error {
	listener, err := net.Listen("tcp", d.Listen)
	if err != nil {
		return err
	}
	d.listen = listener.Addr().String()
	issuer, err := d.issuer(listener.Addr().(*net.TCPAddr))
	if err == nil && d.TLS {
		listener, err = d.secure(listener, issuer)
	}
	if err != nil {
		_ = listener.Close()
		return err
	}
	start := &startPage{path: issuer.Path + "/"}
	others := http.NewServeMux()
	others.Handle("/", start)
	if d.API != "" {
		d.echo = &echo{}
		others.Handle(issuer.Path+echoPath, d.echo)
		others.Handle(issuer.Path+echoPath+"/", d.echo)
	}
	settings := []helseidtest.Option{
		helseidtest.ServeOn(listener, issuer.String()), helseidtest.LoginPage(helseidtest.DefaultLoginPage), helseidtest.StartPage(others),
		helseidtest.Selvbetjening{}, helseidtest.TestTokens(d.TestTokenKey),
	}
	if d.TestMetadata {
		settings = append(settings, helseidtest.TestEnvironmentMetadata())
	}
	if d.server, err = helseidtest.Start(settings...); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	d.undo = append(d.undo, d.server.Close)
	if d.echo != nil {
		if err := d.echo.guard(d.server, d.API); err != nil {
			return fmt.Errorf("%w: field API: %w", ErrConfig, err)
		}
		d.undo = append(d.undo, d.echo.close)
	}
	start.server.Store(d.server)
	return nil
}

// issuer is the address for clients.
func (d *desk) issuer(address *net.TCPAddr) (*url.URL, error) {
	if d.PublicURL != "" {
		issuer, err := url.Parse(d.PublicURL)
		if err == nil {
			issuer.Path = strings.TrimRight(issuer.Path, "/")
		}
		return issuer, err
	}
	host, _, err := net.SplitHostPort(d.Listen)
	if err == nil && httpx.IsLoopback(host) && !address.IP.IsLoopback() {
		err = errors.New("localhost is another machine's name here")
	}
	issuer := &url.URL{Scheme: "http", Host: net.JoinHostPort(host, strconv.Itoa(address.Port))}
	if d.TLS {
		issuer.Scheme = "https"
	}
	return issuer, err
}

// secure adds TLS to the listener and writes the authority's certificate. With an error
// it returns the listener unchanged.
func (d *desk) secure(listener net.Listener, issuer *url.URL) (net.Listener, error) {
	config, authority, err := newAuthority(issuer.Hostname())
	if err != nil {
		return listener, err
	}
	path, cleanup, err := output{path: d.CAFile, name: "helseid-ca.pem", content: authority, mode: 0o644, isOld: isAuthority}.write()
	if err != nil {
		return listener, fmt.Errorf("the certificate authority's file: %w", err)
	}
	d.caFile, d.undo = path, append(d.undo, cleanup)
	return tls.NewListener(listener, config), nil
}

// serveFile serves what a file describes. The address is printed only when the clients
// are registered.
func (d *desk) serveFile(ctx context.Context) error {
	registry := newRegistry(d.server, d.ClientsFile)
	if _, err := registry.reload(); err != nil {
		return err
	}
	d.announce()
	registry.tell(d.report)
	if d.Hint != nil {
		d.report.say(nil, "with FILE, the configuration of one of them, whose authority is %s:", d.server.Issuer())
		d.report.say(nil, "  %s", d.Hint("FILE", d.echoURL()))
	}
	registry.watch(ctx, d.report)
	return nil
}

// childOrganization is the sub-unit that the made client may name.
const childOrganization = "999977775"

// serveMadeClient serves one client with all permissions.
func (d *desk) serveMadeClient(ctx context.Context) error {
	client := helseidtest.Client{
		Name:                   "Lokal demoklient",
		Scopes:                 []string{cmp.Or(d.API, "nhn:demo-api") + "/read"},
		GrantTypes:             []string{"authorization_code", "refresh_token", "client_credentials"},
		RedirectURIs:           []string{"http://localhost:8080/callback"},
		PostLogoutRedirectURIs: []string{"http://localhost:8080/"},
		ChildOrganizations:     []string{childOrganization},
	}
	if d.MultiTenant {
		client.MultiTenant, client.Delegations = true, []string{mint.DefaultParentOrganization}
	}
	path, cleanup, err := output{
		path: d.ClientFile, name: "client.json", content: d.server.ConfigFile(client), mode: 0o600,
		isOld: isClientOf(d.server.Issuer()), inUse: isOfAnotherRun(d.server.Issuer()),
	}.write()
	if err != nil {
		return fmt.Errorf("the client's file: %w", err)
	}
	d.undo = append(d.undo, cleanup)
	d.announce()
	d.report.say(event{"event": "client", "client_id": d.server.Clients()[0].ID, "config": path}, "a client's configuration is in %s", path)
	if d.Hint != nil {
		d.report.say(nil, "  %s", d.Hint(path, d.echoURL()))
	}
	<-ctx.Done()
	return nil
}

func (d *desk) echoURL() string {
	if d.echo == nil {
		return ""
	}
	return d.server.Issuer() + echoPath
}

// announce prints where the server is, and what it has beside HelseID's own endpoints.
func (d *desk) announce() {
	testTokens := d.server.Issuer() + "/v2/create-test-token-with-key"
	listening := event{
		"event": "listening", "issuer": d.server.Issuer(), "listen": d.listen, "selvbetjening": d.server.SelvbetjeningURL(), "draft_api_key": helseidtest.DraftAPIKey,
		"test_tokens": testTokens, "test_token_key": d.TestTokenKey,
	}
	if d.echo != nil {
		listening["api"] = d.echoURL()
	}
	if d.caFile != "" {
		listening["ca_file"] = d.caFile
	}
	d.report.say(listening, "listening on %s", d.server.Issuer())
	if strings.HasPrefix(d.server.Issuer(), "http:") {
		d.report.say(nil, "it speaks plain http, as nothing but loopback may")
	}
	if d.PublicURL != "" {
		d.report.say(nil, "it listens on %s", d.listen)
	}
	if d.caFile != "" {
		d.report.say(nil, "its certificate authority is in %s: programs in Go on Linux trust it with SSL_CERT_FILE=%s", d.caFile, d.caFile)
	}
	if host, _ := d.listenHost(); !httpx.IsLoopback(host) {
		d.report.say(nil, "it can be reached by other machines: whoever reaches it logs in as any test user")
	}
	if d.echo != nil {
		d.report.say(nil, "a protected API (%s) is at %s", d.API, d.echoURL())
	}
	d.report.say(nil, "HelseID Selvbetjening's API is at %s, with the api-key %s for drafts", d.server.SelvbetjeningURL(), helseidtest.DraftAPIKey)
	d.report.say(nil, "Test-Token-Tjenesten is at %s, with the X-Auth-Key %s", testTokens, d.TestTokenKey)
}
