package repository_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/helseid-go/sdk"

// goFiles returns the tree's Go files by package folder, without nested
// modules.
func goFiles(t *testing.T) map[string][]string {
	t.Helper()
	files := make(map[string][]string)
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == "testdata" || name != "." && isModule(name)):
			return filepath.SkipDir
		case strings.HasSuffix(name, ".go"):
			folder := filepath.ToSlash(filepath.Dir(name))
			files[folder] = append(files[folder], filepath.ToSlash(name))
		}
		return nil
	})
	require.NoError(t, err)
	return files
}

func isModule(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "go.mod"))
	return err == nil
}

func isTest(file string) bool { return strings.HasSuffix(file, "_test.go") }

// Every package tells what it is for, once: in doc.go, or at the top of a
// program.
func TestEveryPackageHasOneDocComment(t *testing.T) {
	for folder, files := range goFiles(t) {
		documented := 0
		for _, file := range files {
			if isTest(file) {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.PackageClauseOnly)
			require.NoError(t, err)
			if parsed.Doc != nil {
				documented++
			}
		}
		if !slices.ContainsFunc(files, func(file string) bool { return !isTest(file) }) {
			continue
		}
		require.Equal(t, 1, documented, "package comments in %s", folder)
	}
}

// Imports point one way. A package may import those of lower layers only.
func TestImportsPointOneWay(t *testing.T) {
	layers := [][]string{
		{"internal/redact", "internal/orgnr", "internal/clock", "internal/endcause", "internal/jose", "internal/httpx", "internal/wwwauth"},
		{"internal/metadata", "helseid/identity"},
		{"internal/jwks", "internal/claims"},
		{"internal/verification"},
		{"internal/idtoken"},
		{"clientassertion", "dpop", "tokenvalidation"},
		{"helseid/internal/bulkhead", "helseid/internal/callcontext", "helseid/internal/holdoff", "helseid/internal/lifecycle"},
		{"helseid/internal/exchange", "helseid/internal/apicall"},
		{"helseid", "middleware"},
		{"helseid/helseidtest/rule", "helseid/helseidtest/internal/answer", "helseid/helseidtest/internal/claim", "helseid/helseidtest/internal/clientkey", "helseid/helseidtest/internal/uuid"},
		{"helseid/helseidtest/mint", "helseid/helseidtest/internal/selvbetjening"},
		{"helseid/helseidtest/internal/testtoken"},
		{"helseid/helseidtest", "helseid/selvbetjening", "helseid/weblogin"},
		{"helseid/helseidtest/desk"},
		{"helseid/cmd/helseid/internal/jwtview"},
		{"helseid/cmd/helseid/internal/cli"},
		{"helseid/cmd/helseid/internal/clientflags"},
		{"helseid/cmd/helseid/internal/input", "helseid/cmd/helseid/internal/keytext"},
		{
			"helseid/cmd/helseid/internal/call", "helseid/cmd/helseid/internal/doctor", "helseid/cmd/helseid/internal/inspect", "helseid/cmd/helseid/internal/key",
			"helseid/cmd/helseid/internal/probe", "helseid/cmd/helseid/internal/proxy", "helseid/cmd/helseid/internal/serve", "helseid/cmd/helseid/internal/token",
		},
		{"helseid/cmd/helseid"},
		{"docs/guides", "internal/pages", "internal/repository", "examples/quickstart", "examples/machine", "examples/api", "examples/localhelseid", "examples/weblogin", "internal/interop", "internal/mutation", "internal/leaktest", "internal/rotationkill", "internal/surface", "internal/testkit"},
	}
	layerOf := make(map[string]int)
	for i, packages := range layers {
		for _, name := range packages {
			layerOf[name] = i
		}
	}
	// The packages of the lowest layers may know each other in this order.
	inner := map[string][]string{"internal/httpx": {"internal/redact"}, "internal/jose": {"internal/redact"}}
	for folder, files := range goFiles(t) {
		if folder == "." {
			continue
		}
		layer, known := layerOf[folder]
		require.True(t, known, "package %s has no place in the house", folder)
		for _, file := range files {
			if isTest(file) {
				continue
			}
			for _, imported := range imports(t, file) {
				if imported == "github.com/lestrrat-go/jwx/v3/jwk" || strings.HasPrefix(imported, "github.com/lestrrat-go/jwx") {
					require.Equal(t, "internal/jose", folder, "%s imports %s", file, imported)
				}
				own, ok := strings.CutPrefix(imported, module+"/")
				if ok && strings.HasPrefix(folder, "examples/") {
					require.False(t, strings.HasPrefix(own, "internal/"), "%s imports %s: it cannot be copied", file, own)
				}
				if !ok || slices.Contains(inner[folder], own) {
					continue
				}
				require.Less(t, layerOf[own], layer, "%s imports %s", file, own)
			}
		}
	}
}

