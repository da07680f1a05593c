package key

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/jwtview"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
)

func listCommand() cli.Command {
	return cli.Command{
		Name:    "list",
		Summary: "list the keys that HelseID knows the client by, with their expiry",
		Help: `Lists the keys that the client is registered with, and when they expire. The key of the
configuration file is marked with *. The client needs the scope ` + selvbetjening.Scope + `.

It exits with 1 if the key of the configuration file is not among them, or has expired.`,
		Examples: []string{
			`helseid key list -config client.json`,
			`helseid key list -json | jq 'select(.in_use).expires'`,
		},
		Setup: setupList,
	}
}

func setupList(flags *cli.Flags) cli.Run {
	var r registration
	r.add(flags)
	return func(ctx context.Context, out *cli.Output, _ []string) error {
		config, err := r.client.Config(out)
		if err != nil {
			return err
		}
		return r.list(ctx, out, config)
	}
}

func (r *registration) list(ctx context.Context, out *cli.Output, config helseid.Config) error {
	client, err := helseid.New(config)
	if err != nil {
		return &cli.UsageError{Err: err}
	}
	defer client.Close()
	secrets, err := r.secrets(ctx, client)
	if err != nil {
		return err
	}
	slices.SortStableFunc(secrets, func(a, b selvbetjening.ClientSecret) int { return a.Expiration.Compare(b.Expiration) })
	now := time.Now()
	for _, secret := range secrets {
		listKey(out, secret, config.Key, now)
	}
	ok, problem := checkInUse(secrets, config.Key, now)
	out.Event(map[string]any{"event": "summary", "ok": ok, "keys": len(secrets)})
	if ok {
		return nil
	}
	out.Note("%s", problem)
	return cli.ErrReported
}

func listKey(out *cli.Output, secret selvbetjening.ClientSecret, inUse *clientassertion.Key, now time.Time) {
	event := map[string]any{
		"event": "key", "kid": jwtview.Printable(secret.KeyID), "thumbprint": jwtview.Printable(secret.Thumbprint),
		"origin": jwtview.Printable(secret.Origin), "in_use": isKey(secret, inUse),
	}
	mark := " "
	if isKey(secret, inUse) {
		mark = "*"
	}
	if !secret.Expiration.IsZero() {
		event["expires"] = secret.Expiration.Format(time.RFC3339)
	}
	out.Event(event)
	out.Say("%s %s  %s  %s", mark, jwtview.Printable(secret.KeyID), expires(secret.Expiration, now), jwtview.Printable(secret.Origin))
}

// expires tells a key's expiry.
func expires(at, now time.Time) string {
	switch days := int(at.Sub(now) / (24 * time.Hour)); {
	case at.IsZero():
		return "expiry not told"
	case !now.Before(at):
		return "expired " + at.Format(time.DateOnly)
	default:
		return fmt.Sprintf("expires %s, in %d days", at.Format(time.DateOnly), days)
	}
}

// checkInUse says what is wrong with the key in use.
func checkInUse(secrets []selvbetjening.ClientSecret, inUse *clientassertion.Key, now time.Time) (ok bool, problem string) {
	i := slices.IndexFunc(secrets, func(secret selvbetjening.ClientSecret) bool { return isKey(secret, inUse) })
	switch {
	case i < 0:
		return false, "HelseID does not list the key of the configuration file, " + inUse.ID()
	case !secrets[i].Expiration.IsZero() && !now.Before(secrets[i].Expiration):
		return false, "the key of the configuration file has expired"
	}
	return true, ""
}
