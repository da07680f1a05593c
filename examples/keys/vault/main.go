// Command vault calls an API with a client key that stays in HashiCorp Vault: HelseID
// knows its public key, and the Transit engine signs the client assertions.
//
//	go -C examples/keys run ./vault
//	go -C examples/keys run ./vault -vault https://vault.example.no:8200 -key NAME -token-file FILE
//	    -issuer https://helseid-sts.test.nhn.no -client-id ID -scope nhn:some-api/read -url https://api.example.no/v1/things
//
// Without -vault it starts something that speaks the same API. Without -issuer it starts a
// HelseID and an API on loopback. What to copy is transit.go. Vault's token needs a policy
// with read on transit/keys/NAME and update on transit/sign/NAME/*.
//
// It prints the public key, to be registered in HelseID Selvbetjening, and what the API
// answers. It exits with 0 if that is a 200, with 1 if not, and with 2 for a mistake in
// the flags or a key that is not there.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
)

const (
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type options struct {
	vault, mount, key, tokenFile, algorithm string

	issuer, clientID, scope, url string
	json                         bool
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("vault", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&opts.vault, "vault", "", "Vault's `URL`; empty: an imitation in this process")
	flags.StringVar(&opts.mount, "mount", "transit", "`path` at which the Transit engine is mounted")
	flags.StringVar(&opts.key, "key", "", "`name` of the key")
	flags.StringVar(&opts.tokenFile, "token-file", "", "`file` with Vault's token, which is read for each request to Vault")
	flags.StringVar(&opts.algorithm, "alg", "", "JWS `algorithm`; empty: PS256, or that of an EC key's curve")
	flags.StringVar(&opts.issuer, "issuer", "", "HelseID's issuer `URL`; empty: an embedded HelseID and an API")
	flags.StringVar(&opts.clientID, "client-id", "", "the client's `id`")
	flags.StringVar(&opts.scope, "scope", "", "scopes to ask for, separated by spaces")
	flags.StringVar(&opts.url, "url", "", "`URL` to call")
	flags.BoolVar(&opts.json, "json", false, "print one JSON object per line")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	var err error
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case (opts.vault == "") != (opts.key == "") || (opts.key == "") != (opts.tokenFile == ""):
		err = errors.New("-vault, -key and -token-file belong together")
	case opts.issuer != "" && (opts.vault == "" || opts.clientID == "" || opts.url == ""):
		err = errors.New("-vault, -client-id and -url are required with -issuer")
	case opts.issuer == "" && (opts.clientID != "" || opts.scope != "" || opts.url != ""):
		err = errors.New("-issuer is required with -client-id, -scope and -url")
	}
	if err != nil {
		fmt.Fprintln(stderr, "vault:", err)
	}
	return opts, err
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return exitUsage
	}
	tell := &narrator{out: stdout, asJSON: opts.json}
	key, closeVault, err := openKey(ctx, opts, tell)
	defer closeVault()
	if err != nil {
		fmt.Fprintln(stderr, "vault:", err)
		return exitUsage
	}
	tell.step("key", facts{"public_jwk": json.RawMessage(key.PublicJWK())},
		"The %s is in Vault. What HelseID Selvbetjening needs of it is\n  %s", key, key.PublicJWK())
	if err := call(ctx, key, opts, tell); err != nil {
		fmt.Fprintln(stderr, "vault:", err)
		return exitFailure
	}
	return 0
}

// openKey asks Vault for the key, or an imitation for the demonstration.
func openKey(ctx context.Context, opts options, tell *narrator) (key *clientassertion.Key, closeVault func(), err error) {
	closeVault = func() {}
	if opts.vault == "" {
		folder, err := os.MkdirTemp("", "vault-")
		if err != nil {
			return nil, closeVault, err
		}
		fake, err := startFakeVault(folder, "rsa-3072")
		if err != nil {
			_ = os.RemoveAll(folder)
			return nil, closeVault, err
		}
		closeVault = func() {
			fake.Close()
			_ = os.RemoveAll(folder)
		}
		opts.vault, opts.key, opts.tokenFile = fake.URL, demoKey, fake.tokenFile
		tell.step("vault", nil, "An imitation of Vault runs at %s, with a key of the type rsa-3072.", fake.URL)
	}
	signer, err := openTransit(ctx, transitConfig{
		Address: opts.vault, Mount: opts.mount, Key: opts.key, TokenFile: opts.tokenFile,
	})
	if err != nil {
		return nil, closeVault, err
	}
	key, err = clientassertion.NewKey(signer, clientassertion.KeyOptions{Algorithm: opts.algorithm})
	return key, closeVault, err
}

// call calls the API as the client whose key it is.
func call(ctx context.Context, key *clientassertion.Key, opts options, tell *narrator) error {
	if opts.issuer == "" {
		stop, err := startDemo(&opts, key)
		if err != nil {
			return err
		}
		defer stop()
	}
	client, err := helseid.New(helseid.Config{Issuer: opts.issuer, ClientID: opts.clientID, Key: key})
	if err != nil {
		return err
	}
	defer client.Close()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, opts.url, nil)
	if err != nil {
		return err
	}
	response, err := client.HTTPClient(helseid.TokenRequest{Scopes: strings.Fields(opts.scope)}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return err
	}
	tell.step("call", facts{"alg": key.Algorithm(), "kid": key.ID(), "status": response.StatusCode},
		"HelseID has accepted an assertion by %s, and the API answers %s: %s", key.Algorithm(), response.Status, body)
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the API answered %s", response.Status)
	}
	return nil
}
