// Command mutation breaks one security check after the other and requires that a
// test notices. It replaces files for the compiler only (go test -overlay): the
// tree stays as it is.
//
//	go run ./internal/mutation           the short list
//	go run ./internal/mutation -all      every one, which takes half an hour
//	go run ./internal/mutation -run htu  those whose names match
//
// It does the same with each row of docs/compliance.md, and then requires that the tests
// which the row names notice:
//
//	go run ./internal/mutation -compliance              every row
//	go run ./internal/mutation -compliance -day today   a tenth of them, another each day
//	go run ./internal/mutation -compliance -run FAPI    those whose ids match
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
	"errors"
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
	compliance := flag.Bool("compliance", false, "try the rows of "+complianceFile)
	day := flag.String("day", "", "with -compliance: the tenth of the rows of this `date` (2006-01-02, or today)")
	tenth := flag.Int("tenth", 0, "with -compliance: this tenth of the rows, `1 to 10`")
	only := flag.String("run", "", "`regexp` of the mutations to try, of all; with -compliance of the rows")
	jobs := flag.Int("jobs", 2, "with -compliance: how many mutations to try at a time")
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
	var failed int
	err := check(*compliance, *day, tenth)
	if err == nil {
		failed, err = run(*all, *compliance, *tenth, max(*jobs, 1), *only, *verbose)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(1)
	}
	if failed > 0 {
		os.Exit(1)
	}
}

// check checks the flags that go together, and turns a day into a tenth.
func check(compliance bool, day string, tenth *int) error {
	switch {
	case !compliance && (day != "" || *tenth != 0):
		return errors.New("-day and -tenth go with -compliance")
	case day != "" && *tenth != 0:
		return errors.New("-day and -tenth exclude each other")
	case *tenth < 0 || *tenth > 10:
		return errors.New("-tenth is 1 to 10")
	case day == "today":
		*tenth = tenthOf(time.Now())
	case day != "":
		date, err := time.Parse(time.DateOnly, day)
		if err != nil {
			return fmt.Errorf("-day: %w", err)
		}
		*tenth = tenthOf(date)
	}
	return nil
}

func run(all, compliance bool, tenth, jobs int, only string, verbose bool) (failed int, err error) {
	filter, err := regexp.Compile(only)
	if err != nil {
		return 0, err
	}
	var mutations []mutation
	if err := json.Unmarshal(list, &mutations); err != nil {
		return 0, err
	}
	if compliance {
		return runCompliance(mutations, selection{filter, tenth}, jobs, verbose)
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

// overlay writes the mutated file, and returns the name of the overlay for the go command.
func (m *mutation) overlay(scratch string) (name string, err error) {
	source, err := os.ReadFile(m.File)
	if err != nil {
		return "", err
	}
	if n := bytes.Count(source, []byte(m.Old)); n != 1 {
		return "", fmt.Errorf("the piece to replace occurs %d times in %s", n, m.File)
	}
	mutated := filepath.Join(scratch, "mutated.go")
	if err := os.WriteFile(mutated, bytes.Replace(source, []byte(m.Old), []byte(m.New), 1), 0o600); err != nil {
		return "", err
	}
	original, err := filepath.Abs(m.File)
	if err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{original: mutated}})
	if err != nil {
		return "", err
	}
	name = filepath.Join(scratch, "overlay.json")
	return name, os.WriteFile(name, overlay, 0o600)
}

// try reports whether a test fails with the mutation. A mutation that does not
// compile proves nothing and is an error.
func (m *mutation) try(scratch string, verbose bool) (noticed bool, err error) {
	overlayFile, err := m.overlay(scratch)
	if err != nil {
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
	// Without debugging information linking takes a third less time.
	command.Env = append(os.Environ(), "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -ldflags=-w -overlay="+overlay))
	output, err := command.CombinedOutput()
	return string(output), err
}