func imports(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	require.NoError(t, err)
	names := make([]string, len(parsed.Imports))
	for i, spec := range parsed.Imports {
		names[i], err = strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
	}
	return names
}

// Documents for a reviewer name code and tests in backquotes, as
// `folder/file.go: Identifier` and `folder: TestName`. What they name exists.
func TestDocumentsNameWhatExists(t *testing.T) {
	reference := regexp.MustCompile("`([a-z0-9/_]+\\.go|[a-z0-9/_]+|\\.): ([A-Za-z0-9_.]+)`")
	for name, least := range map[string]int{
		"docs/compliance.md": 400, "docs/threat-model.md": 40, "docs/compatibility.md": 5, "SECURITY.md": 0, "CONTRIBUTING.md": 0,
	} {
		document, err := os.ReadFile(name)
		require.NoError(t, err)
		references := reference.FindAllStringSubmatch(string(document), -1)
		require.GreaterOrEqual(t, len(references), least, name)
		var missing []string
		for _, found := range references {
			place, identifier := found[1], found[2]
			exists := hasTest
			if strings.HasSuffix(place, ".go") {
				exists = declares
			}
			if !exists(t, place, identifier) {
				missing = append(missing, found[0])
			}
		}
		require.Empty(t, missing, "%s names what does not exist", name)
	}
}

// Each row of docs/compliance.md has an id of its own. It names code and tests, or says
// whose the requirement is, or that it is not met. Where rows are named, here and in the threat model, they exist.
func TestComplianceRows(t *testing.T) {
	document, err := os.ReadFile("docs/compliance.md")
	require.NoError(t, err)
	model, err := os.ReadFile("docs/threat-model.md")
	require.NoError(t, err)
	rows := make(map[string]bool)
	for line := range strings.Lines(string(document)) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) < 3 || cells[0] == "| id" {
			continue // not of a table with requirements
		}
		id := strings.TrimPrefix(cells[0], "| ")
		require.False(t, rows[id], "two rows are %s", id)
		rows[id] = true
		if regexp.MustCompile("^(yours|not the SDK's|not met|open|see )").MatchString(cells[2]) {
			continue
		}
		require.Len(t, cells, 4, "a row has code and a test: %s", line)
		require.Regexp(t, "^`[^`]+\\.go: ", cells[2], line)
		require.Regexp(t, "^`[^`]+: Test", cells[3], line)
	}
	require.Greater(t, len(rows), 250)
	ids := regexp.MustCompile(`\b([FS]K\d(-[a-z])?|(CA|KEY|DP|TE|ORG|LOG|TIME|LI|SE|WEB|AT|PV|JW|API)-\d+|(FAPI|9\d{3})-\d+(\.\d+)*(-[a-z\d.]+)?)\b`)
	for _, id := range ids.FindAllString(string(document)+string(model), -1) {
		require.True(t, rows[id], "there is no row %s", id)
	}
}

// declares reports whether a file declares a name: a function or type, Type.Method or
// Type.Field, a constant or a variable.
func declares(t *testing.T, file, wanted string) bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	var names []string
	for _, declaration := range parsed.Decls {
		switch declaration := declaration.(type) {
		case *ast.FuncDecl:
			name := declaration.Name.Name
			if declaration.Recv != nil {
				receiver := declaration.Recv.List[0].Type
				if pointer, ok := receiver.(*ast.StarExpr); ok {
					receiver = pointer.X
				}
				if of, ok := receiver.(*ast.Ident); ok {
					name = of.Name + "." + name
				}
			}
			names = append(names, name)
		case *ast.GenDecl:
			for _, spec := range declaration.Specs {
				names = append(names, namesOf(spec)...)
			}
		}
	}
	return slices.Contains(names, wanted)
}

func namesOf(spec ast.Spec) (names []string) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, name := range spec.Names {
			names = append(names, name.Name)
		}
	case *ast.TypeSpec:
		names = append(names, spec.Name.Name)
		if fields, ok := spec.Type.(*ast.StructType); ok {
			for _, field := range fields.Fields.List {
				for _, name := range field.Names {
					names = append(names, spec.Name.Name+"."+name.Name)
				}
			}
		}
	}
	return names
}

