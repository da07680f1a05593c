package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// complianceFile has a table row for each requirement: what it is, the code that meets
// it, and the tests that notice if the code does not.
const complianceFile = "docs/compliance.md"

// breaks names the mutations that break the code of each row, by the row's id.
//
//go:embed compliance.json
var breaks []byte

// row is a row of the compliance document that names code and tests.
type row struct {
	id    string
	files []string            // of the code
	tests map[string][]string // names of test functions by folder
}

var (
	codeReference = regexp.MustCompile("`([a-z0-9/_]+\\.go): [A-Za-z0-9_.]+`")
	testReference = regexp.MustCompile("`([a-z0-9/_]+|\\.): (Test[A-Za-z0-9_]+)`")
)

// readRows returns the rows of a compliance document that name tests.
func readRows(document string) []row {
	var rows []row
	for line := range strings.Lines(document) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 6 || !testReference.MatchString(cells[4]) {
			continue
		}
		found := row{id: strings.TrimSpace(cells[1]), tests: make(map[string][]string)}
		for _, reference := range codeReference.FindAllStringSubmatch(cells[3], -1) {
			if !slices.Contains(found.files, reference[1]) {
				found.files = append(found.files, reference[1])
			}
		}
		for _, reference := range testReference.FindAllStringSubmatch(cells[4], -1) {
			found.tests[reference[1]] = append(found.tests[reference[1]], reference[2])
		}
		rows = append(rows, found)
	}
	return rows
}

// selection says which rows are tried.
type selection struct {
	only  *regexp.Regexp // of the row's id
	tenth int            // 1 to 10: every tenth row, beginning with this one; 0: all
}

// tenthOf is the tenth whose turn it is on a day.
func tenthOf(day time.Time) int { return int(day.Unix()/(24*60*60))%10 + 1 }

// runCompliance breaks the code of the selected rows. A mutation fails if none of the
// tests that its row names notices it, and so does a named test that notices no mutation
// of its row. A test counts as noticing unless it passes.
func runCompliance(list []mutation, selected selection, jobs int, verbose bool) (failed int, err error) {
	document, err := os.ReadFile(complianceFile)
	if err != nil {
		return 0, err
	}
	var mutationsOf map[string][]string
	if err := json.Unmarshal(breaks, &mutationsOf); err != nil {
		return 0, err
	}
	rows := slices.DeleteFunc(readRows(string(document)), func(r row) bool { return !selected.only.MatchString(r.id) })
	if selected.tenth > 0 {
		all := rows
		rows = nil
		for i := selected.tenth - 1; i < len(all); i += 10 {
			rows = append(rows, all[i])
		}
	}

	// Rows share mutations: each is tried once, with the tests of all its rows.
	tests := make(map[string]map[string][]string) // by mutation and folder
	for _, r := range rows {
		for _, name := range mutationsOf[r.id] {
			if tests[name] == nil {
				tests[name] = make(map[string][]string)
			}
			for folder, named := range r.tests {
				for _, test := range named {
					if !slices.Contains(tests[name][folder], test) {
						tests[name][folder] = append(tests[name][folder], test)
					}
				}
			}
		}
	}
	noticed := tryAll(list, tests, jobs, verbose)
	for _, r := range rows {
		faults := r.faults(mutationsOf[r.id], noticed)
		if len(faults) == 0 {
			fmt.Printf("ok    %s\n", r.id)
			continue
		}
		failed++
		for _, fault := range faults {
			fmt.Printf("FAIL  %s: %s\n", r.id, fault)
		}
	}
	fmt.Printf("%d rows passed, %d failed; %d mutations\n", len(rows)-failed, failed, len(tests))
	return failed, nil
}

// tryAll returns which tests notice each mutation. The tests are named by mutation and
// folder.
func tryAll(list []mutation, tests map[string]map[string][]string, jobs int, verbose bool) map[string][]string {
	var (
		all     errgroup.Group
		mu      sync.Mutex
		noticed = make(map[string][]string)
	)
	all.SetLimit(jobs)
	for _, m := range list {
		if tests[m.Name] == nil {
			continue
		}
		all.Go(func() error {
			start := time.Now()
			found, err := m.tryTests(tests[m.Name], verbose)
			mu.Lock()
			defer mu.Unlock()
			noticed[m.Name] = found
			fmt.Printf("tried %s: %d of %d tests notice it (%.1f s)\n", m.Name, len(found), count(tests[m.Name]), time.Since(start).Seconds())
			if err != nil { // what cannot be tried is not noticed
				fmt.Printf("FAIL  %s: %v\n", m.Name, err)
			}
			return nil
		})
	}
	_ = all.Wait() // none fails
	return noticed
}

func count(tests map[string][]string) (sum int) {
	for _, named := range tests {
		sum += len(named)
	}
	return sum
}

// faults tells what is wrong with a row, if these tests noticed the mutations.
func (r *row) faults(mutations []string, noticed map[string][]string) []string {
	var faults []string
	useful := make(map[string]bool)
	for _, name := range mutations {
		found := false
		for folder, tests := range r.tests {
			for _, test := range tests {
				if slices.Contains(noticed[name], folder+": "+test) {
					found, useful[folder+": "+test] = true, true
				}
			}
		}
		if !found {
			faults = append(faults, fmt.Sprintf("no named test notices the mutation %q", name))
		}
	}
	for _, folder := range slices.Sorted(maps.Keys(r.tests)) {
		for _, test := range r.tests[folder] {
			if !useful[folder+": "+test] {
				faults = append(faults, fmt.Sprintf("%s: %s notices none of its mutations", folder, test))
			}
		}
	}
	return faults
}

var passed = regexp.MustCompile(`(?m)^--- PASS: (\S+) `)

// tryTests returns which of the tests notice the mutation, as "folder: TestName".
func (m *mutation) tryTests(tests map[string][]string, verbose bool) (noticed []string, err error) {
	scratch, err := os.MkdirTemp("", "mutation-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	overlay, err := m.overlay(scratch)
	if err != nil {
		return nil, err
	}
	for _, folder := range slices.Sorted(maps.Keys(tests)) {
		output, failure := goCommand("test", overlay, "./"+path.Clean(folder), "-vet=off", "-v", "-timeout=3m",
			"-run", "^("+strings.Join(tests[folder], "|")+")$")
		if verbose {
			fmt.Println(strings.TrimSpace(output))
		}
		if strings.Contains(output, "[build failed]") || strings.Contains(output, "[setup failed]") {
			return nil, fmt.Errorf("it does not compile: %s", output)
		}
		if failure == nil {
			continue
		}
		var passes []string
		for _, found := range passed.FindAllStringSubmatch(output, -1) {
			passes = append(passes, found[1])
		}
		for _, test := range tests[folder] {
			if !slices.Contains(passes, test) {
				noticed = append(noticed, folder+": "+test)
			}
		}
	}
	return noticed, nil
}
