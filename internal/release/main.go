// Command release tags the modules of this repository, and tries that first.
//
//	go -C internal/release run . rehearse     tags a copy, installs everything from it by version, compares APIs
//	go -C internal/release run . api          incompatible changes since the last tag
//	go -C internal/release run . sbom DIR     a list of the dependencies of each module (CycloneDX)
//	go -C internal/release run . tag v0.1.0   tags this repository; pushing is left to a person
//
// Modules below the root replace the root by the folder that they are in, so that a change
// of both is one commit. A module that is installed by version has no such lines: they are
// dropped in commits of their own, which are on no branch and which the tags point to. The
// root is tagged first, since the others require it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) error {
	root, err := output(ctx, "", "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	command, argument := "", ""
	if len(arguments) > 0 {
		command = arguments[0]
	}
	if len(arguments) > 1 {
		argument = arguments[1]
	}
	switch {
	case command == "rehearse" && len(arguments) == 1:
		return rehearse(ctx, root)
	case command == "api" && len(arguments) == 1:
		return compare(ctx, root)
	case command == "sbom" && len(arguments) == 2:
		return listDependencies(ctx, root, argument)
	case command == "tag" && len(arguments) == 2:
		return tagForGood(ctx, root, argument)
	}
	return errors.New("usage: rehearse, api, sbom DIR, or tag VERSION")
}
