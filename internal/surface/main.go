// Command surface counts what a package promises and how long its pieces are.
//
//	go run ./internal/surface              every package that can be imported from outside
//	go run ./internal/surface -list        the identifiers themselves, one per line
//	go run ./internal/surface -twice       what more than one package declares
//	go run ./internal/surface [...] DIR    the same for a tree elsewhere, such as an older checkout
//
// An exported identifier is a type, function, constant, variable, method of an exported
// type, or field of an exported struct. Tests do not count. Methods that a type gets from
// an unexported type that it embeds do not count either.
package main

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
)

func main() {
	list := flag.Bool("list", false, "print the identifiers, one per line")
	twice := flag.Bool("twice", false, "print what more than one package declares, packages for tests aside")
	flag.Parse()
	root := "."
	if flag.NArg() > 0 {
		root = flag.Arg(0)
	}
	packages, err := read(root)
	if err != nil {
		fmt.Fprintln(os.Stderr, "surface:", err)
		os.Exit(1)
	}
	switch {
	case *list:
		printList(os.Stdout, packages)
	case *twice:
		printTwice(os.Stdout, packages)
	default:
		printTable(os.Stdout, packages)
	}
}

func printTable(w io.Writer, packages map[string]*surface) {
	fmt.Fprintln(w, "| package | exported identifiers | types | functions | methods | constants and variables | fields | longest file | longest function |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|")
	all := 0
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		s := packages[name]
		all += s.total()
		fmt.Fprintf(w, "| %s | %d | %d | %d | %d | %d | %d | %s, %d | %s, %d |\n", name, s.total(),
			s.count(typeName), s.count(function), s.count(method), s.count(value), s.count(field),
			s.longestFile, s.fileLines, s.longestFunction, s.functionLines)
	}
	fmt.Fprintf(w, "| all | %d |\n", all)
}

// printList leaves out fields, as the total does.
func printList(w io.Writer, packages map[string]*surface) {
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		for _, d := range packages[name].declarations {
			if d.kind != field {
				fmt.Fprintf(w, "%s %s\n", name, d.name)
			}
		}
	}
}
