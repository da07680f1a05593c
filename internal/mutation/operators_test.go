package main

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every operator is found, those of cases among them, and what is written is a package.
func TestInstrument(t *testing.T) {
	t.Parallel()
	const source = `// Package p is small.
package p

const limit = 3

// f is a function.
func f(a, b int, c *int) bool {
	switch g := func() bool { return a < b }; {
	case a >= limit && c != nil: // a comment
		return g()
	}
	return !(a == -b || (b > 1) != (a+1 > 2))
}
`
	file := filepath.Join(t.TempDir(), "p.go")
	require.NoError(t, os.WriteFile(file, []byte(source), 0o600))
	p, err := instrument(file)
	require.NoError(t, err)
	var swaps []string
	for _, swap := range p.swaps {
		swaps = append(swaps, strings.TrimPrefix(swap, file+":"))
	}
	require.Equal(t, []string{
		"8:37 < -> >=", "8:37 < -> <=",
		"9:9 >= -> <", "9:9 >= -> >", "9:23 != -> ==", "9:18 && -> ||",
		"12:13 == -> !=", "12:25 > -> <=", "12:25 > -> >=", "12:38 > -> <=", "12:38 > -> >=", "12:30 != -> ==", "12:19 || -> &&",
	}, swaps)
	set := token.NewFileSet()
	var files []*ast.File
	for name, text := range p.files {
		parsed, err := parser.ParseFile(set, name, text, 0)
		require.NoError(t, err)
		files = append(files, parsed)
	}
	require.Len(t, files, 2)
	_, err = (&types.Config{Importer: importer.ForCompiler(set, "source", nil)}).Check("p", set, files, nil)
	require.NoError(t, err)
	_, err = instrument(filepath.Join(t.TempDir(), "absent.go"))
	require.Error(t, err)
}
