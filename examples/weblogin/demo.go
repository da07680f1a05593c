package main

import (
	"encoding/json"
	"net"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/middleware"
)

const (
	demoAPI   = "nhn:demo-api"
	demoScope = demoAPI + "/read"
)

// organization is an organisation that a user can act for.
type organization struct{ Name, Parent, Child string }

var demoOrganizations = []organization{
	{"Demo kommune", "994598759", ""},
	{"Demo kommune, legevakten", "994598759", "999977775"},
	{"Demo legesenter", "987654325", ""},
}

// startDemo starts a HelseID with a login page, and an API, in this process.
func startDemo(opts *options, report *report) (*setup, error) {
	server, err := helseidtest.Start(helseidtest.LoginPage(helseidtest.DefaultLoginPage))
	if err != nil {
		return nil, err
	}
	file := server.ConfigFile(helseidtest.Client{
		Name:                   "Demojournal",
		Scopes:                 []string{demoScope},
		GrantTypes:             []string{"authorization_code", "refresh_token"},
		RedirectURIs:           []string{"http://localhost:8080/callback"},
		PostLogoutRedirectURIs: []string{"http://localhost:8080/"},
		MultiTenant:            true,
		Delegations:            []string{"994598759", "987654325"},
	})
	config, err := helseid.ParseConfig(file)
	if err != nil {
		server.Close()
		return nil, err
	}
	end := server.Close
	if opts.api == "" {
		address, endAPI, err := startAPI(server.Issuer())
		if err != nil {
			server.Close()
			return nil, err
		}
		opts.api = address
		end = func() { endAPI(); server.Close() }
	}
	report.say(nil, "an embedded HelseID listens on %s, an API on %s", server.Issuer(), opts.api)
	return &setup{config: config, organizations: demoOrganizations, end: end}, nil
}

// startAPI starts an API that tells callers what their tokens say about them.
func startAPI(issuer string) (address string, end func(), err error) {
	auth, err := middleware.New(middleware.Config{Issuer: issuer, Audience: demoAPI})
	if err != nil {
		return "", nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		auth.Close()
		return "", nil, err
	}
	answer := func(w http.ResponseWriter, r *http.Request) {
		caller := middleware.Claims(r.Context())
		body := map[string]any{"organization": caller.Organization, "scopes": caller.Scopes}
		if user := caller.User; user != nil {
			body["user"] = map[string]any{"name": user.Name, "hpr_number": user.HPRNumber, "security_level": user.SecurityLevel}
		}
		w.Header().Set("Content-Type", "application/json")
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(body)
	}
	server := &http.Server{Handler: auth.Require(answer, middleware.Scope(demoScope)), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return "http://" + listener.Addr().String() + "/me", func() { _ = server.Close(); auth.Close() }, nil
}
