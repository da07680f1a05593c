package repository_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// publicPackages returns the files of all packages that an application can import, by
// folder, those of nested modules included.
func publicPackages(t *testing.T) (positions *token.FileSet, packages map[string][]*ast.File) {
	t.Helper()
	return parsePackages(t, "internal", "examples")
}

// libraryFiles returns those of the packages below, too.
func libraryFiles(t *testing.T) map[string][]*ast.File {
	t.Helper()
	_, packages := parsePackages(t, "examples", "interop", "mutation", "benchmarks", "browsertest", "leaktest", "testkit")
	return packages
}

func parsePackages(t *testing.T, without ...string) (positions *token.FileSet, packages map[string][]*ast.File) {
	t.Helper()
	positions = token.NewFileSet()
	packages = make(map[string][]*ast.File)
	without = append(without, "testdata", "node_modules")
	require.NoError(t, filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains(without, entry.Name()):
			return filepath.SkipDir
		case strings.HasSuffix(name, ".go") && !isTest(name):
			file, err := parser.ParseFile(positions, name, nil, parser.ParseComments)
			if err != nil {
				return err
			}
			if folder := filepath.ToSlash(filepath.Dir(name)); file.Name.Name != "main" {
				packages[folder] = append(packages[folder], file)
			}
		}
		return nil
	}))
	require.Greater(t, len(packages), 8)
	return positions, packages
}

// A reader of the documentation meets no package that he cannot look up: neither as a
// type nor as the value of an exported variable or constant.
func TestDocumentationNamesNoInternalPackage(t *testing.T) {
	positions, packages := publicPackages(t)
	for folder, files := range packages {
		internal := make(map[string]bool) // by the name in use; no file gives it to another package
		for _, file := range files {
			for _, spec := range file.Imports {
				if imported, _ := strconv.Unquote(spec.Path.Value); isInternal(imported) {
					name := path.Base(imported)
					if spec.Name != nil {
						name = spec.Name.Name
					}
					internal[name] = true
				}
			}
		}
		documented, err := doc.NewFromFiles(positions, files, path.Join(module, folder))
		require.NoError(t, err)
		for _, shown := range declarations(documented) {
			ast.Inspect(shown, func(node ast.Node) bool {
				if selector, ok := node.(*ast.SelectorExpr); ok {
					if name, ok := selector.X.(*ast.Ident); ok {
						require.False(t, internal[name.Name], "the documentation of %s shows %s.%s", folder, name.Name, selector.Sel.Name)
					}
				}
				return true
			})
		}
	}
}

// declarations is what the documentation of a package prints.
func declarations(documented *doc.Package) []ast.Decl {
	var shown []ast.Decl
	values := func(groups []*doc.Value) {
		for _, group := range groups {
			shown = append(shown, group.Decl)
		}
	}
	functions := func(all []*doc.Func) {
		for _, function := range all {
			shown = append(shown, function.Decl)
		}
	}
	values(documented.Consts)
	values(documented.Vars)
	functions(documented.Funcs)
	for _, typ := range documented.Types {
		shown = append(shown, typ.Decl)
		values(typ.Consts)
		values(typ.Vars)
		functions(typ.Funcs)
		functions(typ.Methods)
	}
	return shown
}

// Whoever imports a package can set its exported variables: none but errors, which are
// compared and decide nothing by their contents, is one.
func TestExportedVariablesAreErrors(t *testing.T) {
	_, packages := publicPackages(t)
	for folder, files := range packages {
		for _, file := range files {
			for _, declaration := range file.Decls {
				group, ok := declaration.(*ast.GenDecl)
				if !ok || group.Tok != token.VAR {
					continue
				}
				for _, spec := range group.Specs {
					for _, name := range spec.(*ast.ValueSpec).Names {
						if name.IsExported() {
							require.True(t, strings.HasPrefix(name.Name, "Err"), "%s.%s can be changed from outside: make it a constant or a function", folder, name.Name)
						}
					}
				}
			}
		}
	}
}

// A package with a configuration tells its mistakes apart from everything else.
func TestEveryConfigurationHasErrConfig(t *testing.T) {
	_, packages := publicPackages(t)
	for folder, files := range packages {
		configured, told := "", false
		for _, file := range files {
			for name := range file.Scope.Objects {
				if strings.HasSuffix(name, "Config") && ast.IsExported(name) && name != "ErrConfig" && !strings.HasPrefix(name, "Load") {
					configured = name
				}
				told = told || name == "ErrConfig"
			}
		}
		if configured != "" {
			require.True(t, told, "%s has %s and no ErrConfig", folder, configured)
		}
	}
}

func isInternal(imported string) bool {
	return slices.Contains(strings.Split(imported, "/"), "internal")
}
