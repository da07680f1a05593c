package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/middleware"
)

const (
	demoAudience = "nhn:demo-api"
	demoScope    = demoAudience + "/read"
	demoClient   = "b5f5ee0f-0ed7-4a3f-8cf8-2a0d0e8f4a51"
)

// startDemo starts a HelseID that knows the client's public key, and an API that it
// protects.
func startDemo(opts *options, key *clientassertion.Key) (stop func(), err error) {
	server, err := helseidtest.Start()
	if err != nil {
		return nil, err
	}
	err = server.AddClient(helseidtest.Client{ID: demoClient, PublicJWKs: [][]byte{key.PublicJWK()}, Scopes: []string{demoScope}})
	auth, authErr := middleware.New(middleware.Config{Issuer: server.Issuer(), Audience: demoAudience})
	if err = errors.Join(err, authErr); err != nil {
		server.Close()
		return nil, err
	}
	api := httptest.NewServer(auth.Require(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "good day, client ", middleware.Claims(r.Context()).ClientID)
	}, middleware.Scope(demoScope)))
	opts.issuer, opts.clientID, opts.scope, opts.url = server.Issuer(), demoClient, demoScope, api.URL
	return func() {
		api.Close()
		auth.Close()
		server.Close()
	}, nil
}
