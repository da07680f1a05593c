package pages

import (
	"encoding/json"
	"go/format"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

// Code reports code blocks that are not what they say: one with a source that differs from
// it, Go code that is not compiled anywhere, and what cannot be parsed. The guides and the
// README show Go code and configurations of proxies with a source only. The YAML parser is
// the caller's.
func Code(root fs.FS, page Page, parseYAML func(text string) error) []Problem {
	var problems []Problem
	for _, block := range page.Blocks {
		report := func(format string, values ...any) {
			problems = append(problems, problemf(page, block.Line, format, values...))
		}
		if block.Source != "" {
			text, err := Region(root, block.Source)
			switch {
			case err != nil:
				report("%v", err)
			case text != block.Text:
				report("it differs from %s: go test ./internal/pages -update copies it", block.Source)
			}
		}
		switch block.Language {
		case "go":
			if _, err := format.Source([]byte(block.Text)); err != nil {
				report("%v", err)
			} else if block.Source == "" && isGuide(page.Path) {
				report("nothing compiles it: name its source above it")
			}
		case "json":
			if !json.Valid([]byte(block.Text)) {
				report("it is no JSON")
			}
		case "yaml":
			for document := range strings.SplitSeq(block.Text, "\n---\n") {
				if err := parseYAML(document); err != nil {
					report("it is no YAML: %v", err)
				}
			}
		case "nginx":
			if block.Source == "" {
				report("nothing runs it: name its source above it")
			}
		case "":
			report("it has no language; text is one")
		}
	}
	return problems
}

func isGuide(path string) bool {
	return strings.HasPrefix(path, "docs/guides/") || strings.HasPrefix(path, "README")
}

// Update returns the page's text with what its sources say.
func Update(root fs.FS, page Page) (string, error) {
	lines := slices.Clone(page.Lines)
	for _, block := range slices.Backward(page.Blocks) {
		if block.Source == "" {
			continue
		}
		text, err := Region(root, block.Source)
		if err != nil {
			return "", err
		}
		// Line is counted from 1, so it is the index of the first line in the block.
		end := block.Line + strings.Count(block.Text, "\n")
		lines = slices.Replace(lines, block.Line, end, strings.Split(strings.TrimSuffix(text, "\n"), "\n")...)
	}
	return strings.Join(lines, "\n"), nil
}

// speed are figures that only a measurement gives. Times in milliseconds are often limits.
var speed = regexp.MustCompile(`\d[\d.,]* (?:ns|µs|×)`)

// Figures reports measured figures of a page that the page of the measurements does not
// have.
func Figures(page Page, measured string) []Problem {
	var problems []Problem
	for i, line := range page.Lines {
		for _, figure := range speed.FindAllString(line, -1) {
			if !strings.Contains(measured, strings.ReplaceAll(figure, ",", ".")) { // which is a comma in Norwegian
				problems = append(problems, problemf(page, i+1, "%s was not measured", figure))
			}
		}
	}
	return problems
}
