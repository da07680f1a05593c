// Command pkcs11 calls an API with a client key that stays in an HSM: HelseID knows its
// public key, and the HSM signs the client assertions through PKCS#11.
//
//	go -C examples/keys run ./pkcs11
//	go -C examples/keys run ./pkcs11 -module /usr/lib/libvendor.so -token LABEL -key LABEL -pin-file FILE
//	    -issuer https://helseid-sts.test.nhn.no -client-id ID -scope nhn:some-api/read -url https://api.example.no/v1/things
//
// Without -module it makes a token of SoftHSM, with an RSA and an EC key, and removes it
// again: on Debian, the package softhsm2. Without -issuer it starts a HelseID and an API
// on loopback. It needs cgo, and so a C compiler. What to copy is hsm.go.
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
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

type options struct {
	module, token, pinFile, algorithm string
	keys                              []string // their labels

	issuer, clientID, scope, url string
	json                         bool
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("pkcs11", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&opts.module, "module", "", "the `file` of the HSM's PKCS#11 library; empty: a token of SoftHSM")
	flags.StringVar(&opts.token, "token", "", "`label` of the token")
	key := flags.String("key", "", "`label` of the key pair")
	flags.StringVar(&opts.pinFile, "pin-file", "", "`file` with the PIN; - is the standard input")
	flags.StringVar(&opts.algorithm, "alg", "", "JWS `algorithm`; empty: PS256, or that of an EC key's curve")
	flags.StringVar(&opts.issuer, "issuer", "", "HelseID's issuer `URL`; empty: an embedded HelseID and an API")
	flags.StringVar(&opts.clientID, "client-id", "", "the client's `id`")
	flags.StringVar(&opts.scope, "scope", "", "scopes to ask for, separated by spaces")
	flags.StringVar(&opts.url, "url", "", "`URL` to call")
	flags.BoolVar(&opts.json, "json", false, "print one JSON object per line")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	opts.keys = []string{*key}
	var err error
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case opts.module != "" && (opts.token == "" || *key == "" || opts.pinFile == ""):
		err = errors.New("-token, -key and -pin-file are required with -module")
	case opts.module == "" && (opts.token != "" || *key != "" || opts.pinFile != "" || opts.algorithm != ""):
		err = errors.New("-module is required with -token, -key, -pin-file and -alg")
	case opts.issuer != "" && (opts.module == "" || opts.clientID == "" || opts.url == ""):
		err = errors.New("-module, -client-id and -url are required with -issuer")
	case opts.issuer == "" && (opts.clientID != "" || opts.scope != "" || opts.url != ""):
		err = errors.New("-issuer is required with -client-id, -scope and -url")
	}
	if err != nil {
		fmt.Fprintln(stderr, "pkcs11:", err)
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
	keys, closeHSM, err := openKeys(ctx, &opts, stdin, tell)
	defer closeHSM()
	if err != nil {
		fmt.Fprintln(stderr, "pkcs11:", err)
		return exitUsage
	}
	for _, key := range keys {
		tell.step("key", facts{"public_jwk": json.RawMessage(key.PublicJWK())},
			"The %s is in the HSM. What HelseID Selvbetjening needs of it is\n  %s", key, key.PublicJWK())
		if err := call(ctx, key, opts, tell); err != nil {
			fmt.Fprintln(stderr, "pkcs11:", err)
			return exitFailure
		}
	}
	return 0
}

// openKeys logs in to the HSM, or makes one for the demonstration.
func openKeys(ctx context.Context, opts *options, stdin io.Reader, tell *narrator) (keys []*clientassertion.Key, closeAll func(), err error) {
	closeAll = func() {}
	var pin string
	if opts.module == "" {
		token, err := startSoftHSM(ctx)
		if err != nil {
			return nil, closeAll, err
		}
		closeAll = token.remove
		opts.module, opts.token, opts.keys, pin = token.module, token.label, token.keys, token.pin
		tell.step("softhsm", nil, "A token of SoftHSM has been made, with an RSA and an EC key.")
	} else if pin, err = readSecret(opts.pinFile, stdin); err != nil {
		return nil, closeAll, fmt.Errorf("-pin-file: %w", err)
	}
	hsm, err := openToken(opts.module, opts.token, pin)
	if err != nil {
		return nil, closeAll, err
	}
	remove := closeAll
	closeAll = func() {
		_ = hsm.Close()
		remove()
	}
	for _, label := range opts.keys {
		key, err := findKey(hsm, label, opts.algorithm)
		if err != nil {
			return nil, closeAll, err
		}
		keys = append(keys, key)
	}
	return keys, closeAll, nil
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
