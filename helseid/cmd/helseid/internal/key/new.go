package key

import (
	"context"
	"encoding/json"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
)

func newCommand() cli.Command {
	return cli.Command{
		Name:    "new",
		Summary: "make a key",
		Help: `Makes a private key, writes it to a file that only its owner can read (mode 0600), and prints
the public key, a JWK with kid, as HelseID Selvbetjening takes it. A file that is there is not
replaced unless -replace is given: the key in it would be gone.

The private key is not printed. With -show-private it is, after the public one; with -out - as
well, it is printed alone, to be piped into a secret store, and no file is written.`,
		Examples: []string{
			`helseid key new > public.json`,
			`helseid key new -kind P-256 -out client-key.json`,
			`helseid key new -out - -show-private | vault kv put secret/helseid key=-`,
		},
		Setup: setupNew,
	}
}

func setupNew(flags *cli.Flags) cli.Run {
	kind := addKind(flags)
	out := flags.String("out", "key.json", "`file` for the private key, a JWK; - for none")
	replace := flags.Bool("replace", false, "replace the file if it is there")
	show := flags.Bool("show-private", false, "print the private key as well")
	flags.NoEnvironment("replace", "show-private")
	return func(_ context.Context, output *cli.Output, _ []string) error {
		kind, err := kindOf(*kind)
		if err != nil {
			return err
		}
		return makeKey(output, kind, destination{*out, *replace, *show})
	}
}

// destination says where a private key goes.
type destination struct {
	file          string // "-" for none
	replace, show bool
}

func (d destination) check() error {
	switch {
	case d.file == "":
		return cli.Usagef("-out is empty: name a file")
	case d.file == "-" && !d.show:
		return cli.Usagef("-out - keeps the private key nowhere: with -show-private it is printed")
	case d.file != "-" && !d.replace && exists(d.file):
		return cli.Usagef("%s is there: name another file with -out, or replace it with -replace, and the key in it is gone", d.file)
	}
	return nil
}

func makeKey(out *cli.Output, kind clientassertion.KeyKind, to destination) error {
	if err := to.check(); err != nil {
		return err
	}
	key, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: kind})
	if err != nil {
		return err
	}
	private, err := key.MarshalPrivateJWK()
	if err != nil {
		return err
	}
	if to.file != "-" {
		if err := writeSecret(to.file, append(private, '\n'), to.replace); err != nil {
			return err
		}
	}
	event := keyEvent{Event: "key", KeyID: key.ID(), Algorithm: key.Algorithm(), Thumbprint: key.Thumbprint(), PublicJWK: key.PublicJWK()}
	if to.file == "-" {
		out.Note("the public key, for HelseID Selvbetjening: %s", key.PublicJWK())
	} else {
		event.File = to.file
		out.Note("the private key is in %s: keep it secret. Register the public key in HelseID Selvbetjening:", to.file)
		out.Say("%s", key.PublicJWK())
	}
	if to.show {
		event.PrivateJWK = private
		out.Say("%s", private)
	}
	out.Event(event)
	return nil
}

// keyEvent is a key.
type keyEvent struct {
	Event      string          `json:"event"` // key
	KeyID      string          `json:"kid"`
	Algorithm  string          `json:"alg"`
	Thumbprint string          `json:"thumbprint"`
	File       string          `json:"file,omitempty"`
	PublicJWK  json.RawMessage `json:"public_jwk"`
	PrivateJWK json.RawMessage `json:"private_jwk,omitempty"`
}
