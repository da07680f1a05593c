package pages

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Names are the exported names of packages by folder: "New", "Config", "Config.Issuer",
// "Client.Close".
type Names map[string]map[string]bool

func (n Names) has(folder, name string) bool { return n[folder][name] }

// folders are those of the packages with a name.
func (n Names) folders(name string) []string {
	var folders []string
	for folder := range n {
		if path.Base(folder) == name {
			folders = append(folders, folder)
		}
	}
	slices.Sort(folders)
	return folders
}

// CollectNames reads the packages below the root, those of nested modules too, without
// tests and internal packages.
func CollectNames(root fs.FS) (Names, error) {
	names := make(Names)
	typed := make(map[string]map[string]string) // types of constants and variables
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{"internal", "examples", "testdata", "node_modules", ".git"}, entry.Name()):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder := path.Dir(name)
		if names[folder] == nil {
			names[folder], typed[folder] = make(map[string]bool), make(map[string]string)
		}
		for _, declaration := range file.Decls {
			collect(names[folder], typed[folder], declaration)
		}
		return nil
	})
	for folder := range names {
		addMethodsOfValues(names[folder], typed[folder])
	}
	return names, err
}

// addMethodsOfValues adds Test.Issuer, if Test is an Environment with that method.
func addMethodsOfValues(names map[string]bool, typed map[string]string) {
	for value, of := range typed {
		for name := range maps.Clone(names) {
			if method, ok := strings.CutPrefix(name, of+"."); ok {
				names[value+"."+method] = true
			}
		}
	}
}

func collect(names map[string]bool, typed map[string]string, declaration ast.Decl) {
	switch declaration := declaration.(type) {
	case *ast.FuncDecl:
		name := declaration.Name.Name
		if declaration.Recv != nil {
			name = receiver(declaration.Recv.List[0].Type) + "." + name
		}
		names[name] = true
	case *ast.GenDecl:
		for _, spec := range declaration.Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					names[name.Name] = true
					if of, ok := spec.Type.(*ast.Ident); ok {
						typed[name.Name] = of.Name
					}
				}
			case *ast.TypeSpec:
				names[spec.Name.Name] = true
				for _, member := range members(spec.Type) {
					names[spec.Name.Name+"."+member] = true
				}
			}
		}
	}
}

func receiver(expression ast.Expr) string {
	switch expression := expression.(type) {
	case *ast.StarExpr:
		return receiver(expression.X)
	case *ast.IndexExpr:
		return receiver(expression.X)
	case *ast.Ident:
		return expression.Name
	}
	return ""
}

// members are the fields of a struct and the methods of an interface.
func members(expression ast.Expr) []string {
	var list *ast.FieldList
	switch expression := expression.(type) {
	case *ast.StructType:
		list = expression.Fields
	case *ast.InterfaceType:
		list = expression.Methods
	default:
		return nil
	}
	var all []string
	for _, field := range list.List {
		for _, name := range field.Names {
			all = append(all, name.Name)
		}
	}
	return all
}

var (
	qualified = regexp.MustCompile(`^\*?([a-z][a-z0-9]*)\.([A-Z]\w*(?:\.[A-Z]\w*)?)(?:[^\w.].*)?$`)
	pathLike  = regexp.MustCompile(`^(?:\./)?[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)+/?$`)
)

// NamesExist reports code spans that name what does not exist: an exported name of one of
// the packages, such as helseid.Config.Logger, or a file or folder below one of the
// repository's own folders.
func NamesExist(root fs.FS, page Page, names Names) []Problem {
	var problems []Problem
	for _, span := range page.Spans {
		if found := qualified.FindStringSubmatch(span.Text); found != nil {
			folders := names.folders(found[1])
			if len(folders) > 0 && !slices.ContainsFunc(folders, func(folder string) bool { return names.has(folder, found[2]) }) {
				problems = append(problems, problemf(page, span.Line, "`%s`: there is no such name", span.Text))
			}
		}
		if pathLike.MatchString(span.Text) && !pathExists(root, page, span.Text) {
			problems = append(problems, problemf(page, span.Line, "`%s`: there is no such file or folder", span.Text))
		}
	}
	return problems
}

// pathExists judges paths whose first part is a folder of the repository's top level.
func pathExists(root fs.FS, page Page, name string) bool {
	name = path.Clean(strings.TrimPrefix(name, module+"/"))
	first, _, _ := strings.Cut(name, "/")
	if info, err := fs.Stat(root, first); err != nil || !info.IsDir() || first == "." || first == ".." {
		return true
	}
	if _, err := fs.Stat(root, name); err == nil {
		return true
	}
	_, err := fs.Stat(root, path.Join(path.Dir(page.Path), name))
	return err == nil
}
