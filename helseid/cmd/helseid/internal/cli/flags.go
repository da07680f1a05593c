package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/helseid-go/sdk/internal/redact"
)

// Flags are the flags of a command. Each can also be set by an environment variable,
// HELSEID_ and its name in capitals, unless [Flags.NoEnvironment] excludes it.
type Flags struct {
	*flag.FlagSet
	excluded   map[string]bool
	repeatable map[string]bool
	arguments  []string // what is no flag
}

func newFlags(path string) *Flags {
	set := flag.NewFlagSet(path, flag.ContinueOnError)
	set.SetOutput(io.Discard) // errors are printed by Main
	return &Flags{FlagSet: set, excluded: map[string]bool{}, repeatable: map[string]bool{}}
}

// Func declares a flag that can be given several times. All others are refused then,
// since only the last value would count.
func (f *Flags) Func(name, usage string, set func(value string) error) {
	f.repeatable[name] = true
	f.FlagSet.Func(name, usage, set)
}

// NoEnvironment excludes flags that reveal a secret or relax a check: they must be seen in
// the command itself. It is also for flags whose variable would be taken for something else.
func (f *Flags) NoEnvironment(names ...string) {
	for _, name := range names {
		if f.Lookup(name) == nil {
			panic("no flag " + name)
		}
		f.excluded[name] = true
	}
}

// parse reads the command line, then the environment for the flags that it does not name.
func (f *Flags) parse(arguments []string, getenv func(string) (string, bool)) error {
	counts := f.count()
	err := f.parseLine(arguments)
	repeated := counts.end()
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return Usagef("%s", redact.Text(err.Error())) // it repeats what may be a token in the wrong place
	}
	if len(repeated) > 0 {
		return Usagef("-%s is given several times, and takes one value", repeated[0])
	}
	return f.parseEnvironment(getenv)
}

// parseLine takes flags before and after arguments, as curl does. What follows "--" is
// arguments.
func (f *Flags) parseLine(line []string) error {
	for {
		if err := f.Parse(line); err != nil {
			return err
		}
		read := len(line) - f.NArg()
		if f.NArg() == 0 || read > 0 && line[read-1] == "--" {
			f.arguments = append(f.arguments, f.Args()...)
			return nil
		}
		f.arguments = append(f.arguments, f.Arg(0))
		line = f.Args()[1:]
	}
}

func (f *Flags) parseEnvironment(getenv func(string) (string, bool)) error {
	given := make(map[string]bool)
	f.Visit(func(set *flag.Flag) { given[set.Name] = true })
	var errs []error
	f.VisitAll(func(declared *flag.Flag) {
		if given[declared.Name] || f.excluded[declared.Name] {
			return
		}
		value, set := getenv(environment(declared.Name))
		if !set {
			return
		}
		if f.Set(declared.Name, value) != nil {
			errs = append(errs, fmt.Errorf("%s cannot be used as -%s", environment(declared.Name), declared.Name))
		}
	})
	if len(errs) > 0 {
		return &UsageError{Err: errors.Join(errs...)}
	}
	return nil
}

// Given reports whether the command line or the environment sets the flag.
func (f *Flags) Given(name string) bool {
	given := false
	f.Visit(func(set *flag.Flag) { given = given || set.Name == name })
	return given
}

func environment(name string) string {
	return "HELSEID_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func (f *Flags) writeTo(w io.Writer) {
	f.VisitAll(func(declared *flag.Flag) {
		kind, usage := flag.UnquoteUsage(declared)
		line := "  -" + declared.Name
		if kind != "" {
			line += " " + kind
		}
		fmt.Fprintf(w, "%s\n      %s", line, usage)
		if declared.DefValue != "" && declared.DefValue != "false" && declared.DefValue != "0" {
			fmt.Fprintf(w, " (default %s)", declared.DefValue)
		}
		if f.excluded[declared.Name] {
			fmt.Fprintln(w)
			return
		}
		fmt.Fprintf(w, " [$%s]\n", environment(declared.Name))
	})
}
