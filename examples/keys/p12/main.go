// Command p12 calls an API with a client key from a PKCS#12 file (.p12, .pfx), as
// certificate authorities hand them out.
//
//	go -C examples/keys run ./p12
//	go -C examples/keys run ./p12 -p12 client.p12 -password-file FILE
//	    -issuer https://helseid-sts.test.nhn.no -client-id ID -scope nhn:some-api/read -url https://api.example.no/v1/things
//
// Without -p12 it makes a file, and removes it again. Without -issuer it starts a HelseID
// and an API on loopback. What to copy is p12.go.
//
// It prints the public key, to be registered in HelseID Selvbetjening, and what the API
// answers. It exits with 0 if that is a 200, with 1 if not, and with 2 for a mistake in
// the flags or a file that cannot be read.
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
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

type options struct {
	file, passwordFile, algorithm string

	issuer, clientID, scope, url string
	json                         bool
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("p12", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&opts.file, "p12", "", "the PKCS#12 `file`; empty: one is made")
	flags.StringVar(&opts.passwordFile, "password-file", "", "`file` with the password; - is the standard input")
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
	case (opts.file == "") != (opts.passwordFile == ""):
		err = errors.New("-p12 and -password-file belong together")
	case opts.issuer != "" && (opts.file == "" || opts.clientID == "" || opts.url == ""):
		err = errors.New("-p12, -client-id and -url are required with -issuer")
	case opts.issuer == "" && (opts.clientID != "" || opts.scope != "" || opts.url != ""):
		err = errors.New("-issuer is required with -client-id, -scope and -url")
	}
	if err != nil {
		fmt.Fprintln(stderr, "p12:", err)
	}
	return opts, err
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	opts, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return exitUsage
	}
	tell := &narrator{out: stdout, asJSON: opts.json}
	key, err := openKey(opts, stdin, tell)
	if err != nil {
		fmt.Fprintln(stderr, "p12:", err)
		return exitUsage
	}
	tell.step("key", facts{"public_jwk": json.RawMessage(key.PublicJWK())},
		"The file holds the %s. What HelseID Selvbetjening needs of it is\n  %s", key, key.PublicJWK())
	if err := call(ctx, key, opts, tell); err != nil {
		fmt.Fprintln(stderr, "p12:", err)
		return exitFailure
	}
	return 0
}

// openKey reads the file, or makes one for the demonstration.
func openKey(opts options, stdin io.Reader, tell *narrator) (*clientassertion.Key, error) {
	if opts.file == "" {
		folder, err := os.MkdirTemp("", "p12-")
		if err != nil {
			return nil, err
		}
		defer func() { _ = os.RemoveAll(folder) }()
		if opts.file, opts.passwordFile, err = makeP12(folder); err != nil {
			return nil, err
		}
		tell.step("p12", nil, "A PKCS#12 file has been made, with a password.")
	}
	password, err := readSecret(opts.passwordFile, stdin)
	if err != nil {
		return nil, fmt.Errorf("-password-file: %w", err)
	}
	return readP12(opts.file, password, opts.algorithm)
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
