package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

const demoScope = "nhn:demo-api/read"

// startDemo starts a HelseID and an API in this process.
func startDemo(opts *options, report *report) (helseid.Config, func(), error) {
	server, err := helseidtest.Start()
	if err != nil {
		return helseid.Config{}, func() {}, err
	}
	registration := helseidtest.Client{Scopes: []string{demoScope}, ChildOrganizations: []string{opts.child}}
	if opts.parent != "" {
		registration.MultiTenant, registration.Delegations = true, []string{opts.parent}
	}
	file := server.ConfigFile(registration)
	config, err := helseid.ParseConfig(file)
	if err != nil {
		return helseid.Config{}, server.Close, err
	}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s came with Authorization: DPoP and a proof of %d bytes",
			r.Method, r.URL.Path, len(r.Header.Get("DPoP")))
	}))
	if opts.url == "" {
		opts.url = api.URL + "/demo"
	}
	if opts.scope == "" {
		opts.scope = demoScope
	}
	report.print("an embedded HelseID listens on %s", server.Issuer())
	return config, func() { api.Close(); server.Close() }, nil
}
