// Command cluster shows what several processes share through Redis or Valkey: two
// processes of an API refuse each other's used proofs, and two processes of a client
// use one token. Then Redis is killed while they are working.
//
//	go run .
//	go run . -redis rediss://user:password@redis.example.no:6379
//
// It starts the four processes itself, on loopback, and in its own process a HelseID
// and a load balancer in front of the API, at which an attacker listens. Without -redis
// it starts a redis-server or valkey-server, which must be installed. With -redis it
// uses an existing Redis, with a key prefix of its own; it does not kill that one, but
// cuts the connection to it.
//
// It exits with 0 if everything happened as expected, with 1 if not, and with 2 for a
// mistake in the flags or if there is no Redis to start.
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

	"github.com/helseid-go/sdk/helseid/redisstore"
)

const (
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(runProcess(ctx, role, os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type options struct {
	redis string
	json  bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return exitUsage // the flag package has printed the error
	}
	tell := &narrator{out: stdout, asJSON: opts.json}
	switch err := show(ctx, opts, tell, stderr); {
	case err == nil:
		return 0
	case errors.Is(err, errNoRedis), errors.Is(err, redisstore.ErrConfig):
		fmt.Fprintln(stderr, "cluster:", err)
		return exitUsage
	default:
		fmt.Fprintln(stderr, "cluster:", err)
		return exitFailure
	}
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&opts.redis, "redis", "", "`URL` of a Redis or Valkey (rediss://, redis:// or unix://); empty: one is started")
	flags.BoolVar(&opts.json, "json", false, "print one JSON object per line")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		err := fmt.Errorf("unexpected argument %q", flags.Arg(0))
		fmt.Fprintln(stderr, "cluster:", err)
		return options{}, err
	}
	return opts, nil
}
