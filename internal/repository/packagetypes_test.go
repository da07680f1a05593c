package repository_test

import (
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// typedPackages gives the types of the public packages and of what these import. Export
// data comes from the build cache. Packages of nested modules are checked from source,
// without what they import from elsewhere: that may not have been downloaded.
type typedPackages struct {
	positions *token.FileSet
	sources   map[string][]*ast.File // by folder
	exports   map[string]string      // files by import path
	compiled  types.Importer
	checked   map[string]*types.Package
}

var errElsewhere = errors.New("its module need not be here")

// Import implements types.Importer.
func (p *typedPackages) Import(imported string) (*types.Package, error) {
	if p.exports[imported] != "" {
		return p.compiled.Import(imported)
	}
	if known := p.checked[imported]; known != nil {
		return known, nil
	}
	folder, ok := strings.CutPrefix(imported, module+"/")
	switch {
	case !ok:
		return nil, errElsewhere
	case p.sources[folder] == nil:
		return nil, errors.New("there is no such package")
	}
	config := types.Config{Importer: p, IgnoreFuncBodies: true, Error: func(error) {}}
	known, _ := config.Check(imported, p.positions, p.sources[folder], nil)
	p.checked[imported] = known
	return known, nil
}

var loadedTypes *typedPackages

// publicTypes loads the types once: the first time, the go command may have to compile.
func publicTypes(t *testing.T) *typedPackages {
	t.Helper()
	if loadedTypes != nil {
		return loadedTypes
	}
	positions, sources := publicPackages(t)
	var wanted []string
	for folder, files := range sources {
		if !inNestedModule(folder) {
			wanted = append(wanted, path.Join(module, folder))
		}
		for _, file := range files {
			imports := file.Imports
			for _, code := range codeBlocks(file.Doc.Text()) {
				if program, err := parser.ParseFile(token.NewFileSet(), "", code, parser.ImportsOnly); err == nil {
					imports = append(imports, program.Imports...)
				}
			}
			for _, spec := range imports {
				if imported, _ := strconv.Unquote(spec.Path.Value); !strings.Contains(imported, ".") { // of the standard library
					wanted = append(wanted, imported)
				}
			}
		}
	}
	output, err := exec.Command("go", append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}"}, wanted...)...).Output()
	require.NoError(t, err)
	exports := make(map[string]string)
	for line := range strings.Lines(string(output)) {
		imported, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		exports[imported] = file
	}
	compiled := importer.ForCompiler(positions, "gc", func(imported string) (io.ReadCloser, error) {
		return os.Open(exports[imported])
	})
	loadedTypes = &typedPackages{positions, sources, exports, compiled, make(map[string]*types.Package)}
	return loadedTypes
}

func inNestedModule(folder string) bool {
	for ; folder != "."; folder = path.Dir(folder) {
		if isModule(folder) {
			return true
		}
	}
	return false
}
