// Command mutation breaks one security check after the other and requires that a
// test notices. It replaces files for the compiler only (go test -overlay): the
// tree stays as it is.
//
//	go run ./internal/mutation           the short list
//	go run ./internal/mutation -all      every one, which takes half an hour
//	go run ./internal/mutation -run htu  those whose names match
//
// It also swaps every comparison, && and || of a file or folder, one after the other, and
// prints which swaps the tests of its package do not notice; -run and -skip choose tests
// then:
//
//	go run ./internal/mutation -operators internal/jwks
package main

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

//go:embed mutations.json
var list []byte

// mutation replaces one piece of a file, which must occur exactly once.
type mutation struct {
	Name string   `json:"name"`
	File string   `json:"file"`
	Old  string   `json:"old"`
	New  string   `json:"new"`
	Test []string `json:"test"` // packages whose tests must notice
	Run  string   `json:"run"`  // regexp of the tests that are enough, for a package whose tests take long
	CI   bool     `json:"ci"`   // one of the short list that CI runs
}

func main() {
	all := flag.Bool("all", false, "try all mutations, not just the short list")
	only := flag.String("run", "", "`regexp` of the mutations to try, of all")
	verbose := flag.Bool("v", false, "print the output of the tests")
	operators := flag.String("operators", "", "swap each comparison, && and || of this `path` instead; -run and -skip choose tests")
	skipped := flag.String("skip", "", "`regexp` of tests that are not run, with -operators")
	flag.Parse()
	if *operators != "" {
		if err := runOperators(*operators, *only, *skipped); err != nil {
			fmt.Fprintln(os.Stderr, "mutation:", err)
			os.Exit(1)
		}
		return
	}
	failed, err := run(*all, *only, *verbose)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(1)
	}
	if failed > 0 {
		os.Exit(1)
	}
}

func run(all bool, only string, verbose bool) (failed int, err error) {
	filter, err := regexp.Compile(only)
	if err != nil {
		return 0, err
	}
	var mutations []mutation
	if err := json.Unmarshal(list, &mutations); err != nil {
		return 0, err
	}
	scratch, err := os.MkdirTemp("", "mutation-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(scratch) }()

	noticed := 0
	for _, m := range mutations {
		if !filter.MatchString(m.Name) || !all && only == "" && !m.CI {
			continue
		}
		start := time.Now()
		verdict, err := m.try(scratch, verbose)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", m.Name, err)
		}
		if verdict {
			noticed++
			fmt.Printf("ok    %s (%.1f s)\n", m.Name, time.Since(start).Seconds())
		} else {
			failed++
			fmt.Printf("FAIL  %s: no test notices that %s is broken\n", m.Name, m.File)
		}
	}
	fmt.Printf("%d passed, %d failed\n", noticed, failed)
	return failed, nil
}

// try reports whether a test fails with the mutation. A mutation that does not
// compile proves nothing and is an error.
func (m *mutation) try(scratch string, verbose bool) (noticed bool, err error) {
	source, err := os.ReadFile(m.File)
	if err != nil {
		return false, err
	}
	if n := bytes.Count(source, []byte(m.Old)); n != 1 {
		return false, fmt.Errorf("the piece to replace occurs %d times in %s", n, m.File)
	}
	mutated := filepath.Join(scratch, "mutated.go")
	if err := os.WriteFile(mutated, bytes.Replace(source, []byte(m.Old), []byte(m.New), 1), 0o600); err != nil {
		return false, err
	}
	original, err := filepath.Abs(m.File)
	if err != nil {
		return false, err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{original: mutated}})
	if err != nil {
		return false, err
	}
	overlayFile := filepath.Join(scratch, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		return false, err
	}
	if output, err := goCommand("build", overlayFile, "./"+filepath.Dir(m.File), "-o", os.DevNull); err != nil {
		return false, fmt.Errorf("it does not compile: %s", output)
	}
	for _, pkg := range m.Test {
		output, err := goCommand("test", overlayFile, pkg, "-vet=off", "-failfast", "-run", m.Run)
		if verbose {
			fmt.Println(cmp.Or(strings.TrimSpace(output), "(no output)"))
		}
		if err != nil {
			return true, nil
		}
	}
	return false, nil
}

// goCommand runs the go command for one package, in the package's own folder: it may
// belong to a module below this one. Programs that a test builds have the mutation, too.
func goCommand(verb, overlay, pkg string, args ...string) (string, error) {
	command := exec.Command("go", append([]string{"-C", pkg, verb}, args...)...)
	command.Env = append(os.Environ(), "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+overlay))
	output, err := command.CombinedOutput()
	return string(output), err
}
