// Command weblogin is a web application whose users log in with HelseID.
//
//	go run ./examples/weblogin
//	go run ./examples/weblogin -config client.json -api https://api.example.no/v1/me
//
// Without -config it starts its own HelseID with a login page, and its own API, on
// loopback. With -config it reads a file from HelseID Selvbetjening or from
// examples/localhelseid. The first redirect URI in it that is on loopback
// (http://localhost:8080/callback) determines where the application listens and the
// path of its callback.
//
// Routes:
//
//	/         open to everybody
//	/login    starts a login
//	/logout   ends the session, by POST
//	/me       who is logged in, and for which organisation
//	/call     a call to the API for both
//	/sessions ends all the user's sessions, by POST
//	/strong   for users at security level 4, others must log in again
//
// It prints the address at which it listens, and a line without personal data for each
// login, logout and call to the API.
//
// It exits with 2 for a mistake in flags or configuration.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/weblogin"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type options struct {
	configFile string
	listen     string
	issuer     string
	api        string
	json       bool
	strict     bool
	logoutForm bool
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("weblogin", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&opts.configFile, "config", "", "the client configuration `file` from HelseID Selvbetjening; empty: an embedded HelseID")
	flags.StringVar(&opts.listen, "listen", "", "loopback `address` to listen on; empty: that of the redirect URI")
	flags.StringVar(&opts.issuer, "issuer", "", "issuer `URL` in place of the file's authority")
	flags.StringVar(&opts.api, "api", "", "`URL` of an API to call for the user")
	flags.BoolVar(&opts.strict, "samesite-strict", false, "give the session's cookie SameSite=Strict")
	flags.BoolVar(&opts.logoutForm, "logout-form", false, "log out at HelseID by a form, so that no URL holds the ID token")
	flags.BoolVar(&opts.json, "json", false, "print one JSON object per line")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	var err error
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case opts.configFile == "" && opts.issuer != "":
		err = errors.New("-config is required with -issuer: a server asks who the client is")
	}
	if err != nil {
		fmt.Fprintln(stderr, "weblogin:", err)
	}
	return opts, err
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	report := &report{stdout: stdout, stderr: stderr, asJSON: opts.json}
	if err := serve(ctx, opts, report); err != nil {
		fmt.Fprintln(stderr, "weblogin:", err)
		if errors.Is(err, helseid.ErrConfig) || errors.Is(err, weblogin.ErrConfig) || errors.Is(err, errUsage) {
			return 2
		}
		return 1
	}
	return 0
}

// errUsage is a mistake in the flags that is found after parsing.
var errUsage = errors.New("usage")

func serve(ctx context.Context, opts options, report *report) error {
	setup, err := configure(&opts, report)
	if err != nil {
		return err
	}
	defer setup.end()
	if err := checkAPI(opts.api, report); err != nil {
		return err
	}
	place, err := findPlace(setup.config.Registered)
	if err != nil {
		return err
	}
	client, err := helseid.New(setup.config)
	if err != nil {
		return err
	}
	defer client.Close()
	listener, err := listen(opts.listen, place)
	if err != nil {
		return err
	}
	defer listener.Close()
	place.setPort(listener.Addr().(*net.TCPAddr).Port)

	login := helseid.LoginRequest{RedirectURI: place.redirect.String(), Scopes: loginScopes(setup.config.Registered.Scopes)}
	login.Resources = resources(login.Scopes)
	web, err := weblogin.New(weblogin.Config{
		Client:                client,
		Login:                 login,
		PostLogoutRedirectURI: place.afterLogout(),
		IdleTimeout:           time.Hour,
		SameSiteStrict:        opts.strict,
		LogoutForm:            opts.logoutForm,
		Logger:                slog.New(slog.NewTextHandler(report.stderr, nil)),
	})
	if err != nil {
		return err
	}
	app := &application{
		web: web, client: client, report: report, issuer: setup.config.Issuer, callback: place.redirect.Path, api: opts.api,
		scopes: login.Scopes, resources: login.Resources, organizations: setup.organizations,
	}
	address := (&url.URL{Scheme: "http", Host: place.redirect.Host}).String()
	report.say(map[string]any{"event": "listening", "url": address, "issuer": setup.config.Issuer, "callback": place.redirect.Path},
		"listening on %s", address)
	report.say(nil, "users log in at %s", setup.config.Issuer)

	server := &http.Server{Handler: app.routes(), ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() {
		deadline, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(deadline)
	})
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
