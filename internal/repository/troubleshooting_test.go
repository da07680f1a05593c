package repository_test

import (
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// docs/troubleshooting.md has a row for every error and every code that a user can meet,
// and none for what does not exist.
func TestTroubleshootingIsComplete(t *testing.T) {
	page, err := os.ReadFile("docs/troubleshooting.md")
	require.NoError(t, err)
	explained := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		explained[row[1]] = true
	}
	exist := make(map[string]bool)
	_, packages := publicPackages(t)
	for folder, files := range packages {
		name := path.Base(folder)
		if strings.HasPrefix(folder, "helseid/helseidtest") {
			continue // for tests, which fail with their text
		}
		for _, file := range files {
			for _, found := range troubles(name, file) {
				exist[found] = true
			}
		}
	}
	// The guard's further reasons stand in the comment of those that are exported.
	source, err := os.ReadFile("middleware/reasons.go")
	require.NoError(t, err)
	for _, reason := range regexp.MustCompile(`(?m)\b[a-z]+(?:_[a-z]+)+\b`).FindAllString(string(source), -1) {
		exist[reason] = true
	}
	require.Greater(t, len(exist), 100)
	require.Equal(t, slices.Sorted(maps.Keys(exist)), slices.Sorted(maps.Keys(explained)))
}

// codeTypes are the types of the codes that users meet.
var codeTypes = []string{"Reason", "Kind", "Loop", "EndCause"}

// troubles lists the exported errors of a file as pkg.ErrName or *pkg.Type, and the values of its
// codes.
func troubles(pkg string, file *ast.File) (found []string) {
	for _, decl := range file.Decls {
		if function, ok := decl.(*ast.FuncDecl); ok && function.Name.Name == "Error" && function.Recv != nil {
			if star, ok := function.Recv.List[0].Type.(*ast.StarExpr); ok && star.X.(*ast.Ident).IsExported() {
				found = append(found, "*"+pkg+"."+star.X.(*ast.Ident).Name)
			}
		}
		general, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range general.Specs {
			value, ok := spec.(*ast.ValueSpec)
			if !ok {
				continue
			}
			for i, name := range value.Names {
				switch {
				case general.Tok == token.VAR && strings.HasPrefix(name.Name, "Err"):
					found = append(found, pkg+"."+name.Name)
				case general.Tok == token.VAR && strings.HasSuffix(name.Name, "Advice") && i < len(value.Values):
					found = append(found, keys(value.Values[i])...)
				case general.Tok == token.CONST && i < len(value.Values) && isCode(pkg, name.Name, value.Type):
					if text, ok := value.Values[i].(*ast.BasicLit); ok {
						code, _ := strconv.Unquote(text.Value)
						found = append(found, code)
					}
				}
			}
		}
	}
	return found
}

func isCode(pkg, name string, kind ast.Expr) bool {
	if named, ok := kind.(*ast.Ident); ok {
		return ast.IsExported(name) && slices.Contains(codeTypes, named.Name)
	}
	return (pkg == "middleware" || pkg == "grpcauth") && kind == nil && (strings.HasPrefix(name, "Reason") || strings.HasPrefix(name, "reason"))
}

// keys are those of the literal of a map of texts.
func keys(literal ast.Expr) (found []string) {
	composite, ok := literal.(*ast.CompositeLit)
	if !ok {
		return nil
	}
	for _, element := range composite.Elts {
		if key, ok := element.(*ast.KeyValueExpr).Key.(*ast.BasicLit); ok {
			text, _ := strconv.Unquote(key.Value)
			found = append(found, text)
		}
	}
	return found
}
