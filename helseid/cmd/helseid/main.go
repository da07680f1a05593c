// Command helseid gets tokens from HelseID, calls APIs with them, and says what is wrong
// when that fails.
//
//	go install github.com/helseid-go/sdk/helseid/cmd/helseid@latest
//	helseid -h
//
// Every flag is also an environment variable, HELSEID_ and its name in capitals, except
// those that reveal a secret or relax a check. Secrets come from files or standard input.
// With -json each line is a JSON object.
//
// It exits with 0 if all is good, with 1 if something is wrong, and with 2 if flags,
// arguments or a configuration cannot be used.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/call"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/doctor"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/inspect"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/key"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/probe"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/proxy"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/serve"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/token"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(cli.Main(ctx, root(), os.Args[1:], cli.System{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.LookupEnv, Terminal: isTerminal(os.Stdout),
	}))
}

func root() cli.Command {
	return cli.Command{
		Name: "helseid",
		Help: `helseid gets tokens from HelseID, calls APIs with them, and says what is wrong when that fails.

Try it without HelseID: run a local one, which writes a client's configuration file, and in
another terminal get a token and call the local one's own API.

  helseid serve -write client.json
  helseid token
  helseid call http://127.0.0.1:8181/api/echo

With the configuration file that HelseID Selvbetjening hands out as client.json, token and call
work the same against HelseID.`,
		Commands: []cli.Command{
			doctor.Command(),
			token.Command(),
			call.Command(),
			inspect.Command(),
			key.Command(),
			proxy.Command(),
			serve.Command(),
			probe.Command(),
		},
	}
}

func isTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
