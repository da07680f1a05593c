// Package clientflags has the flags of the commands that act as a client: the
// configuration file, and what a token is requested for.
package clientflags

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/redact"
)

// maxConfig bounds a configuration file, in bytes.
const maxConfig = 1 << 20

// Client are the flags that say who the client is.
type Client struct {
	File   string // the configuration file of HelseID Selvbetjening, or - for standard input
	Issuer string // in place of the file's authority
}

// Add declares the flags.
func (c *Client) Add(flags *cli.Flags) {
	flags.StringVar(&c.File, "config", "client.json", "configuration `file` from HelseID Selvbetjening; - reads it from standard input")
	flags.StringVar(&c.Issuer, "issuer", "", "issuer `URL` in place of the file's authority")
}

// Config reads the file. Its error is a [cli.UsageError].
func (c *Client) Config(out *cli.Output) (helseid.Config, error) {
	config, err := c.read(out.Stdin)
	if errors.Is(err, os.ErrNotExist) {
		return config, cli.Usagef("there is no configuration file %s: name it with -config or $HELSEID_CONFIG; HelseID Selvbetjening hands it out, and \"helseid serve -write FILE\" makes one for tests", c.File)
	}
	if err != nil {
		return config, &cli.UsageError{Err: err}
	}
	if c.Issuer != "" {
		config.Issuer = c.Issuer
	}
	if strings.HasPrefix(config.Issuer, "http://") {
		out.Note("warning: HelseID is spoken to over plain http, which is accepted for loopback only")
	}
	return config, nil
}

func (c *Client) read(stdin io.Reader) (helseid.Config, error) {
	if c.File != "-" {
		return helseid.LoadConfig(c.File)
	}
	data, err := io.ReadAll(io.LimitReader(stdin, maxConfig+1))
	if err != nil {
		return helseid.Config{}, err
	}
	if len(data) > maxConfig {
		return helseid.Config{}, errors.New("the configuration on standard input is longer than 1 MiB")
	}
	return helseid.ParseConfig(data)
}

// Token are the flags that say what a token is for.
type Token struct {
	scope, resource, parent, child, journalID string
}

// Add declares the flags.
func (t *Token) Add(flags *cli.Flags) {
	flags.StringVar(&t.scope, "scope", "", "`scopes` to ask for, separated by spaces; empty: all that the client has")
	flags.StringVar(&t.resource, "resource", "", "short `name` of the API that the token is for")
	flags.StringVar(&t.parent, "parent", "", "organisation `number` of the legal entity that a multi-tenant client acts for")
	flags.StringVar(&t.child, "child", "", "organisation `number` of the sub-unit")
	flags.StringVar(&t.journalID, "journal-id", "", "SFM journal `id` for a multi-tenant client")
}

// Request is what the flags ask for.
func (t *Token) Request() helseid.TokenRequest {
	return helseid.TokenRequest{
		Scopes:       strings.Fields(t.scope),
		Resource:     t.resource,
		Organization: clientassertion.Organization{Parent: identity.OrganizationNumber(t.parent), Child: identity.OrganizationNumber(t.child)},
		JournalID:    t.journalID,
	}
}

// Explain adds to HelseID's invalid_scope that a scope with a comma in it is one scope: RFC
// 6749 section 3.3 separates scopes by spaces and lets them contain commas, so it is sent as
// it is.
func (t *Token) Explain(err error) error {
	refused, ok := errors.AsType[*helseid.TokenError](err)
	if !ok || refused.Code != "invalid_scope" {
		return err
	}
	for scope := range strings.FieldsSeq(t.scope) {
		if strings.Contains(scope, ",") {
			return fmt.Errorf("-scope: %q is one scope, since spaces separate them and commas do not: %w", redact.Text(scope), err)
		}
	}
	return err
}
