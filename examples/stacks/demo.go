package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// demo is a HelseID in this process, and the configuration file of a client.
type demo struct {
	opts    options
	helseid *helseidtest.Server
	folder  string
}

func startDemo(opts options) (*demo, error) {
	server, err := helseidtest.Start()
	if err != nil {
		return nil, err
	}
	opts.scope = cmp.Or(opts.scope, opts.audience+"/read") // so that its tokens are for the API
	d := &demo{opts: opts, helseid: server}
	if d.folder, err = os.MkdirTemp("", "helseid-demo-"); err == nil {
		err = os.WriteFile(d.file(), server.ConfigFile(helseidtest.Scopes(strings.Fields(opts.scope)...)), 0o600)
	}
	if err != nil {
		d.end()
		return nil, err
	}
	return d, nil
}

func (d *demo) file() string { return filepath.Join(d.folder, "client.json") }

func (d *demo) end() {
	d.helseid.Close()
	if d.folder != "" {
		_ = os.RemoveAll(d.folder)
	}
}

// show makes two calls as a system, one that the API accepts and one that it refuses, and
// says how to make more.
func (d *demo) show(ctx context.Context, address string, stdout io.Writer) error {
	fmt.Fprintln(stdout, "an embedded HelseID listens on", d.helseid.Issuer())
	opts := d.opts
	opts.call, opts.config = address, d.file()
	api, done, err := dial(opts)
	if err != nil {
		return err
	}
	defer done()
	found, err := api.caller(ctx)
	if err != nil {
		return fmt.Errorf("a system asks who it is: %w", err)
	}
	fmt.Fprintf(stdout, "a system asks who it is, and is let in: client %s organization %s\n", found.ClientID, found.Organization)
	if _, err = api.clinician(ctx); err == nil {
		return errors.New("a system was let in where clinicians alone are")
	}
	fmt.Fprintln(stdout, "a system asks what clinicians alone may, and is refused:", err)
	fmt.Fprintln(stdout, "the API serves on; call it again from another terminal with")
	fmt.Fprintf(stdout, "  go -C examples/stacks run . -stack %s -call %s -config %s -scope %q\n", opts.stack, address, opts.config, opts.scope)
	return nil
}
