package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// swaps are what each operator is replaced by.
var swaps = map[token.Token][]token.Token{
	token.EQL: {token.NEQ}, token.NEQ: {token.EQL},
	token.LSS: {token.GEQ, token.LEQ}, token.GEQ: {token.LSS, token.GTR},
	token.GTR: {token.LEQ, token.GEQ}, token.LEQ: {token.GTR, token.LSS},
	token.LAND: {token.LOR}, token.LOR: {token.LAND},
}

// chooserVariable has the number of the swap that a test binary makes.
const chooserVariable = "MUTATION_SWAP"

// chooser is added to the package: it evaluates the operator that is there, or one of its
// swaps, of which the first has the given number.
const chooser = `

import (
	"os"
	"strconv"
)

var mutationSwap, _ = strconv.Atoi(os.Getenv("` + chooserVariable + `"))

func mutationChoose(first int, operator func() bool, swaps ...func() bool) bool {
	if n := mutationSwap - first; n >= 0 && n < len(swaps) {
		return swaps[n]()
	}
	return operator()
}
`

// instrumented is a package whose comparisons, && and || can all be swapped, so that its
// tests are compiled once.
type instrumented struct {
	files map[string][]byte // by path
	swaps []string          // the first has the number 1
}

// instrument takes a file, or those of a folder.
func instrument(path string) (*instrumented, error) {
	files := []string{path}
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(path, "*.go")); err != nil {
			return nil, err
		}
	}
	files = slices.DeleteFunc(files, func(file string) bool { return strings.HasSuffix(file, "_test.go") })
	p := &instrumented{files: make(map[string][]byte)}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		name, err := p.add(file, source)
		if err != nil {
			return nil, err
		}
		p.files[filepath.Join(filepath.Dir(file), "mutation_chooser.go")] = []byte("package " + name + chooser)
	}
	return p, nil
}

// add rewrites a file, and returns the name of its package.
func (p *instrumented) add(file string, source []byte) (name string, err error) {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, file, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	w := &rewriter{instrumented: p, set: set, source: source}
	var written []byte
	end := 0
	for _, declaration := range tree.Decls {
		written = append(written, source[end:w.offset(declaration.Pos())]...)
		written = append(written, w.rewrite(declaration)...)
		end = w.offset(declaration.End())
	}
	p.files[file] = append(written, source[end:]...)
	return tree.Name.Name, nil
}

// rewriter rewrites one file.
type rewriter struct {
	*instrumented
	set    *token.FileSet
	source []byte
}

func (w *rewriter) offset(pos token.Pos) int { return w.set.Position(pos).Offset }

// rewrite returns the text of a node with a call of the chooser for each operator.
func (w *rewriter) rewrite(node ast.Node) []byte {
	var written []byte
	end := w.offset(node.Pos())
	ast.Inspect(node, func(inner ast.Node) bool {
		if declaration, ok := inner.(*ast.GenDecl); ok && declaration.Tok == token.CONST {
			return false
		}
		binary, ok := inner.(*ast.BinaryExpr)
		if !ok || swaps[binary.Op] == nil {
			return true
		}
		written = append(written, w.source[end:w.offset(binary.Pos())]...)
		written = append(written, w.choice(binary)...)
		end = w.offset(binary.End())
		return false
	})
	return append(written, w.source[end:w.offset(node.End())]...)
}

// choice is the call of the chooser for one operator.
func (w *rewriter) choice(binary *ast.BinaryExpr) []byte {
	left, right := w.rewrite(binary.X), w.rewrite(binary.Y)
	call := fmt.Appendf(nil, "mutationChoose(%d", len(w.swaps)+1)
	function := func(operator token.Token) {
		call = fmt.Appendf(call, ", func() bool { return %s %s %s }", left, operator, right)
	}
	function(binary.Op)
	for _, swap := range swaps[binary.Op] {
		w.swaps = append(w.swaps, fmt.Sprintf("%s %s -> %s", w.set.Position(binary.OpPos), binary.Op, swap))
		function(swap)
	}
	return append(call, ')')
}

// compile makes a test binary of the package.
func (p *instrumented) compile(folder, scratch string) (binary string, err error) {
	replace := make(map[string]string)
	for file, text := range p.files {
		original, err := filepath.Abs(file)
		if err != nil {
			return "", err
		}
		replace[original] = filepath.Join(scratch, filepath.Base(file))
		if err := os.WriteFile(replace[original], text, 0o600); err != nil {
			return "", err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlayFile := filepath.Join(scratch, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		return "", err
	}
	binary = filepath.Join(scratch, "package.test")
	if output, err := goCommand("test", overlayFile, folder, "-c", "-vet=off", "-o", binary); err != nil {
		return "", fmt.Errorf("the instrumented package does not compile: %s", output)
	}
	return binary, nil
}

// runOperators swaps each comparison, && and || of a file or folder, those of cases among
// them, and prints which swaps the tests of the package do not notice. A test that takes
// longer than three minutes has noticed.
func runOperators(path, tests, skipped string) error {
	scratch, err := os.MkdirTemp("", "mutation-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	p, err := instrument(path)
	if err != nil {
		return err
	}
	folder := path
	if strings.HasSuffix(path, ".go") {
		folder = filepath.Dir(path)
	}
	binary, err := p.compile(folder, scratch)
	if err != nil {
		return err
	}
	test := func(number int) ([]byte, error) {
		command := exec.Command(binary, "-test.failfast", "-test.timeout=3m", "-test.run="+tests, "-test.skip="+skipped)
		command.Dir = folder
		command.Env = append(os.Environ(), chooserVariable+"="+strconv.Itoa(number))
		return command.CombinedOutput()
	}
	if output, err := test(0); err != nil {
		return fmt.Errorf("the tests fail without a swap: %s", bytes.TrimSpace(output))
	}
	start, lived := time.Now(), 0
	for i, swap := range p.swaps {
		_, err := test(i + 1)
		if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
			return err
		}
		if err == nil {
			lived++
			fmt.Println("lived ", swap)
		}
	}
	fmt.Printf("%s: %d swaps, %d noticed, %d lived, in %s\n", path, len(p.swaps), len(p.swaps)-lived, lived, time.Since(start).Round(time.Second))
	return nil
}
