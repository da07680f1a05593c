// Command surface counts what a package promises and how long its pieces are.
//
//	go run ./internal/surface              every package that can be imported from outside
//	go run ./internal/surface DIR          the same for a tree elsewhere, such as an older checkout
//
// An exported identifier is a type, function, constant, variable, method of an exported
// type, or field of an exported struct. Tests do not count.
package main

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// surface is what was counted in one package.
type surface struct {
	types, functions, methods, values, fields int

	longestFile, longestFunction string
	fileLines, functionLines     int
}

func (s *surface) total() int { return s.types + s.functions + s.methods + s.values }

func main() {
	flag.Parse()
	root := "."
	if flag.NArg() > 0 {
		root = flag.Arg(0)
	}
	packages, err := count(root)
	if err != nil {
		fmt.Fprintln(os.Stderr, "surface:", err)
		os.Exit(1)
	}
	fmt.Println("| package | exported identifiers | types | functions | methods | constants and variables | fields | longest file | longest function |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|")
	all := 0
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		s := packages[name]
		all += s.total()
		fmt.Printf("| %s | %d | %d | %d | %d | %d | %d | %s, %d | %s, %d |\n", name, s.total(), s.types, s.functions, s.methods, s.values, s.fields,
			s.longestFile, s.fileLines, s.longestFunction, s.functionLines)
	}
	fmt.Printf("| all | %d |\n", all)
}

func count(root string) (map[string]*surface, error) {
	packages := make(map[string]*surface)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			switch entry.Name() {
			case "internal", "examples", "testdata", "node_modules", "cmd", ".git":
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil || folder == "." {
			return err
		}
		if packages[folder] == nil {
			packages[folder] = &surface{}
		}
		return packages[folder].add(path)
	})
	return packages, err
}

func (s *surface) add(path string) error {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, 0)
	if err != nil {
		return err
	}
	if lines := set.File(file.Pos()).LineCount(); lines > s.fileLines {
		s.longestFile, s.fileLines = filepath.Base(path), lines
	}
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			s.addFunction(set, decl)
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				s.addSpec(spec)
			}
		}
	}
	return nil
}

func (s *surface) addFunction(set *token.FileSet, decl *ast.FuncDecl) {
	if lines := set.Position(decl.End()).Line - set.Position(decl.Pos()).Line + 1; lines > s.functionLines {
		s.longestFunction, s.functionLines = decl.Name.Name, lines
	}
	switch {
	case !decl.Name.IsExported():
	case decl.Recv == nil:
		s.functions++
	case ast.IsExported(receiver(decl.Recv.List[0].Type)):
		s.methods++
	}
}

func (s *surface) addSpec(spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if !spec.Name.IsExported() {
			return
		}
		s.types++
		switch kind := spec.Type.(type) {
		case *ast.StructType:
			s.fields += exportedNames(kind.Fields)
		case *ast.InterfaceType:
			s.methods += exportedNames(kind.Methods)
		}
	case *ast.ValueSpec:
		for _, name := range spec.Names {
			if name.IsExported() {
				s.values++
			}
		}
	}
}

func exportedNames(list *ast.FieldList) (n int) {
	for _, field := range list.List {
		for _, name := range field.Names {
			if name.IsExported() {
				n++
			}
		}
	}
	return n
}

// receiver is the name of a receiver's type.
func receiver(expression ast.Expr) string {
	switch e := expression.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
