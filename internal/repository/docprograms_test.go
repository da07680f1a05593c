package repository_test

import (
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/format"
	"go/parser"
	"go/token"
	"go/types"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A code block of a package's documentation that begins with a package clause compiles.
// What other Go code in it uses of the packages exists.
func TestProgramsInDocumentationCompile(t *testing.T) {
	packages := publicTypes(t)
	programs, parts := 0, 0
	for folder, files := range packages.sources {
		for _, file := range files {
			for i, code := range codeBlocks(file.Doc.Text()) {
				name := fmt.Sprintf("block %d of %s", i+1, folder)
				switch {
				case strings.HasPrefix(code, "package "):
					programs++
					require.Empty(t, packages.mistakes(name, code))
					formatted, err := format.Source([]byte(code))
					require.NoError(t, err)
					require.Equal(t, string(formatted), code, "%s is not formatted", name)
				case goCode.MatchString(code):
					parts++
					require.Empty(t, packages.mistakesOfPart(name, code))
				}
			}
		}
	}
	require.GreaterOrEqual(t, programs, 8)
	require.GreaterOrEqual(t, parts, 4)
}

func TestProgramsThatDoNotCompileAreFound(t *testing.T) {
	packages := publicTypes(t)
	const head = "package main\n\nimport \"github.com/helseid-go/sdk/dpop\"\n\n"
	for code, want := range map[string]int{
		head + "func main() { _ = dpop.ProverConfig{} }\n":           0,
		head + "func main() {}\n":                                    1,
		head + "func main() { _ = dpop.ProverConfig{}; return 1 }\n": 1,
		"package main\n\nfunc main() { _ = dpop.ProverConfig{} }\n":  1,
		"package main\n\nfunc main() {\n":                            1,
	} {
		require.Len(t, packages.mistakes("program", code), want, code)
	}
	for code, want := range map[string]int{
		"web, err := weblogin.New(config)\n…\nlog.Fatal(err)\n": 0,
		"Client: redis.NewClusterClient(options),\n":            0,
		"func home(web *weblogin.Web) { web.Mount(mux) }\n":     0,
		"web := weblogin.NewWeb(config)\n":                      1,
		"login := helseid.LoginRequest{Level: 4}\n":             1,
		"config := redisstore.Config{Address: secret}\n":        1,
		"func home(web *weblogin.Web) { web.MountAll(mux) }\n":  1,
		"web := weblogin.New(\n":                                1,
	} {
		require.Len(t, packages.mistakesOfPart("part", code), want, code)
	}
}

// mistakes returns those of a whole file.
func (p *typedPackages) mistakes(name, code string) []string {
	file, err := parser.ParseFile(p.positions, name, code, 0)
	if err != nil {
		return []string{err.Error()}
	}
	var mistakes []string
	config := types.Config{Importer: p, Error: func(err error) {
		if !strings.Contains(err.Error(), errElsewhere.Error()) {
			mistakes = append(mistakes, err.Error())
		}
	}}
	_, _ = config.Check("documentation", p.positions, []*ast.File{file}, nil)
	return mistakes
}

var (
	goCode = regexp.MustCompile(`(?m) := |^func |^\t*\w+\.\w+\(.*\)$|[a-z]\.[A-Z]\w+\{`)
	// surroundings are what the rest of the program would have.
	surroundings = regexp.MustCompile(`: (?:undefined: \w+|declared and not used: \w+|missing return|".*" imported and not used)$`)
	omission     = regexp.MustCompile(`(?m)^\t*…$`)
)

// mistakesOfPart returns those of declarations, of statements or of fields that do not
// come from what is missing around them.
func (p *typedPackages) mistakesOfPart(name, code string) []string {
	head := "package documentation\n"
	for folder := range p.sources {
		if strings.Contains(code, path.Base(folder)+".") {
			head += fmt.Sprintf("import %q\n", path.Join(module, folder))
		}
	}
	code = omission.ReplaceAllString(code, "")
	for _, form := range []string{"%s", "func _() {\n%s\n}", "var _ = []any{\n%s\n}"} {
		whole := head + fmt.Sprintf(form, code)
		if _, err := parser.ParseFile(token.NewFileSet(), name, whole, 0); err == nil {
			return slices.DeleteFunc(p.mistakes(name, whole), surroundings.MatchString)
		}
	}
	return []string{name + " is neither declarations nor statements nor fields"}
}

// codeBlocks returns the indented blocks of a documentation text.
func codeBlocks(text string) []string {
	var blocks []string
	for _, block := range new(comment.Parser).Parse(text).Content {
		if code, ok := block.(*comment.Code); ok {
			blocks = append(blocks, code.Text)
		}
	}
	return blocks
}
