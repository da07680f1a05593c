// Package token is the command "helseid token".
package token

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/clientflags"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/jwtview"
)

// Command returns the command.
func Command() cli.Command {
	return cli.Command{
		Name:    "token",
		Summary: "get an access token and show its claims",
		Help: `Gets an access token as a system and shows what is in it. The token itself is printed only
with -show-token: whoever holds it and the DPoP key can use it.`,
		Examples: []string{
			`helseid token -config client.json -scope "nhn:some-api/read"`,
			`helseid token -scope "nhn:some-api/read" -parent 994598759 -child 999977775`,
		},
		Setup: setup,
	}
}

func setup(flags *cli.Flags) cli.Run {
	var (
		client clientflags.Client
		token  clientflags.Token
	)
	client.Add(flags)
	token.Add(flags)
	show := flags.Bool("show-token", false, "print the token itself as well")
	flags.NoEnvironment("show-token")
	return func(ctx context.Context, out *cli.Output, _ []string) error {
		config, err := client.Config(out)
		if err != nil {
			return err
		}
		return token.Explain(fetch(ctx, out, config, token.Request(), *show))
	}
}

func fetch(ctx context.Context, out *cli.Output, config helseid.Config, request helseid.TokenRequest, show bool) error {
	client, err := helseid.New(config)
	if err == nil {
		defer client.Close()
		err = client.Validate(request)
	}
	if err != nil {
		return &cli.UsageError{Err: err}
	}
	token, err := client.Token(ctx, request)
	if err != nil {
		return err
	}
	printToken(out, token, show)
	return nil
}

// printToken shows a token's claims, in words and as JSON. The signature is HelseID's business
// and the API's: the token has just come from HelseID.
func printToken(out *cli.Output, token *helseid.Token, show bool) {
	event := map[string]any{
		"event": "token", "token_type": token.Type, "scopes": token.Scopes, "expires": token.Expiry.Unix(),
	}
	var claims json.RawMessage
	_, payload, err := jwtview.Decode(token.Access.Reveal())
	if err == nil {
		claims, err = jwtview.Show(payload)
	}
	if err == nil {
		event["claims"] = claims
	}
	if show {
		event["token"] = token.Access.Reveal()
	}
	out.Event(event)
	out.Say("a %s token for %s, until %s", token.Type, strings.Join(token.Scopes, " "), token.Expiry.Format(time.DateTime))
	if len(token.RejectedScopes) > 0 {
		out.Say("without %s: the organisation has not accepted the API's terms", strings.Join(token.RejectedScopes, " "))
	}
	if err != nil {
		out.Say("its claims cannot be shown: it is no JWT")
	} else {
		out.Say("%s", jwtview.Indent(claims))
	}
	if show {
		out.Say("%s", token.Access.Reveal())
	}
}
