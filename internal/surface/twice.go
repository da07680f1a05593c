package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/printer"
	"go/token"
	"io"
	"maps"
	"slices"
	"strings"
)

// printTwice prints what more than one package declares, packages for tests aside: types of
// the same name, with those of their fields and methods that have the same name, too, and
// constants of the same value. Types that share only a name are different things, and are
// left out, but for those that have no fields and methods. Config is left out, too: each
// package has its own, and is told by it whom to ask and where to log.
func printTwice(w io.Writer, packages map[string]*surface) {
	found := make(map[string][]string) // packages by what they declare
	shared := make(map[string][]string)
	bare := make(map[string]bool) // types that somewhere have no members
	for _, folder := range slices.Sorted(maps.Keys(packages)) {
		if strings.Contains(folder, "helseidtest") {
			continue
		}
		members := make(map[string]int)
		for _, d := range packages[folder].declarations {
			typ, member, _ := strings.Cut(d.name, ".")
			switch {
			case d.kind == typeName:
				found["type "+typ] = append(found["type "+typ], folder)
			case d.kind == value && d.is != "":
				found["constant "+d.is] = append(found["constant "+d.is], folder+"."+d.name)
			case (d.kind == method || d.kind == field) && !conventional[member]:
				members[typ]++
				found[d.name] = append(found[d.name], folder)
			}
		}
		for _, d := range packages[folder].declarations {
			bare[d.name] = bare[d.name] || d.kind == typeName && members[d.name] == 0
		}
	}
	for name, folders := range found {
		if typ, member, ok := strings.Cut(name, "."); ok && len(folders) > 1 && ast.IsExported(typ) {
			shared[typ] = append(shared[typ], member)
		}
	}
	fmt.Fprintln(w, "| declared more than once | where | with the members | identifiers |")
	fmt.Fprintln(w, "|---|---|---|---|")
	all := 0
	for _, name := range slices.Sorted(maps.Keys(found)) {
		folders := found[name]
		typ, isType := strings.CutPrefix(name, "type ")
		isConstant := strings.HasPrefix(name, "constant ")
		if len(folders) < 2 || typ == "Config" || !isConstant && !isType || isType && len(shared[typ]) == 0 && !bare[typ] {
			continue
		}
		n := len(folders)
		if isType {
			for _, member := range shared[typ] {
				n += len(found[typ+"."+member])
			}
			slices.Sort(shared[typ])
		}
		all += n
		fmt.Fprintf(w, "| %s | %s | %s | %d |\n", name, strings.Join(folders, ", "), strings.Join(shared[typ], ", "), n)
	}
	fmt.Fprintf(w, "| all | | | %d |\n", all)
}

// conventional are methods of the interfaces of the standard library, which say nothing
// about what a type is.
var conventional = map[string]bool{
	"Error": true, "Is": true, "Unwrap": true, "String": true, "GoString": true, "Format": true, "LogValue": true,
	"MarshalText": true, "MarshalJSON": true, "Close": true,
}

// text is an expression as gofmt writes it.
func text(expression ast.Expr) string {
	var out bytes.Buffer
	if err := printer.Fprint(&out, token.NewFileSet(), expression); err != nil {
		return ""
	}
	return out.String()
}
