// Package key is the command "helseid key": it makes a client's keys, shows the public
// ones, and looks after those that are registered with HelseID.
package key

import (
	"context"
	"strings"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/clientflags"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
)

// Command returns the command.
func Command() cli.Command {
	return cli.Command{
		Name:     "key",
		Summary:  "make keys, show public ones, list and replace those that HelseID knows",
		Help:     `Makes a client's keys, shows the public ones, and looks after those that are registered with HelseID.`,
		Commands: []cli.Command{newCommand(), publicCommand(), listCommand(), rotateCommand(), watchCommand()},
	}
}

// registration are the flags of the commands that speak with HelseID Selvbetjening.
type registration struct {
	client              clientflags.Client
	base, parent, child string
}

func (r *registration) add(flags *cli.Flags) {
	r.client.Add(flags)
	flags.StringVar(&r.base, "selvbetjening", "", "`URL` of HelseID Selvbetjening's API, for a local server; empty: that of the client's environment")
	flags.StringVar(&r.parent, "parent", "", "organisation `number` of the legal entity, for a multi-tenant client that HelseID refuses without one (HID-1007)")
	flags.StringVar(&r.child, "child", "", "organisation `number` of the sub-unit")
}

// config is that of the API without its client.
func (r *registration) config() selvbetjening.Config {
	return selvbetjening.Config{
		BaseURL:      r.base,
		Organization: clientassertion.Organization{Parent: identity.OrganizationNumber(r.parent), Child: identity.OrganizationNumber(r.child)},
	}
}

// secrets lists the keys that the client is registered with.
func (r *registration) secrets(ctx context.Context, client *helseid.Client) ([]selvbetjening.ClientSecret, error) {
	config := r.config()
	config.Client = client
	self, err := selvbetjening.New(config)
	if err != nil {
		return nil, usage(err)
	}
	return self.ClientSecrets(ctx)
}

// usage is a mistake in a configuration, with the name of the flag in place of the field.
func usage(err error) error {
	return cli.Usagef("%s", strings.ReplaceAll(err.Error(), "field BaseURL", "-selvbetjening"))
}

// isKey reports that a registered key is this one.
func isKey(secret selvbetjening.ClientSecret, key *clientassertion.Key) bool {
	return secret.Thumbprint == key.Thumbprint() || secret.Thumbprint == "" && secret.KeyID == key.ID()
}
