package pages_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/pages"
)

// A small repository. Its pages are those of the tests.
var tree = fstest.MapFS{
	".ci/run":        {Data: []byte("step_test() { go test; }\n")},
	"docs/there.md":  {Data: []byte("# A heading with `code`\n")},
	"good/good.go":   {Data: []byte("package good\n\ntype Config struct{ Field int }\n\nfunc (c *Config) Check() {}\n\nfunc New() {}\n\ntype Place string\n\nconst Here Place = \"\"\n\nfunc (p Place) Name() {}\n")},
	"program/run.go": {Data: []byte("package main\n\nimport \"flag\"\n\nvar url = flag.String(\"url\", \"\", \"a `URL`\")\n\nfunc main() { flag.StringVar(url, \"scope\", \"\", \"\") }\n")},
	"code_test.go": {Data: []byte(strings.Join([]string{
		"package code", "func TestThings(t *testing.T) {", "\t// region things", "\ta, err := things()", "\trequire.NoError(t, err)",
		"\tif a {", "\t\tb() // hide", "\t\tc()", "\t}", "\t// endregion", "\td()", "}", "// region open", "",
	}, "\n"))},
}

func helseid(arguments ...string) (string, error) {
	switch strings.Join(arguments, " ") {
	case "-h", "key -h":
		return "Usage: helseid COMMAND [flags]\n\n  token  gets one\n  key    keys\n  new    makes one\n", nil
	case "token -h", "key new -h":
		return "Usage: helseid token [flags]\n\nFlags:\n  -config file\n      file\n", nil
	}
	return "", errors.New("exit status 2")
}

// Each check finds what it is for, and nothing in a good page.
func TestChecks(t *testing.T) {
	t.Parallel()
	names, err := pages.CollectNames(tree)
	require.NoError(t, err)
	there := pages.Parse("docs/there.md", string(tree["docs/there.md"].Data))
	links := func(page pages.Page) []pages.Problem {
		return pages.Links(tree, page, []pages.Page{there, page}, names)
	}
	exist := func(page pages.Page) []pages.Problem { return pages.NamesExist(tree, page, names) }
	commands := func(page pages.Page) []pages.Problem { return pages.Commands(tree, page, helseid) }
	code := func(page pages.Page) []pages.Problem {
		return pages.Code(tree, page, func(text string) error {
			if strings.Contains(text, "\t") {
				return errors.New("a tab")
			}
			return nil
		})
	}
	figures := func(page pages.Page) []pages.Problem { return pages.Figures(page, "33.9 µs") }
	block := func(source, language, text string) string {
		return "<!-- " + source + " -->\n```" + language + "\n" + text + "```\n"
	}
	for name, c := range map[string]struct {
		check func(page pages.Page) []pages.Problem
		text  string
		wrong string // part of the problem, or "" if the page is good
	}{
		"a file":                 {links, "[x](there.md)", ""},
		"a heading":              {links, "[x](there.md#a-heading-with-code)", ""},
		"a heading here":         {links, "# One\n# One\n[x](#one-1)", ""},
		"no file":                {links, "[x](missing.md)", "no such file"},
		"no heading":             {links, "[x](there.md#other)", "no such heading"},
		"no heading here":        {links, "# One\n[x](#one-1)", "no such heading"},
		"an image":               {links, "![x](missing.svg)", "no such file"},
		"plain http":             {links, "[x](http://example.no)", "not https"},
		"elsewhere":              {links, "[x](https://example.no/a#b)", ""},
		"a package":              {links, "[x](https://pkg.go.dev/github.com/helseid-go/sdk/good#Config.Check)", ""},
		"no package":             {links, "[x](https://pkg.go.dev/github.com/helseid-go/sdk/bad)", "no such package"},
		"no name in the package": {links, "[x](https://pkg.go.dev/github.com/helseid-go/sdk/good#Other)", "no such name"},
		"a link as code":         {links, "`[x](missing.md)`", ""},

		"a field":             {exist, "`good.Config.Field`", ""},
		"a method":            {exist, "`good.Config.Check(ctx)`", ""},
		"a method of a value": {exist, "`good.Here.Name()`", ""},
		"another's name":      {exist, "`http.Other`", ""},
		"no name":             {exist, "`good.Other`", "no such name"},
		"no field":            {exist, "`good.Config.Other`", "no such name"},
		"a path":              {exist, "`good/good.go`", ""},
		"a path from here":    {exist, "`docs/there.md`", ""},
		"another's path":      {exist, "`application/json`", ""},
		"no path":             {exist, "`good/bad.go`", "no such file"},
		"no path with a do":   {exist, "`./good/bad`", "no such file"},

		"a program":           {commands, "```sh\nA=b go run ./program -url \"a -b\" | x -y # -z\n```", ""},
		"a program elsewhere": {commands, "`go -C program run . -scope a`", ""},
		"a step":              {commands, "`.ci/run test`", ""},
		"packages":            {commands, "`go test ./good/...`", ""},
		"a command":           {commands, "`helseid token -config FILE -`", ""},
		"a command below":     {commands, "`helseid key new -config FILE`", ""},
		"a command by source": {commands, "`go run ./helseid/cmd/helseid token -file FILE`", "no flag -file"},
		"no program":          {commands, "`go run ./good`", "is no program"},
		"no such program":     {commands, "`go run ./bad`", "there is no program"},
		"no flag":             {commands, "```sh\ngo run ./program \\\n  -uri x\n```", "no flag -uri"},
		"no step":             {commands, "`.ci/run deploy`", "no step deploy"},
		"no packages":         {commands, "`go test ./bad/...`", "no folder"},
		"no module":           {commands, "`go get github.com/helseid-go/sdk/bad`", "no package"},
		"no command":          {commands, "`helseid tokens -config FILE`", "no command tokens"},
		"no command below":    {commands, "`helseid key old`", "no command old"},
		"no flag of it":       {commands, "`helseid token -file FILE`", "no flag -file"},

		"a region":           {code, block("code_test.go#things", "go", "a, err := things()\nif a {\n\tc()\n}\n"), ""},
		"another text":       {code, block("code_test.go#things", "go", "a, err := things()\n"), "differs"},
		"no region":          {code, block("code_test.go#other", "go", "a()\n"), "no region"},
		"a region to no end": {code, block("code_test.go#open", "go", "a()\n"), "has no end"},
		"no source":          {code, "```go\na()\n```", "nothing compiles"},
		"no Go":              {code, "```go\na(\n```", "expected"},
		"no JSON":            {code, "```json\n{a}\n```", "no JSON"},
		"JSON":               {code, "```json\n{\"a\": 1}\n```", ""},
		"no YAML":            {code, "```yaml\na:\n\t- b\n```", "no YAML"},
		"YAML":               {code, "```yaml\na: b\n---\nc: d\n```", ""},
		"no configuration":   {code, "```nginx\nlisten 80;\n```", "nothing runs"},
		"no language":        {code, "```\na\n```", "no language"},

		"a figure":     {figures, "It takes 33.9 µs.", ""},
		"in Norwegian": {figures, "Det tar 33,9 µs.", ""},
		"no figure":    {figures, "It takes 33.8 µs.", "not measured"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			problems := c.check(pages.Parse("docs/guides/page.md", c.text))
			if strings.HasPrefix(c.text, "[x](there.md") {
				problems = c.check(pages.Parse("docs/page.md", c.text))
			}
			if c.wrong == "" {
				require.Empty(t, problems)
				return
			}
			require.Len(t, problems, 1)
			require.Contains(t, problems[0].String(), c.wrong)
		})
	}
}

