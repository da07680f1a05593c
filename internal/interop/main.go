// Command interop runs the SDK and its example programs against an authorization server, an API and
// clients that nobody of this project wrote (npm oidc-provider, oauth4webapi, openid-client and dpop),
// so that the SDK and its own test server cannot agree on the same mistake: examples/machine calls
// their API, their clients call examples/api, and with their tokens the one calls the other. Users log
// in at their server by way of package helseid, and at helseidtest by way of their clients.
//
//	go run ./internal/interop [-run REGEXP] [-v] [-faults DURATION]
//
// It is run from the repository's root, needs node, npm and nginx, and fails when they
// are missing. Everything happens on 127.0.0.1; only npm reaches further, to install the servers.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

const deadline = 5 * time.Minute // for everything but the runs that -faults is about

// longRuns is how many scenarios last as long as -faults says.
const longRuns = 3

// A scenario is one thing to prove. It says in a few words what it saw.
type scenario struct {
	name string
	run  func(context.Context, *lab) (detail string, err error)
}

// A fatalError makes all further scenarios pointless.
type fatalError struct{ error }

func main() {
	if len(os.Args) == 2 && os.Args[1] == workerCommand {
		if err := work(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(run())
}

func run() int {
	pattern := flag.String("run", "", "run only the scenarios that match this `regexp`")
	verbose := flag.Bool("v", false, "show what the child processes print")
	faultTime := flag.Duration("faults", 20*time.Second, "how long the run among random faults and those with a shared session last")
	var binaries binaries
	flag.StringVar(&binaries.machine, "machine", "", "test this `binary` instead of building examples/machine")
	flag.StringVar(&binaries.api, "api", "", "test this `binary` instead of building examples/api")
	flag.Parse()
	selected, err := regexp.Compile(*pattern)
	if err != nil || flag.NArg() > 0 || *faultTime < 0 {
		fmt.Fprintln(os.Stderr, "usage: go run ./internal/interop [-run REGEXP] [-v] [-faults DURATION] [-machine BINARY] [-api BINARY]")
		return 2
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, deadline+longRuns**faultTime)
	defer cancel()

	log := io.Discard
	if *verbose {
		log = os.Stderr
	}
	lab, err := newLab(log, binaries, *faultTime)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer lab.close()

	passed, failed := 0, 0
	for _, s := range scenarios() {
		if !selected.MatchString(s.name) {
			continue
		}
		detail, err := s.run(ctx, lab)
		if err == nil {
			passed++
			fmt.Printf("ok  %s (%s)\n", s.name, detail)
			continue
		}
		failed++
		fmt.Printf("FAIL %s: %v\n", s.name, err)
		if ctx.Err() != nil {
			fmt.Fprintln(os.Stderr, "stopped:", context.Cause(ctx))
			break
		}
		if _, fatal := errors.AsType[fatalError](err); fatal {
			break
		}
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 || passed == 0 {
		return 1
	}
	return 0
}

func scenarios() []scenario {
	var all []scenario
	all = append(all, selftestScenarios()...)
	all = append(all, goodScenarios()...)
	all = append(all, authFaultScenarios()...)
	all = append(all, apiFaultScenarios()...)
	all = append(all, configScenarios()...)
	all = append(all, organizationScenarios()...)
	all = append(all, programScenarios()...)
	all = append(all, issuerScenarios()...)
	all = append(all, loginScenarios()...)
	all = append(all, loginRefusalScenarios()...)
	all = append(all, sharedSessionScenarios()...)
	all = append(all, jsClientScenarios()...)
	all = append(all, faultRunScenarios()...)
	return all
}
