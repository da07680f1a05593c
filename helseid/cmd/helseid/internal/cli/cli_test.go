package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
)

// advised is an error that says what to do.
type advised struct{ error }

func (advised) Advice() string { return "do this" }

// outcome is what a program has done.
type outcome struct {
	exit           int
	stdout, stderr string
}

// seen are the flags and arguments that the command has got.
type seen struct {
	name, reveal string
	given        bool
	count        int
	several      []string
	arguments    []string
}

func run(t *testing.T, environment map[string]string, fail error, terminal bool, line ...string) (outcome, seen) {
	t.Helper()
	var got seen
	root := cli.Command{
		Name: "tool", Help: "tool is a tool.", Examples: []string{"tool try -name x"},
		Commands: []cli.Command{
			{
				Name: "try", Arguments: "[FILE]", Summary: "try it", Help: "Tries it.", Examples: []string{"tool try -name y"},
				Setup: func(flags *cli.Flags) cli.Run {
					flags.StringVar(&got.name, "some-name", "default", "the `name`")
					flags.StringVar(&got.reveal, "show", "", "reveal it")
					flags.IntVar(&got.count, "count", 0, "how many")
					flags.Func("several", "`value`s", func(value string) error { got.several = append(got.several, value); return nil })
					flags.NoEnvironment("show")
					return func(_ context.Context, out *cli.Output, arguments []string) error {
						got.arguments, got.given = arguments, flags.Given("some-name")
						out.Say("%s %s", out.Good("good"), out.Bad("bad"))
						out.Event(map[string]any{"event": "tried"})
						return fail
					}
				},
			},
			{Name: "group", Summary: "more", Help: "More.", Commands: []cli.Command{{Name: "one", Summary: "one of them", Setup: func(*cli.Flags) cli.Run {
				return func(context.Context, *cli.Output, []string) error { return nil }
			}}}},
		},
	}
	var stdout, stderr bytes.Buffer
	exit := cli.Main(t.Context(), root, line, cli.System{
		Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Terminal: terminal,
		Getenv: func(name string) (string, bool) { value, set := environment[name]; return value, set },
	})
	return outcome{exit, stdout.String(), stderr.String()}, got
}

