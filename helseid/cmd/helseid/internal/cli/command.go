package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/internal/redact"
)

// The exit codes, which scripts rely on.
const (
	ExitGood    = 0 // everything is as it should be
	ExitProblem = 1 // something is wrong, and the output says what
	ExitUsage   = 2 // flags, arguments or a configuration cannot be used; nothing has been sent
)

// Command is a command of the program, or one below it.
type Command struct {
	Name      string
	Arguments string // as help shows them, such as "[FILE]"; without it there are none
	Summary   string // one line, without a full stop
	Help      string // what it does, in paragraphs
	Examples  []string

	// Setup declares the flags, and returns what runs when they have been read.
	Setup func(flags *Flags) Run

	// Commands are below this one, which then has no Setup.
	Commands []Command
}

// Run does the work with the arguments that are left after the flags. An error that is no
// [UsageError] and no [ErrReported] is printed, and ends the program with [ExitProblem].
type Run func(ctx context.Context, out *Output, arguments []string) error

// ErrReported ends the program with [ExitProblem] when the output has said what is wrong.
var ErrReported = errors.New("reported")

// UsageError ends the program with [ExitUsage].
type UsageError struct{ Err error }

// Error is the text of the error inside.
func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns the error inside, for [errors.Is] and [errors.As].
func (e *UsageError) Unwrap() error { return e.Err }

// Usagef makes a [UsageError].
func Usagef(format string, values ...any) error {
	return &UsageError{Err: fmt.Errorf(format, values...)}
}

// System is what the program has around it.
type System struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(name string) (value string, set bool)

	// Terminal reports whether a person reads Stdout: only then are there colours.
	Terminal bool
}

// Main runs the command that the arguments name, and returns the exit code.
func Main(ctx context.Context, root Command, arguments []string, system System) int {
	path := root.Name
	command := root
	for len(command.Commands) > 0 {
		name := ""
		if len(arguments) > 0 {
			name = arguments[0]
		}
		next := slices.IndexFunc(command.Commands, func(c Command) bool { return c.Name == name })
		if next < 0 {
			return noCommand(command, path, name, arguments, system)
		}
		command = command.Commands[next]
		path += " " + command.Name
		arguments = arguments[1:]
	}
	return runCommand(ctx, command, path, arguments, system)
}

func noCommand(command Command, path, name string, arguments []string, system System) int {
	switch name {
	case "-h", "-help", "--help", "help":
		if name == "help" && len(arguments) > 1 {
			// "helseid help token" is "helseid token -h".
			return Main(context.Background(), command, append(slices.Clone(arguments[1:]), "-h"), system)
		}
		writeCommands(system.Stdout, command, path)
		return ExitGood
	case "":
		writeCommands(system.Stderr, command, path)
	default:
		fmt.Fprintf(system.Stderr, "%s: no command %q; %s -h lists them\n", path, redact.Text(name), path)
	}
	return ExitUsage
}

func runCommand(ctx context.Context, command Command, path string, arguments []string, system System) int {
	flags := newFlags(path)
	asJSON := flags.Bool("json", false, "print one JSON object per line")
	run := command.Setup(flags)
	err := flags.parse(arguments, system.Getenv)
	if errors.Is(err, flag.ErrHelp) {
		writeHelp(system.Stdout, command, path, flags)
		return ExitGood
	}
	out := &Output{Stdin: system.Stdin, stdout: system.Stdout, stderr: system.Stderr, asJSON: *asJSON, colours: system.Terminal && !*asJSON, path: path}
	if plain, _ := system.Getenv("NO_COLOR"); plain != "" { // https://no-color.org
		out.colours = false
	}
	if err == nil && command.Arguments == "" && len(flags.arguments) > 0 {
		err = Usagef("unexpected argument %q", redact.Text(flags.arguments[0]))
	}
	if err == nil {
		err = run(ctx, out, flags.arguments)
	}
	return out.end(err)
}

// end prints the error of a command, and returns the exit code.
func (o *Output) end(err error) int {
	if err == nil {
		return ExitGood
	}
	_, usage := errors.AsType[*UsageError](err)
	if !errors.Is(err, ErrReported) {
		err = WithoutQuery(err)
		o.Event(errorEvent(err, usage))
		o.Note("%v", err)
	}
	if usage {
		o.Note("see %s -h, which has examples", o.path)
		return ExitUsage
	}
	return ExitProblem
}

// adviser is an error that says what to do about it, such as [helseid.TokenError].
type adviser interface {
	error
	Advice() string
}

func errorEvent(err error, usage bool) any {
	event := struct {
		Event   string `json:"event"`
		Usage   bool   `json:"usage,omitempty"`
		Problem string `json:"problem"`
		Remedy  string `json:"remedy,omitempty"`
	}{Event: "error", Usage: usage, Problem: err.Error()}
	if advised, ok := errors.AsType[adviser](err); ok {
		event.Remedy = advised.Advice()
	}
	return event
}

func writeCommands(w io.Writer, command Command, path string) {
	fmt.Fprintf(w, "%s\n\nUsage: %s COMMAND [flags]\n\n", strings.TrimSpace(command.Help), path)
	for _, c := range command.Commands {
		fmt.Fprintf(w, "  %-10s %s\n", c.Name, c.Summary)
	}
	writeExamples(w, command)
	fmt.Fprintf(w, "\n%s COMMAND -h tells more of one.\n", path)
}

func writeExamples(w io.Writer, command Command) {
	if len(command.Examples) == 0 {
		return
	}
	fmt.Fprintln(w, "\nExamples:")
	for _, example := range command.Examples {
		fmt.Fprintf(w, "  %s\n", example)
	}
}

func writeHelp(w io.Writer, command Command, path string, flags *Flags) {
	usage := path + " [flags]"
	if command.Arguments != "" {
		usage += " " + command.Arguments
	}
	fmt.Fprintf(w, "Usage: %s\n\n%s\n", usage, strings.TrimSpace(command.Help))
	writeExamples(w, command)
	fmt.Fprintln(w, "\nFlags:")
	flags.writeTo(w)
	fmt.Fprintln(w, "\nExit codes: 0 good, 1 something is wrong, 2 usage or configuration.")
}
