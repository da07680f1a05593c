package repository_test

import (
	"errors"
	"go/ast"
	"go/doc"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"go/types"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a documentation comment links or names with its type exists, in brackets or not.
// Its web links are https, and each one defined below a comment is used above.
func TestDocumentationLinksResolve(t *testing.T) {
	packages := publicTypes(t)
	positions, sources := publicPackages(t) // NewFromFiles changes them
	checked := 0
	for folder, files := range sources {
		examples, err := filepath.Glob(filepath.Join(folder, "example*_test.go"))
		require.NoError(t, err)
		for _, name := range examples {
			file, err := parser.ParseFile(positions, name, nil, parser.ParseComments)
			require.NoError(t, err)
			files = append(files, file)
		}
		documented, err := doc.NewFromFiles(positions, files, path.Join(module, folder))
		require.NoError(t, err)
		for name, text := range comments(documented) {
			checked++
			for _, mistake := range packages.brokenLinks(documented, text) {
				t.Errorf("%s, %s: %s", folder, name, mistake)
			}
		}
	}
	require.Greater(t, checked, 800)
}

func TestBrokenLinksAreFound(t *testing.T) {
	packages := publicTypes(t)
	positions, sources := publicPackages(t)
	documented, err := doc.NewFromFiles(positions, sources["middleware"], module+"/middleware")
	require.NoError(t, err)
	for text, want := range map[string]int{
		"See [Middleware.Guard], [Config.PublicURL], [http.Handler], [http.Server.Handler] and [*Denial].": 0,
		"See [tokenvalidation.Claims.User] and Config.PublicURL.":                                          0,
		"See Proof.Replay and [Config].Token.Issuer.":                                                      0,
		"See Proof.Replays and [Config].Token.Issuers.":                                                    2,
		"See [github.com/helseid-go/sdk/helseid/helseidtest.Server.Token].":                                0,
		"See [the RFC].\n\n[the RFC]: https://www.rfc-editor.org/rfc/rfc9449":                              0,
		"See [Middleware.Guards] and [Guard].":                                                             2,
		"See [http.Handlers] and [http.Server.Handle].":                                                    2,
		"See [helseid.Client].":                                                                            1, // not imported
		"See [tokenvalidation.Claims.Users] and Config.PublicURI.":                                         2,
		"See [github.com/helseid-go/sdk/helseid/helseidtest.Server.Tokens].":                               1,
		"See [the RFC] and http://www.rfc-editor.org.":                                                     2,
		"See it.\n\n[the RFC]: http://www.rfc-editor.org/rfc/rfc9449":                                      2,
	} {
		require.Len(t, packages.brokenLinks(documented, text), want, text)
	}
}

// comments returns the comments of a package by what they document.
func comments(documented *doc.Package) map[string]string {
	texts := map[string]string{"package": documented.Doc}
	example := func(all []*doc.Example) {
		for _, example := range all {
			texts["example "+example.Name] = example.Doc
		}
	}
	example(documented.Examples)
	values := func(groups []*doc.Value) {
		for _, group := range groups {
			texts[group.Names[0]] = group.Doc
			inside(texts, group.Names[0], group.Decl)
		}
	}
	functions := func(all []*doc.Func) {
		for _, function := range all {
			texts[strings.TrimPrefix(function.Recv+".", ".")+function.Name] = function.Doc
			example(function.Examples)
		}
	}
	values(documented.Consts)
	values(documented.Vars)
	functions(documented.Funcs)
	for _, typ := range documented.Types {
		texts[typ.Name] = typ.Doc
		inside(texts, typ.Name, typ.Decl)
		example(typ.Examples)
		values(typ.Consts)
		values(typ.Vars)
		functions(typ.Funcs)
		functions(typ.Methods)
	}
	return texts
}

// inside adds the comments of fields, methods of interfaces and single values.
func inside(texts map[string]string, name string, declaration *ast.GenDecl) {
	add := func(names []*ast.Ident, groups ...*ast.CommentGroup) {
		for _, group := range groups {
			for _, inner := range names {
				texts[name+": "+inner.Name] += group.Text()
			}
		}
	}
	ast.Inspect(declaration, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.Field:
			add(node.Names, node.Doc, node.Comment)
		case *ast.ValueSpec:
			add(node.Names, node.Doc, node.Comment)
		}
		return true
	})
}

