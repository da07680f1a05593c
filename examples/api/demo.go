package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// startDemo starts a HelseID in this process and registers a client. It returns a
// function that stops both, and instructions for calling the API.
func startDemo(opts *options, report *report) (end func(), announce func(address string), err error) {
	server, err := helseidtest.Start()
	if err != nil {
		return nil, nil, err
	}
	file := server.ConfigFile(helseidtest.Scopes(opts.scope))
	folder, err := os.MkdirTemp("", "helseid-demo-")
	if err != nil {
		return nil, nil, err
	}
	path := filepath.Join(folder, "client.json")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		return nil, nil, err
	}
	opts.issuer = server.Issuer()
	announce = func(address string) {
		report.say(event{"event": "client", "issuer": server.Issuer(), "config": path, "scope": opts.scope},
			"an embedded HelseID listens on %s; call the API with", server.Issuer())
		scope := ""
		if opts.scope != "" {
			scope = fmt.Sprintf(" -scope %q", opts.scope)
		}
		report.say(nil, "  go run ./examples/machine -config %s%s -url %s/machine", path, scope, address)
	}
	return func() { server.Close(); _ = os.RemoveAll(folder) }, announce, nil
}
