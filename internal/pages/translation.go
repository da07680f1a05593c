package pages

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
)

var translatedFrom = regexp.MustCompile(`<!-- translated from (\S+), sha256 ([0-9a-f]{64}) -->`)

// Translation reports how a translated page has drifted from the original: it was made from
// another text, or has other headings, code or links. The two may link to each other.
func Translation(original, translated Page) []Problem {
	var problems []Problem
	report := func(format string, values ...any) {
		problems = append(problems, problemf(translated, 1, format, values...))
	}
	sum := sha256.Sum256([]byte(strings.Join(original.Lines, "\n")))
	digest := hex.EncodeToString(sum[:])
	switch found := translatedFrom.FindStringSubmatch(strings.Join(translated.Lines, "\n")); {
	case found == nil:
		report("it does not say what it was translated from: <!-- translated from %s, sha256 %s -->", original.Path, digest)
	case found[1] != original.Path || found[2] != digest:
		report("%s has changed since: translate the change, then write sha256 %s", original.Path, digest)
	}
	level := func(h Heading) int { return h.Level }
	if !slices.Equal(each(original.Headings, level), each(translated.Headings, level)) {
		report("its headings are others than those of %s", original.Path)
	}
	code := func(b Block) string { return b.Language + " " + b.Source + "\n" + b.Text }
	if !slices.Equal(each(original.Blocks, code), each(translated.Blocks, code)) {
		report("its code blocks are others than those of %s", original.Path)
	}
	target := func(l Link) string {
		if l.Target == original.Path || l.Target == translated.Path {
			return "the other one"
		}
		return l.Target
	}
	if !slices.Equal(slices.Sorted(slices.Values(each(original.Links, target))), slices.Sorted(slices.Values(each(translated.Links, target)))) {
		report("its links are others than those of %s", original.Path)
	}
	return problems
}

func each[A, B any](list []A, f func(A) B) []B {
	var all []B
	for _, element := range list {
		all = append(all, f(element))
	}
	return all
}
