package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

type kind int

const (
	typeName kind = iota
	function
	method
	value
	field
)

// declaration is an exported identifier. Methods and fields are named after their type:
// "Client.Token".
type declaration struct {
	kind kind
	name string
	// is what a constant was given, such as "60 * time.Minute".
	is string
}

// surface is what was found in one package.
type surface struct {
	declarations []declaration

	longestFile, longestFunction string
	fileLines, functionLines     int
}

func (s *surface) count(kind kind) (n int) {
	for _, d := range s.declarations {
		if d.kind == kind {
			n++
		}
	}
	return n
}

// total does not count fields.
func (s *surface) total() int { return len(s.declarations) - s.count(field) }

// read returns the surface of each package of a tree by its folder, nested modules
// included.
func read(root string) (map[string]*surface, error) {
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
		folder = filepath.ToSlash(folder)
		if packages[folder] == nil {
			packages[folder] = &surface{}
		}
		return packages[folder].addFile(path)
	})
	for _, s := range packages {
		slices.SortFunc(s.declarations, func(a, b declaration) int { return strings.Compare(a.name, b.name) })
	}
	return packages, err
}

func (s *surface) addFile(path string) error {
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
				s.addSpec(spec, decl.Tok == token.CONST)
			}
		}
	}
	return nil
}

func (s *surface) addFunction(set *token.FileSet, decl *ast.FuncDecl) {
	if lines := set.Position(decl.End()).Line - set.Position(decl.Pos()).Line + 1; lines > s.functionLines {
		s.longestFunction, s.functionLines = decl.Name.Name, lines
	}
	if !decl.Name.IsExported() {
		return
	}
	if decl.Recv == nil {
		s.add(function, decl.Name.Name)
	} else if typ := receiver(decl.Recv.List[0].Type); ast.IsExported(typ) {
		s.add(method, typ+"."+decl.Name.Name)
	}
}

func (s *surface) addSpec(spec ast.Spec, constant bool) {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if !spec.Name.IsExported() {
			return
		}
		s.add(typeName, spec.Name.Name)
		switch typ := spec.Type.(type) {
		case *ast.StructType:
			s.addMembers(field, spec.Name.Name, typ.Fields)
		case *ast.InterfaceType:
			s.addMembers(method, spec.Name.Name, typ.Methods)
		}
	case *ast.ValueSpec:
		for i, name := range spec.Names {
			if !name.IsExported() {
				continue
			}
			d := declaration{kind: value, name: name.Name}
			if constant && i < len(spec.Values) {
				d.is = text(spec.Values[i])
			}
			s.declarations = append(s.declarations, d)
		}
	}
}

func (s *surface) addMembers(kind kind, typ string, list *ast.FieldList) {
	for _, member := range list.List {
		for _, name := range member.Names {
			if name.IsExported() {
				s.add(kind, typ+"."+name.Name)
			}
		}
	}
}

func (s *surface) add(kind kind, name string) {
	s.declarations = append(s.declarations, declaration{kind: kind, name: name})
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
