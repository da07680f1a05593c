//go:build unix

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

func main() {
	if os.Getenv(envStep) != "" {
		os.Exit(victim(os.Stdout, os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("rotationkill", flag.ContinueOnError)
	flags.SetOutput(stderr)
	times := flags.Int("n", 100, "kills at each step")
	parallel := flags.Int("p", 2, "kills at the same time")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 || *times < 1 || *parallel < 1 {
		fmt.Fprintln(stderr, "rotationkill: -n or -p is not positive, or there is an argument too many")
		return 2
	}
	code := 0
	for _, dies := range []bool{false, true} {
		found, err := killAtEachStep(ctx, dies, *times, *parallel)
		if err == nil {
			fmt.Fprintln(stdout, found)
			err = found.verdict()
		}
		if err != nil {
			fmt.Fprintln(stderr, "rotationkill:", err)
			code = 1
		}
	}
	return code
}
