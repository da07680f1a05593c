package leaktest

import (
	"bufio"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const repository = "github.com/helseid-go/sdk"

// ExportedTypes lists the exported types of a module's packages, by import path
// and name. It leaves out programs, tests, examples, which nobody imports, internal
// packages (an application has their values only inside of others, with which they are
// printed), and what holds nothing: interfaces, functions and numbers.
func ExportedTypes(folder string) ([]string, error) {
	module, err := moduleName(folder)
	if err != nil || strings.Contains(module, "/internal/") || strings.Contains(module, "/examples/") {
		return nil, err
	}
	var found []string
	err = filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			_, nested := os.Stat(filepath.Join(name, "go.mod"))
			if name != folder && (nested == nil || entry.Name() == "testdata" || entry.Name() == "internal" || entry.Name() == "node_modules" || strings.HasPrefix(entry.Name(), ".")) {
				return filepath.SkipDir
			}
			return nil
		case !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil || parsed.Name.Name == "main" {
			return err
		}
		below, err := filepath.Rel(folder, filepath.Dir(name))
		if err != nil {
			return err
		}
		for _, declaration := range parsed.Decls {
			group, ok := declaration.(*ast.GenDecl)
			if !ok || group.Tok != token.TYPE {
				continue
			}
			for _, spec := range group.Specs {
				if spec := spec.(*ast.TypeSpec); spec.Name.IsExported() && !spec.Assign.IsValid() && holds(spec.Type) {
					found = append(found, path.Join(module, filepath.ToSlash(below))+"."+spec.Name.Name)
				}
			}
		}
		return nil
	})
	slices.Sort(found)
	return found, err
}

// holds reports whether a value of the type can hold a text, as far as the
// declaration tells.
func holds(expression ast.Expr) bool {
	switch expression := expression.(type) {
	case *ast.InterfaceType, *ast.FuncType:
		return false
	case *ast.Ident:
		switch expression.Name {
		case "bool", "int", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float64":
			return false
		}
	}
	return true
}

func moduleName(folder string) (string, error) {
	file, err := os.Open(filepath.Join(folder, "go.mod"))
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "module "); ok {
			return strings.TrimSpace(name), nil
		}
	}
	return "", errors.New("go.mod names no module")
}
