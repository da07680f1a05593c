// Command localhelseid is a HelseID on your own machine: the server of package
// helseidtest with a login page, test users, and a start page that shows clients, users
// and the contents of tokens.
//
//	go run ./examples/localhelseid
//	go run ./examples/localhelseid -listen 127.0.0.1:8181 -clients clients.json
//
// Without -clients it registers a client and writes a configuration file for it, in the
// format of HelseID Selvbetjening:
//
//	go run ./examples/weblogin -config FILE
//
// With -clients it reads clients and users from a JSON file, and reads it again
// whenever it changes. Mistakes in the file are printed, and the previous contents stay
// in force. All members but those marked are optional:
//
//	{
//	  "clients": [{
//	    "clientId": "my-client",                       required
//	    "publicJwks": [{"kty": "EC", "crv": "P-256"}], this or privateJwk is required
//	    "privateJwk": {},                              a JWK, or one as a string
//	    "clientName": "My journal",
//	    "scopes": ["nhn:demo-api/read"],
//	    "grantTypes": ["authorization_code", "refresh_token", "client_credentials"],
//	    "redirectUris": ["http://localhost:8080/callback"],
//	    "postLogoutRedirectUris": ["http://localhost:8080/"],
//	    "parentOrganization": "994598759",
//	    "childOrganizations": ["999977775"],
//	    "multiTenant": true,
//	    "delegations": ["994598759"],
//	    "backChannelLogoutUri": "", "frontChannelLogoutUri": "",
//	    "allowBearer": false,
//	    "unsignedTerms": {"994598759": ["nhn:demo-api/read"]},
//	    "apis": ["nhn:demo-api"],                      whose tokens it may exchange
//	    "actors": ["another-client"],                  who may exchange its tokens
//	    "audienceClaims": {"nhn:demo-api/client/claims/id": "7"}
//	  }],
//	  "users": [{
//	    "personalIdentityNumber": "06828399789",       required, synthetic
//	    "givenName": "KVART", "middleName": "", "familyName": "GREVLING",
//	    "hprNumber": "565505933",
//	    "hprApprovals": [{"profession": "LE", "authorization": {"value": "1", "description": "Autorisasjon"},
//	                      "requisition_rights": [], "specialities": []}],
//	    "securityLevel": 4, "assuranceLevel": "high",
//	    "identityProvider": "testidp-oidc", "network": "internett"
//	  }],
//	  "apis": [{
//	    "name": "nhn:demo-api",                        required
//	    "claims": ["helseid://claims/identity/pid"]    about users in its tokens; without, all
//	  }]
//	}
//
// A client can be a complete file from HelseID Selvbetjening; its additional members
// are ignored. Members that are unknown in both formats are refused. The users are
// added to the built-in ones, and replace those with the same number.
//
// It also has the API of HelseID Selvbetjening, for clients of the file that have the
// scope nhn:selvbetjening/client and for client drafts, and the endpoint of
// Test-Token-Tjenesten, for tools that know its key (-test-token-key). It prints their
// addresses.
//
// It listens on loopback only. Its keys are made when it starts, so its tokens are
// worthless elsewhere.
//
// It exits with 2 for a mistake in the flags or in the file.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/helseid-go/sdk/helseid/helseidtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type options struct {
	listen  string
	clients string
	write   string
	testKey string
	test    bool
	json    bool
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("localhelseid", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&opts.listen, "listen", "127.0.0.1:8181", "loopback `address` to listen on; port 0 takes a free one")
	flags.StringVar(&opts.clients, "clients", "", "JSON `file` of clients and users; empty: a client is made")
	flags.StringVar(&opts.write, "write", "", "`file` to write the made client's configuration to; empty: one in a temporary folder")
	flags.StringVar(&opts.testKey, "test-token-key", "", "`key` that the endpoint of Test-Token-Tjenesten takes; empty: a new one")
	flags.BoolVar(&opts.test, "test-metadata", false, "write the metadata as HelseID's test environment does, with booleans as strings")
	flags.BoolVar(&opts.json, "json", false, "print one JSON object per line")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	var err error
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case opts.clients != "" && opts.write != "":
		err = errors.New("-write is for the client that is made without -clients")
	case !isLoopback(opts.listen) || !hasPort(opts.listen):
		err = errors.New("-listen: it listens on loopback only, such as 127.0.0.1:8181")
	case opts.testKey == "":
		opts.testKey = rand.Text()
	}
	if err != nil {
		fmt.Fprintln(stderr, "localhelseid:", err)
	}
	return opts, err
}

