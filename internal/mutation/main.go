// Command mutation breaks one security check after the other and requires that a
// test notices. It replaces files for the compiler only (go test -overlay): the
// tree stays as it is.
//
//	go run ./internal/mutation           the short list
//	go run ./internal/mutation -all      every one, which takes half an hour
//	go run ./internal/mutation -run htu  those whose names match
//
// It also swaps every operator of a file or folder, one after the other, and prints which
// swaps the tests of its package do not notice:
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
	operators := flag.String("operators", "", "swap each operator of this `path` instead; -run says which tests to run")
	flag.Parse()
	if *operators != "" {
		if err := runOperators(*operators, *only); err != nil {
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
	result, output, err := m.tryWith(scratch, bytes.Replace(source, []byte(m.Old), []byte(m.New), 1))
	if verbose && result != uncompiled {
		fmt.Println(cmp.Or(strings.TrimSpace(output), "(no output)"))
	}
	if err == nil && result == uncompiled {
		err = fmt.Errorf("it does not compile: %s", output)
	}
	return result == killed, err
}

// outcome is what became of a mutation.
type outcome string

const (
	killed     outcome = "killed"     // a test noticed
	lived      outcome = "lived"      // none did
	uncompiled outcome = "uncompiled" // it proves nothing
)

// tryWith runs the tests with another content of the file, and returns the output of the
// last command.
func (m *mutation) tryWith(scratch string, content []byte) (result outcome, output string, err error) {
	mutated := filepath.Join(scratch, "mutated.go")
	if err := os.WriteFile(mutated, content, 0o600); err != nil {
		return "", "", err
	}
	original, err := filepath.Abs(m.File)
	if err != nil {
		return "", "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{original: mutated}})
	if err != nil {
		return "", "", err
	}
	overlayFile := filepath.Join(scratch, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		return "", "", err
	}
	if output, err := goCommand("build", overlayFile, "./"+filepath.Dir(m.File), "-o", os.DevNull); err != nil {
		return uncompiled, output, nil
	}
	for _, pkg := range m.Test {
		if output, err = goCommand("test", overlayFile, pkg, "-vet=off", "-failfast", "-timeout=3m", "-run", m.Run); err != nil {
			return killed, output, nil
		}
	}
	return lived, output, nil
}

// goCommand runs the go command for one package, in the package's own folder: it may
// belong to a module below this one. Programs that a test builds have the mutation, too.
func goCommand(verb, overlay, pkg string, args ...string) (string, error) {
	command := exec.Command("go", append([]string{"-C", pkg, verb}, args...)...)
	command.Env = append(os.Environ(), "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+overlay))
	output, err := command.CombinedOutput()
	return string(output), err
}