func TestFlagsAndEnvironment(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		environment map[string]string
		line        []string
		want        seen
	}{
		"nothing":                    {nil, nil, seen{name: "default"}},
		"a flag":                     {nil, []string{"-some-name", "x"}, seen{name: "x", given: true}},
		"the environment":            {map[string]string{"HELSEID_SOME_NAME": "x"}, nil, seen{name: "x", given: true}},
		"a flag wins":                {map[string]string{"HELSEID_SOME_NAME": "x"}, []string{"-some-name=y"}, seen{name: "y", given: true}},
		"an empty variable":          {map[string]string{"HELSEID_SOME_NAME": ""}, nil, seen{given: true}},
		"nothing is revealed by it":  {map[string]string{"HELSEID_SHOW": "x"}, nil, seen{name: "default"}},
		"a flag after an argument":   {nil, []string{"a", "-count", "2", "b"}, seen{name: "default", count: 2, arguments: []string{"a", "b"}}},
		"after two dashes":           {nil, []string{"-count", "2", "--", "-a", "b"}, seen{name: "default", count: 2, arguments: []string{"-a", "b"}}},
		"after an argument and them": {nil, []string{"a", "--", "-count"}, seen{name: "default", arguments: []string{"a", "-count"}}},
		"several times":              {nil, []string{"-several", "x", "-several=y"}, seen{name: "default", several: []string{"x", "y"}}},
		"a dash":                     {nil, []string{"-", "-count", "2"}, seen{name: "default", count: 2, arguments: []string{"-"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, flags := run(t, test.environment, nil, false, append([]string{"try"}, test.line...)...)
			require.Equal(t, cli.ExitGood, got.exit, got.stderr)
			require.Equal(t, test.want, flags)
		})
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	problem := errors.New("it does not work")
	for name, test := range map[string]struct {
		environment map[string]string
		fail        error
		line        []string
		exit        int
		stderr      string
	}{
		"good":                          {line: []string{"try"}},
		"a problem":                     {fail: problem, line: []string{"try"}, exit: cli.ExitProblem, stderr: "tool try: it does not work\n"},
		"reported before":               {fail: cli.ErrReported, line: []string{"try"}, exit: cli.ExitProblem},
		"usage":                         {fail: cli.Usagef("not so: %w", problem), line: []string{"try"}, exit: cli.ExitUsage, stderr: "tool try: not so: it does not work\ntool try: see tool try -h, which has examples\n"},
		"an unknown flag":               {line: []string{"try", "-other"}, exit: cli.ExitUsage, stderr: "-other"},
		"a bad value":                   {line: []string{"try", "-count", "x"}, exit: cli.ExitUsage, stderr: "-count"},
		"a bad variable":                {environment: map[string]string{"HELSEID_COUNT": "secret"}, line: []string{"try"}, exit: cli.ExitUsage, stderr: "HELSEID_COUNT cannot be used as -count"},
		"a flag twice":                  {line: []string{"try", "-show", "secret", "-show", "secret"}, exit: cli.ExitUsage, stderr: "-show is given several times, and takes one value"},
		"a flag twice, elsewhere":       {line: []string{"try", "-count", "1", "a", "-count=2"}, exit: cli.ExitUsage, stderr: "-count is given several times"},
		"a switch twice":                {line: []string{"try", "-json", "-json=false"}, exit: cli.ExitUsage, stderr: "-json is given several times"},
		"no command":                    {exit: cli.ExitUsage, stderr: "Usage: tool COMMAND"},
		"an unknown command":            {line: []string{"other"}, exit: cli.ExitUsage, stderr: `no command "other"`},
		"no second command":             {line: []string{"group"}, exit: cli.ExitUsage, stderr: "tool group COMMAND"},
		"a second command":              {line: []string{"group", "one"}},
		"an argument that is not taken": {line: []string{"group", "one", "other"}, exit: cli.ExitUsage, stderr: `unexpected argument "other"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _ := run(t, test.environment, test.fail, false, test.line...)
			require.Equal(t, test.exit, got.exit)
			require.Contains(t, got.stderr, test.stderr)
			require.NotContains(t, got.stderr, "secret", "values of variables may be secrets")
			if test.stderr == "" {
				require.Empty(t, got.stderr)
			}
		})
	}
}

// What is repeated of a wrong command line may be a token that has slipped into the wrong
// place.
func TestWrongLinesAreNotRepeated(t *testing.T) {
	t.Parallel()
	token := "eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJhIjoxfQ.c2ln"
	for _, line := range [][]string{{token}, {"group", token}, {"group", "one", token}, {"try", "-" + token}, {"try", "-count", token}, {"try", "-count=" + token}} {
		got, _ := run(t, nil, nil, false, line...)
		require.Equal(t, cli.ExitUsage, got.exit, line)
		require.Contains(t, got.stderr, "[redacted]")
		require.NotContains(t, got.stderr+got.stdout, token[:30])
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, line := range [][]string{{"-h"}, {"--help"}, {"help"}} {
		got, _ := run(t, nil, nil, false, line...)
		require.Equal(t, cli.ExitGood, got.exit)
		for _, text := range []string{"tool is a tool.", "try it", "tool try -name x", "COMMAND -h"} {
			require.Contains(t, got.stdout, text)
		}
	}
	for _, line := range [][]string{{"try", "-h"}, {"help", "try"}, {"try", "-count", "2", "a", "--help"}} {
		got, _ := run(t, nil, errors.New("it has run"), false, line...)
		require.Equal(t, outcome{exit: cli.ExitGood, stdout: got.stdout}, got)
		for _, text := range []string{"Usage: tool try [flags] [FILE]", "tool try -name y", "-some-name name", "-count int", "(default default) [$HELSEID_SOME_NAME]", "-json", "Exit codes: 0"} {
			require.Contains(t, got.stdout, text)
		}
		require.NotContains(t, got.stdout, "HELSEID_SHOW")
	}
	got, _ := run(t, nil, nil, false, "help", "group", "one")
	require.Contains(t, got.stdout, "Usage: tool group one")
}

func TestColours(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		environment map[string]string
		terminal    bool
		line        []string
		want        string
	}{
		"no terminal":       {line: []string{"try"}, want: "good bad\n"},
		"a terminal":        {terminal: true, line: []string{"try"}, want: "\x1b[32mgood\x1b[0m \x1b[31mbad\x1b[0m\n"},
		"NO_COLOR":          {environment: map[string]string{"NO_COLOR": "1"}, terminal: true, line: []string{"try"}, want: "good bad\n"},
		"an empty NO_COLOR": {environment: map[string]string{"NO_COLOR": ""}, terminal: true, line: []string{"try"}, want: "\x1b[32mgood\x1b[0m \x1b[31mbad\x1b[0m\n"},
		"JSON":              {terminal: true, line: []string{"try", "-json"}, want: `{"event":"tried"}` + "\n"},
		"JSON, by variable": {environment: map[string]string{"HELSEID_JSON": "true"}, line: []string{"try"}, want: `{"event":"tried"}` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _ := run(t, test.environment, nil, test.terminal, test.line...)
			require.Equal(t, test.want, got.stdout)
		})
	}
}

// With -json an error is an object, too, with what there is to do about it.
func TestErrorsAsJSON(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fail error
		want map[string]any
	}{
		"advised":  {fmt.Errorf("no: %w", advised{errors.New("why")}), map[string]any{"event": "error", "problem": "no: why", "remedy": "do this"}},
		"plain":    {errors.New("why"), map[string]any{"event": "error", "problem": "why"}},
		"usage":    {cli.Usagef("not so"), map[string]any{"event": "error", "problem": "not so", "usage": true}},
		"reported": {cli.ErrReported, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _ := run(t, nil, test.fail, false, "try", "-json")
			lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
			require.Equal(t, `{"event":"tried"}`, lines[0])
			if test.want == nil {
				require.Len(t, lines, 1)
				return
			}
			var event map[string]any
			require.NoError(t, json.Unmarshal([]byte(lines[1]), &event))
			require.Equal(t, test.want, event)
			require.Contains(t, got.stderr, test.want["problem"])
		})
	}
}

func TestWithoutQuery(t *testing.T) {
	t.Parallel()
	inner := advised{errors.New("connection refused")}
	failed := &url.Error{Op: "Get", URL: "https://user:word@api.example/a%2Fb?number=06828399789#x", Err: inner}
	err := cli.WithoutQuery(fmt.Errorf("outside: %w", failed))
	require.EqualError(t, err, "outside: Get https://api.example/a%2Fb: connection refused")
	require.ErrorIs(t, err, inner)
	require.EqualError(t, cli.WithoutQuery(&url.Error{Op: "Get", URL: "::secret", Err: inner}), "Get a URL: connection refused")
	require.EqualError(t, cli.WithoutQuery(&url.Error{Op: "Get", URL: "https://a?x", Err: failed}), "Get https://a: Get https://api.example/a%2Fb: connection refused")
	require.Equal(t, inner, cli.WithoutQuery(inner))
	require.EqualError(t, cli.WithoutQuery(&url.Error{Op: "Get", URL: "https://a/person/06828399789/b", Err: inner}), "Get https://a/person/***********/b: connection refused")
}

func TestReadSecret(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	write(" word\r\n")
	secret, err := cli.ReadSecret(path, nil)
	require.NoError(t, err)
	require.Equal(t, "word", secret)
	secret, err = cli.ReadSecret("-", strings.NewReader("other\n"))
	require.NoError(t, err)
	require.Equal(t, "other", secret)
	for _, text := range []string{"", " \n", strings.Repeat("x", 1<<17)} {
		write(text)
		_, err = cli.ReadSecret(path, nil)
		require.Error(t, err)
	}
	_, err = cli.ReadSecret(path+"x", nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}