var (
	secure    = regexp.MustCompile(`^(?:https://|http://(?:localhost|127\.0\.0\.1)\b)`)
	bracketed = regexp.MustCompile(`\[[^\]]+\]`)
	qualified = regexp.MustCompile(`\b(?:([a-z]\w*)\.)?([A-Z]\w*)\.([A-Z]\w*)\b`)
	foreign   = regexp.MustCompile(`\bHelseID\.(?:Library|Samples)\b`) // no names of this module
)

func (p *typedPackages) brokenLinks(documented *doc.Package, text string) []string {
	var mistakes []string
	parsed := documented.Parser().Parse(text)
	for _, definition := range parsed.Links {
		if !definition.Used {
			mistakes = append(mistakes, definition.Text+" is not used")
		}
		if !secure.MatchString(definition.URL) {
			mistakes = append(mistakes, definition.URL+" is not https")
		}
	}
	for _, part := range texts(parsed.Content) {
		switch part := part.(type) {
		case *comment.Link:
			if part.Auto && !secure.MatchString(part.URL) {
				mistakes = append(mistakes, part.URL+" is not https")
			}
		case *comment.DocLink:
			if part.ImportPath != "" && !p.declares(part.ImportPath, part.Recv, part.Name) {
				mistakes = append(mistakes, part.ImportPath+" has no "+strings.TrimPrefix(part.Recv+".", ".")+part.Name)
			}
		case comment.Plain:
			for _, link := range bracketed.FindAllString(string(part), -1) {
				if link != "[redacted]" { // which values print as
					mistakes = append(mistakes, link+" is no link")
				}
			}
			for _, name := range qualified.FindAllStringSubmatch(foreign.ReplaceAllString(bracketed.ReplaceAllString(string(part), ""), ""), -1) {
				declared := func(imported string) bool {
					return p.declares(imported, name[2], name[3]) || p.hasPath(imported, name[2], name[3])
				}
				if !slices.ContainsFunc(p.named(documented, name[1]), declared) {
					mistakes = append(mistakes, name[0]+" is not declared")
				}
			}
		}
	}
	return mistakes
}

// named returns the import paths that a package may have by the name that a text has for
// it: an imported one, or one of the public packages. Without a name, it is the package
// itself or one of this module that it imports.
func (p *typedPackages) named(documented *doc.Package, name string) []string {
	if name == "" {
		own := slices.DeleteFunc(slices.Clone(documented.Imports), func(imported string) bool {
			return !strings.HasPrefix(imported, module+"/") || isInternal(imported)
		})
		return append(own, documented.ImportPath)
	}
	if imported, ok := documented.Parser().LookupPackage(name); ok {
		return []string{imported}
	}
	for folder := range p.sources {
		if path.Base(folder) == name {
			return []string{path.Join(module, folder)}
		}
	}
	return nil
}

// texts returns the parts of all blocks but code.
func texts(blocks []comment.Block) []comment.Text {
	var parts []comment.Text
	for _, block := range blocks {
		switch block := block.(type) {
		case *comment.Heading:
			parts = append(parts, block.Text...)
		case *comment.Paragraph:
			parts = append(parts, block.Text...)
		case *comment.List:
			for _, item := range block.Items {
				parts = append(parts, texts(item.Content)...)
			}
		}
	}
	return parts
}

// declares reports whether a package has an exported name, or its receiver a method or
// field of that name. Of a package of another module that need not be here it is true.
func (p *typedPackages) declares(imported, receiver, name string) bool {
	pkg, err := p.Import(imported)
	switch {
	case errors.Is(err, errElsewhere):
		return true
	case err != nil:
		return false
	case receiver == "":
		return name == "" || token.IsExported(name) && pkg.Scope().Lookup(name) != nil
	}
	if of := pkg.Scope().Lookup(receiver); of != nil {
		return hasMember(of.Type(), name)
	}
	return false
}

// hasMember reports whether a type has a method or field of that name. Those of an embedded
// field do not count: they have no place in the documentation.
func hasMember(typ types.Type, name string) bool {
	_, index, _ := types.LookupFieldOrMethod(typ, true, nil, name)
	return len(index) == 1
}

// hasPath reports whether a struct of a package has a field whose type has a member, as
// Proof.Replay of middleware.Config.
func (p *typedPackages) hasPath(imported, field, name string) bool {
	pkg, err := p.Import(imported)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(pkg.Scope().Names(), func(of string) bool {
		found, index, _ := types.LookupFieldOrMethod(pkg.Scope().Lookup(of).Type(), true, nil, field)
		return len(index) == 1 && hasMember(found.Type(), name)
	})
}