func TestUpdateCopiesRegions(t *testing.T) {
	t.Parallel()
	text := "a\n<!-- code_test.go#things -->\n```go\nold\nolder\n```\nb\n<!-- docs/there.md -->\n```text\n```\n"
	updated, err := pages.Update(tree, pages.Parse("page.md", text))
	require.NoError(t, err)
	require.Equal(t, "a\n<!-- code_test.go#things -->\n```go\na, err := things()\nif a {\n\tc()\n}\n```\nb\n"+
		"<!-- docs/there.md -->\n```text\n# A heading with `code`\n```\n", updated)
	problems := pages.Code(tree, pages.Parse("page.md", updated), nil)
	require.Empty(t, problems)
}

func TestTranslation(t *testing.T) {
	t.Parallel()
	const english = "# One\n[nb](b.md) [x](x.md)\n```sh\nls\n```\n"
	original := pages.Parse("a.md", english)
	translated := func(text string) []pages.Problem { return pages.Translation(original, pages.Parse("b.md", text)) }
	problems := translated("# En\n[x](x.md) [en](a.md)\n```sh\nls\n```\n")
	require.Len(t, problems, 1)
	_, comment, _ := strings.Cut(problems[0].Text, ": ")
	require.Empty(t, translated(comment+"\n# En\n[x](x.md) [en](a.md)\n```sh\nls\n```\n"))
	for wrong, text := range map[string]string{
		"headings": "## En\n[x](x.md) [en](a.md)\n```sh\nls\n```\n",
		"links":    "# En\n[x](y.md) [en](a.md)\n```sh\nls\n```\n",
		"code":     "# En\n[x](x.md) [en](a.md)\n```sh\nls -l\n```\n",
	} {
		problems := translated(comment + "\n" + text)
		require.Len(t, problems, 1, wrong)
		require.Contains(t, problems[0].Text, wrong)
	}
	original = pages.Parse("a.md", english+"More.\n")
	problems = translated(comment + "\n# En\n[x](x.md) [en](a.md)\n```sh\nls\n```\n")
	require.Len(t, problems, 1)
	require.Contains(t, problems[0].Text, "has changed since")
}
