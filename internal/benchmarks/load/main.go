// Command load drives the API of examples/api over loopback and reports requests
// per second and latencies, beside a bare handler and auth0's middleware on the
// same route.
//
//	go -C internal/benchmarks run ./load
//	go -C internal/benchmarks run ./load -quick
//	go -C internal/benchmarks run ./load -soak 30m -rate 100
//	go -C internal/benchmarks run ./load -flood 1m
//	go -C internal/benchmarks run ./load -rotate 10 -rate 200
//
// The three servers are processes of their own, and take turns, round after
// round. Proofs are made before the clock starts.
//
// With -soak it runs the SDK's client and middleware against a HelseID whose
// tokens live for seconds, whose keys change all the time and whose endpoints
// fail now and then, and requires that no call is lost, and that memory and
// goroutines stay as they were.
//
// With -flood strangers start 300 logins in a second and send codes that they have
// made up, while HelseID is slow, refuses and is silent towards them in turn, and
// no refresh of a running session may be lost or take long.
//
// With -rotate the key of a client is replaced under load, from EC to RSA-4096 and back,
// where old keys live on and where they die at once. No call may be lost, and no assertion
// may be by a key that HelseID does not know.
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
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type options struct {
	quick       bool
	rounds      int
	requests    int // of a round
	concurrency int

	soak time.Duration
	rate int

	flood time.Duration

	rotations int
	settle    time.Duration // zero: as selvbetjening.RotationConfig has it

	serve  string // the process is one of the servers
	issuer string
	folder string
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&opts.quick, "quick", false, "fewer and shorter rounds, for CI")
	flags.IntVar(&opts.rounds, "rounds", 12, "rounds")
	flags.IntVar(&opts.requests, "requests", 2000, "requests to each server in a round, up to 20 000")
	flags.IntVar(&opts.concurrency, "c", 16, "connections, up to 256")
	flags.DurationVar(&opts.soak, "soak", 0, "run the soak test for this long instead; the full one is 30m")
	flags.IntVar(&opts.rate, "rate", 100, "calls in a second of the soak test and of rotations, up to 1000")
	flags.IntVar(&opts.rotations, "rotate", 0, "replace a client's key so often under load instead; 10 is the full test")
	flags.DurationVar(&opts.flood, "flood", 0, "flood the client with logins for this long instead; 1m is the full one")
	flags.StringVar(&opts.serve, "serve", "", "for the program's own use: be one of its servers")
	flags.StringVar(&opts.issuer, "issuer", "", "for the program's own use")
	flags.StringVar(&opts.folder, "folder", "", "for the program's own use")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	var err error
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case opts.rounds < 1 || opts.requests < 1 || opts.requests > 20_000 || opts.concurrency < 1 || opts.concurrency > 256:
		err = errors.New("-rounds, -requests or -c is out of bounds")
	case opts.flood < 0 || opts.flood > time.Hour:
		err = errors.New("-flood is out of bounds")
	case opts.rotations < 0 || opts.rotations > 1000:
		err = errors.New("-rotate is out of bounds")
	case opts.soak < 0 || opts.rate < 1 || opts.rate > 1000:
		err = errors.New("-soak or -rate is out of bounds")
	}
	if err != nil {
		fmt.Fprintln(stderr, "load:", err)
		return options{}, err
	}
	if opts.quick {
		opts.rounds, opts.requests = 3, 300
	}
	return opts, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parseFlags(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	switch {
	case opts.serve != "":
		err = serve(ctx, opts, os.Stdin, stdout)
	case opts.soak > 0:
		err = soak(ctx, opts, stdout)
	case opts.flood > 0:
		err = flood(ctx, opts, stdout)
	case opts.rotations > 0:
		err = rotate(ctx, opts, stdout)
	default:
		err = load(ctx, opts, stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "load:", err)
		return 1
	}
	return 0
}
