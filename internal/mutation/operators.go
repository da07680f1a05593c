package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// swaps are what each operator is replaced by, one at a time.
var swaps = map[token.Token][]token.Token{
	token.EQL: {token.NEQ}, token.NEQ: {token.EQL},
	token.LSS: {token.GEQ, token.LEQ}, token.GEQ: {token.LSS, token.GTR},
	token.GTR: {token.LEQ, token.GEQ}, token.LEQ: {token.GTR, token.LSS},
	token.LAND: {token.LOR}, token.LOR: {token.LAND},
	token.ADD: {token.SUB}, token.SUB: {token.ADD},
	token.MUL: {token.QUO}, token.QUO: {token.MUL}, token.REM: {token.MUL},
	token.INC: {token.DEC}, token.DEC: {token.INC},
}

// swap is one operator of a file replaced by another.
type swap struct {
	place  token.Position
	offset int
	from   token.Token
	to     token.Token
}

func (s swap) String() string { return fmt.Sprintf("%s %s -> %s", s.place, s.from, s.to) }

// swapsIn finds the operators of a file in their order, those of constants and of cases
// among them.
func swapsIn(file string, source []byte) ([]swap, error) {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, file, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var found []swap
	add := func(at token.Pos, from token.Token) {
		for _, to := range swaps[from] {
			place := set.Position(at)
			found = append(found, swap{place, place.Offset, from, to})
		}
	}
	ast.Inspect(tree, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.BinaryExpr:
			add(node.OpPos, node.Op)
		case *ast.IncDecStmt:
			add(node.TokPos, node.Tok)
		case *ast.UnaryExpr:
			if node.Op == token.SUB {
				add(node.OpPos, node.Op)
			}
		}
		return true
	})
	slices.SortStableFunc(found, func(a, b swap) int { return a.offset - b.offset })
	return found, nil
}

// runOperators swaps every operator of a file, or of the files of a folder, and prints
// which swaps the tests of the package do not notice. What does not compile is left out. A
// test that takes longer than three minutes has noticed.
func runOperators(path, tests string) error {
	files := []string{path}
	if info, err := os.Stat(path); err != nil {
		return err
	} else if info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(path, "*.go")); err != nil {
			return err
		}
	}
	scratch, err := os.MkdirTemp("", "mutation-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	start, count := time.Now(), make(map[outcome]int)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		found, err := swapsIn(file, source)
		if err != nil {
			return err
		}
		m := mutation{File: file, Test: []string{"./" + filepath.ToSlash(filepath.Dir(file))}, Run: tests}
		if result, output, err := m.tryWith(scratch, source); err != nil || result != lived {
			return errors.Join(err, fmt.Errorf("the tests fail without a swap: %s", output))
		}
		for _, swap := range found {
			mutated := slices.Concat(source[:swap.offset], []byte(swap.to.String()), source[swap.offset+len(swap.from.String()):])
			result, _, err := m.tryWith(scratch, mutated)
			if err != nil {
				return err
			}
			count[result]++
			fmt.Printf("%-9s %s\n", result, swap)
		}
	}
	for _, result := range slices.Sorted(maps.Keys(count)) {
		fmt.Printf("%d %s, ", count[result], result)
	}
	fmt.Printf("in %s\n", time.Since(start).Round(time.Second))
	return nil
}
