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
// With -clients it reads clients and users from a JSON file, and reads it again whenever
// it changes. Mistakes in the file are printed, and the previous contents stay in force.
// The members are in the documentation of package desk, which does the work:
//
//	go doc ./helseid/helseidtest/desk
//
// It listens on loopback only. Its keys are made when it starts, so its tokens are
// worthless elsewhere.
//
// It exits with 2 for a mistake in the flags or in the file.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/helseid-go/sdk/helseid/helseidtest/desk"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func parseFlags(args []string, stderr io.Writer) (desk.Config, error) {
	var config desk.Config
	flags := flag.NewFlagSet("localhelseid", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&config.Listen, "listen", desk.DefaultListen, "loopback `address` to listen on; port 0 takes a free one")
	flags.StringVar(&config.ClientsFile, "clients", "", "JSON `file` of clients and users; empty: a client is made")
	flags.StringVar(&config.ClientFile, "write", "", "`file` to write the made client's configuration to; empty: one in a temporary folder")
	flags.StringVar(&config.TestTokenKey, "test-token-key", "", "`key` that the endpoint of Test-Token-Tjenesten takes; empty: a new one")
	flags.BoolVar(&config.TestMetadata, "test-metadata", false, "write the metadata as HelseID's test environment does, with booleans as strings")
	flags.BoolVar(&config.JSON, "json", false, "print one JSON object per line")
	err := flags.Parse(args)
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
		fmt.Fprintln(stderr, "localhelseid:", err)
	}
	return config, err
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	config, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	config.Output = stdout
	config.Hint = func(clientFile, _, _ string) string { return "go run ./examples/weblogin -config " + clientFile }
	switch err := desk.Run(ctx, config); {
	case err == nil:
		return 0
	case errors.Is(err, desk.ErrConfig):
		fmt.Fprintln(stderr, "localhelseid:", err)
		return 2
	default:
		fmt.Fprintln(stderr, "localhelseid:", err)
		return 1
	}
}