func hasTest(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.FromSlash(folder), "*_test.go"))
	require.NoError(t, err)
	for _, file := range files {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		if strings.Contains(string(source), "func "+name+"(") {
			return true
		}
	}
	return false
}

// The README has exactly two set-up commands, in its first code block.
func TestReadmeHasTwoSetUpCommands(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(readme), "```sh\n")
	require.True(t, found)
	block, _, found := strings.Cut(rest, "```")
	require.True(t, found)
	require.Equal(t, []string{"go run ./examples/quickstart", "go test ./..."}, strings.Split(strings.TrimSpace(block), "\n"))
}

// Modules below the root that are released import no package of another module's
// internal, neither in code nor in tests: an application may have one of them in another
// version than the root, and "go test all" there compiles their tests, too. What is
// under internal and examples is not released.
func TestReleasedModulesStandAlone(t *testing.T) {
	var modules []string
	require.NoError(t, filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && slices.Contains([]string{"internal", "examples", "node_modules"}, entry.Name()) {
			return filepath.SkipDir
		}
		if err == nil && entry.Name() == "go.mod" && name != "go.mod" {
			modules = append(modules, filepath.ToSlash(filepath.Dir(name)))
		}
		return err
	}))
	// What each may import of the root, so that a client's program depends on nothing that
	// only an API needs, and the other way round.
	allowed := map[string][]string{
		"helseid/grpccredentials": {"helseid"},
		"helseid/otelhelseid":     {"dpop", "helseid", "helseid/weblogin", "middleware"},
		"helseid/redisstore":      {"clientassertion", "dpop", "helseid", "helseid/identity", "helseid/selvbetjening"},
		"middleware/grpcauth":     {"middleware", "tokenvalidation"},
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(allowed)), modules)
	for _, folder := range modules {
		own := path.Join(module, folder) + "/"
		require.NoError(t, fs.WalkDir(os.DirFS(folder), ".", func(name string, entry fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(name, ".go") {
				return err
			}
			for _, imported := range imports(t, path.Join(folder, name)) {
				require.False(t, isInternal(imported) && !strings.HasPrefix(imported, own), "%s/%s imports %s", folder, name, imported)
				if ofRoot, ok := strings.CutPrefix(imported, module+"/"); ok && !isTest(name) && !strings.HasPrefix(imported, own) {
					require.Contains(t, allowed[folder], ofRoot, "%s/%s imports %s", folder, name, imported)
				}
			}
			return nil
		}))
	}
}

// Whoever uses the library shares the globals of other packages with it: library code
// neither assigns to one nor calls what sets one.
func TestLibraryChangesNoGlobalOfOthers(t *testing.T) {
	changes := regexp.MustCompile("^(Set|Register|Unregister|Handle$|HandleFunc$|Disable|Enable)|^Settings$")
	harmless := []string{ // of one response, of one object
		"net/http.SetCookie", "runtime.SetFinalizer", "google.golang.org/grpc.SetHeader", "google.golang.org/grpc.SetTrailer",
	}
	for folder, files := range libraryFiles(t) {
		for _, file := range files {
			imported := make(map[string]string) // paths by the name in use
			for _, spec := range file.Imports {
				imports, err := strconv.Unquote(spec.Path.Value)
				require.NoError(t, err)
				name := regexp.MustCompile(`/v\d+$`).ReplaceAllString(imports, "")
				if name = path.Base(name); spec.Name != nil {
					name = spec.Name.Name
				}
				imported[strings.TrimPrefix(name, "go-")] = imports
			}
			global := func(expression ast.Expr) (of, name string) {
				selector, ok := expression.(*ast.SelectorExpr)
				if !ok {
					return "", ""
				}
				ident, ok := selector.X.(*ast.Ident)
				if !ok || ident.Obj != nil { // a variable of that name
					return "", ""
				}
				if of = imported[ident.Name]; strings.HasPrefix(of, module) {
					return "", ""
				}
				return of, selector.Sel.Name
			}
			ast.Inspect(file, func(node ast.Node) bool {
				switch node := node.(type) {
				case *ast.AssignStmt:
					for _, left := range node.Lhs {
						of, name := global(left)
						require.Empty(t, of, "%s assigns to its %s", folder, name)
					}
				case *ast.CallExpr:
					of, name := global(node.Fun)
					if of == "" || slices.Contains(harmless, of+"."+name) {
						return true
					}
					require.False(t, changes.MatchString(name), "%s calls %s of %s", folder, name, of)
				}
				return true
			})
		}
	}
}
