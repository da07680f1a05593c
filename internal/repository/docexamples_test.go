package repository_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The documentation of a package begins with an example of the package, and each of its
// examples runs.
func TestEveryPackageHasAnExample(t *testing.T) {
	_, packages := publicPackages(t)
	delete(packages, ".") // holds no code
	for folder := range packages {
		names, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
		require.NoError(t, err)
		var files []*ast.File
		for _, name := range names {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
			require.NoError(t, err)
			files = append(files, file)
		}
		ofPackage := false
		for _, example := range doc.Examples(files...) {
			ofPackage = ofPackage || example.Name == ""
			require.True(t, example.Output != "" || example.EmptyOutput, "Example%s of %s has no output: it does not run", example.Name, folder)
		}
		require.True(t, ofPackage, "%s has no func Example()", folder)
	}
}