func hasPort(address string) bool {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	return err == nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	report := &report{stdout: stdout, asJSON: opts.json}
	if err := serve(ctx, opts, report); err != nil {
		fmt.Fprintln(stderr, "localhelseid:", err)
		if errors.Is(err, errClients) || errors.Is(err, errWrite) {
			return 2
		}
		return 1
	}
	return 0
}

func serve(ctx context.Context, opts options, report *report) error {
	start := &startPage{}
	settings := []helseidtest.Option{
		helseidtest.ListenOn(opts.listen), helseidtest.LoginPage(helseidtest.DefaultLoginPage), helseidtest.StartPage(start),
		helseidtest.Selvbetjening{}, helseidtest.TestTokens(opts.testKey),
	}
	if opts.test {
		settings = append(settings, helseidtest.TestEnvironmentMetadata())
	}
	server, err := helseidtest.Start(settings...)
	if err != nil {
		return err
	}
	defer server.Close()
	start.server.Store(server)
	// The address is printed only when the clients are registered.
	if opts.clients != "" {
		registry := newRegistry(server, opts.clients)
		if _, err := registry.reload(); err != nil {
			return err
		}
		announce(server, opts, report)
		registry.tell(report)
		registry.watch(ctx, report)
		return nil
	}
	path, cleanup, err := makeClient(server, opts.write)
	if err != nil {
		return err
	}
	defer cleanup()
	announce(server, opts, report)
	report.say(event{"event": "client", "client_id": server.Clients()[0].ID, "config": path}, "a client's configuration is in %s", path)
	report.say(nil, "  go run ./examples/weblogin -config %s", path)
	<-ctx.Done()
	return nil
}

// announce prints where the server is, and which endpoints it has in addition to
// HelseID's own.
func announce(server *helseidtest.Server, opts options, report *report) {
	testTokens := server.Issuer() + "/v2/create-test-token-with-key"
	report.say(event{
		"event": "listening", "issuer": server.Issuer(), "selvbetjening": server.SelvbetjeningURL(), "draft_api_key": helseidtest.DraftAPIKey,
		"test_tokens": testTokens, "test_token_key": opts.testKey,
	}, "listening on %s", server.Issuer())
	report.say(nil, "it speaks plain http, as nothing but loopback may")
	report.say(nil, "HelseID Selvbetjening's API is at %s, with the api-key %s for drafts", server.SelvbetjeningURL(), helseidtest.DraftAPIKey)
	report.say(nil, "Test-Token-Tjenesten is at %s, with the X-Auth-Key %s", testTokens, opts.testKey)
}

// errWrite is wrapped by the error if the client's file cannot be written.
var errWrite = errors.New("the client's file")

// makeClient registers a client with all permissions, and writes its file.
func makeClient(server *helseidtest.Server, path string) (string, func(), error) {
	file := server.ConfigFile(helseidtest.Client{
		Name:                   "Lokal demoklient",
		Scopes:                 []string{"nhn:demo-api/read"},
		GrantTypes:             []string{"authorization_code", "refresh_token", "client_credentials"},
		RedirectURIs:           []string{"http://localhost:8080/callback"},
		PostLogoutRedirectURIs: []string{"http://localhost:8080/"},
		ChildOrganizations:     []string{"999977775"},
	})
	cleanup := func() {}
	if path == "" {
		folder, err := os.MkdirTemp("", "localhelseid-")
		if err != nil {
			return "", nil, err
		}
		path = filepath.Join(folder, "client.json")
		cleanup = func() { _ = os.RemoveAll(folder) }
	}
	if err := writeSecret(path, file); err != nil {
		cleanup()
		return "", nil, fmt.Errorf("%w: %w", errWrite, err)
	}
	return path, cleanup, nil
}

// writeSecret replaces a file that holds a private key. It makes a new file, so neither
// the permissions nor a symbolic link of an old one are kept.
func writeSecret(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".localhelseid-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}
