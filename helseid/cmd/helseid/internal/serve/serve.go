// Package serve is the command "helseid serve".
package serve

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
	"github.com/helseid-go/sdk/helseid/helseidtest/desk"
)

// Command returns the command.
func Command() cli.Command {
	return cli.Command{
		Name:    "serve",
		Summary: "be a HelseID on this machine, with test users and an API to call",
		Help: `Runs a HelseID for tests on this machine, until it is stopped: with a login page, synthetic
users, the API of HelseID Selvbetjening, the endpoint of Test-Token-Tjenesten, and a protected
API at /api/echo that answers what it was called with. The start page shows clients, users and
what is in a token.

Without -clients it registers a client and writes its configuration file. A file that is not
of an earlier run, such as one from HelseID Selvbetjening, is not replaced, and neither is that
of a server that still runs. With -multi-tenant the client serves other organisations: name one
in each call, with -parent 994598759 and perhaps -child 999977775.

The format of -clients is documented at
https://pkg.go.dev/github.com/helseid-go/sdk/helseid/helseidtest/desk; the file is read again
whenever it changes.

It prints the keys of its own services, which work nowhere else. Its signing key is new at each
start, so that its tokens are worthless elsewhere, too.

Containers reach it with -listen 0.0.0.0:8181 -allow-remote and the -public-url that they use.
Clients accept plain http for loopback only: other names need -tls, and the clients must trust
the authority in the file of -ca (programs in Go on Linux: SSL_CERT_FILE=helseid-ca.pem).`,
		Examples: []string{
			"helseid serve -write client.json",
			"helseid serve -write client.json -multi-tenant",
			"helseid serve -clients clients.json",
			"helseid serve -listen 0.0.0.0:8181 -allow-remote -tls -ca helseid-ca.pem -public-url https://helseid:8181",
		},
		Setup: setup,
	}
}

func setup(flags *cli.Flags) cli.Run {
	var config desk.Config
	flags.StringVar(&config.Listen, "listen", desk.DefaultListen, "loopback `address` to listen on; port 0 takes a free one")
	flags.BoolVar(&config.AllowRemote, "allow-remote", false, "let -listen be an address that other machines reach: whoever reaches it logs in as any test user")
	flags.StringVar(&config.PublicURL, "public-url", "", "issuer `URL` under which clients reach it; empty: where it listens")
	flags.BoolVar(&config.TLS, "tls", false, "use TLS, with a certificate authority that is made for this server alone")
	flags.StringVar(&config.CAFile, "ca", "", "`file` to write the authority's certificate to, with -tls; empty: one in a temporary folder")
	flags.StringVar(&config.ClientsFile, "clients", "", "JSON `file` of clients and users; empty: a client is made")
	flags.StringVar(&config.ClientFile, "write", "", "`file` to write the made client's configuration to; empty: one in a temporary folder")
	flags.BoolVar(&config.MultiTenant, "multi-tenant", false, "make the client a multi-tenant one, which names an organisation in each call")
	flags.StringVar(&config.API, "api", "nhn:demo-api", "short `name` of the API at /api/echo, the audience of its tokens; empty: none")
	flags.BoolVar(&config.TestMetadata, "test-metadata", false, "write the metadata as HelseID's test environment does, with booleans as strings")
	keyFile := flags.String("test-token-key-file", "", "`file` with the key that the endpoint of Test-Token-Tjenesten takes; empty: a new key")
	flags.NoEnvironment("allow-remote")
	return func(ctx context.Context, out *cli.Output, _ []string) error {
		if *keyFile != "" {
			key, err := cli.ReadSecret(*keyFile, out.Stdin)
			if err != nil {
				return cli.Usagef("-test-token-key-file: %w", err)
			}
			config.TestTokenKey = key
		}
		config.Output, config.JSON = out, out.JSON()
		config.Hint = func(clientFile, api string) string {
			flags := "-config " + clientFile
			if config.MultiTenant {
				flags += " -parent 994598759 -child 999977775"
			}
			if api == "" {
				return "helseid token " + flags
			}
			return fmt.Sprintf("helseid call %s %s", flags, api)
		}
		err := desk.Run(ctx, config)
		if errors.Is(err, desk.ErrConfig) {
			return cli.Usagef("%s", asFlags.Replace(err.Error()))
		}
		return err
	}
}

// asFlags names flags in place of the fields that they set.
var asFlags = strings.NewReplacer(
	desk.ErrConfig.Error()+": ", "", "field ", "",
	"Listen", "-listen", "AllowRemote", "-allow-remote", "PublicURL", "-public-url", "TLS", "-tls",
	"CAFile", "-ca", "ClientFile", "-write", "ClientsFile", "-clients", "MultiTenant", "-multi-tenant",
)
