package key

import (
	"context"

	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/input"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/keytext"
)

func publicCommand() cli.Command {
	return cli.Command{
		Name:      "public",
		Arguments: "[FILE or -]",
		Summary:   "show the public key of a private key or configuration file",
		Help: `Prints the public half of a key as HelseID Selvbetjening takes it: a JWK with kid. FILE is a
JWK, PEM, or a configuration file. Without a kid of its own, as in PEM, the key gets its
thumbprint (RFC 7638), which is what the SDK signs with then.`,
		Examples: []string{
			`helseid key public client.json`,
			`helseid key public key.pem > public.json`,
		},
		Setup: func(*cli.Flags) cli.Run { return showPublic },
	}
}

func showPublic(_ context.Context, out *cli.Output, arguments []string) error {
	name, err := input.Name(arguments)
	if err != nil {
		return err
	}
	data, err := input.Read(out, name)
	if err != nil {
		return err
	}
	key, err := keytext.Read(data)
	if err != nil {
		return &cli.UsageError{Err: err}
	}
	out.Event(keyEvent{Event: "key", KeyID: key.ID, Algorithm: string(key.Public.Algorithm()), Thumbprint: key.Public.Thumbprint(), PublicJWK: key.JWK()})
	out.Say("%s", key.JWK())
	return nil
}
