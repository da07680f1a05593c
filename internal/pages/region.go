package pages

import (
	"fmt"
	"go/format"
	"io/fs"
	"path"
	"strings"
)

// Region returns the text that a source names, as pages show it: the region of a file after
// the number sign, or the whole file.
func Region(root fs.FS, source string) (string, error) {
	file, name, partial := strings.Cut(source, "#")
	data, err := fs.ReadFile(root, file)
	if err != nil {
		return "", err
	}
	var lines []string
	inside, found := !partial, !partial
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, " \t\r\n")
		marker := strings.TrimLeft(line, " \t")
		switch {
		case partial && marker == "// region "+name:
			if found {
				return "", fmt.Errorf("%s has two regions %s", file, name)
			}
			inside, found = true, true
		case partial && inside && marker == "// endregion":
			inside = false
		case inside && !hidden(marker):
			lines = append(lines, line)
		}
	}
	switch {
	case !found:
		return "", fmt.Errorf("%s has no region %s", file, name)
	case partial && inside:
		return "", fmt.Errorf("the region %s of %s has no end", name, file)
	}
	text := unindent(lines)
	if path.Ext(file) == ".go" { // comments are aligned with lines that are hidden
		if formatted, err := format.Source([]byte(text)); err == nil {
			text = string(formatted)
		}
	}
	return text, nil
}

func hidden(line string) bool {
	return strings.HasSuffix(line, "// hide") || line == "require.NoError(t, err)" ||
		strings.HasPrefix(line, "// region ") || line == "// endregion"
}

// unindent takes off the tabs that all lines start with, and empty lines at both ends.
func unindent(lines []string) string {
	least := -1
	for _, line := range lines {
		if tabs := len(line) - len(strings.TrimLeft(line, "\t")); line != "" && (least < 0 || tabs < least) {
			least = tabs
		}
	}
	for i, line := range lines {
		if line != "" {
			lines[i] = line[least:]
		}
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n") + "\n"
}
