package pages

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Helseid runs the command helseid with these arguments and returns what it prints.
type Helseid func(arguments ...string) (output string, err error)

// Commands reports commands of shell blocks and code spans that cannot be run: a program,
// package or module that does not exist, a flag that a program does not have, a step that
// .ci/run does not have. Programs of others are not looked at.
func Commands(root fs.FS, page Page, helseid Helseid) []Problem {
	var problems []Problem
	check := func(line int, text string) {
		for _, command := range simpleCommands(text) {
			if err := commandProblem(root, command, helseid); err != nil {
				problems = append(problems, problemf(page, line, "%s: %v", strings.Join(command, " "), err))
			}
		}
	}
	for _, block := range page.Blocks {
		if block.Language != "sh" {
			continue
		}
		text := strings.ReplaceAll(block.Text, "\\\n", " ")
		for i, line := range strings.Split(text, "\n") {
			check(block.Line+1+i, line)
		}
	}
	for _, span := range page.Spans {
		if first, _, more := strings.Cut(span.Text, " "); more && slices.Contains([]string{"go", "helseid", ".ci/run"}, first) {
			check(span.Line, span.Text)
		}
	}
	return problems
}

var (
	assignment = regexp.MustCompile(`^[A-Z_]+=`)
	flagWord   = regexp.MustCompile(`^--?([A-Za-z][\w-]*)(?:=.*)?$`)
	shellWord  = regexp.MustCompile(`"[^"]*"|'[^']*'|[^\s"']+`)
)

// simpleCommands splits a line of shell into commands of words, without comments, leading
// assignments and redirections.
func simpleCommands(line string) [][]string {
	var commands [][]string
	var command []string
	next := func() {
		if len(command) > 0 {
			commands = append(commands, command)
		}
		command = nil
	}
	for _, word := range shellWord.FindAllString(line, -1) {
		switch {
		case strings.HasPrefix(word, "#"):
			next()
			return commands
		case word == "|" || word == "&&" || word == "||" || word == "&" || word == ";":
			next()
		case len(command) == 0 && assignment.MatchString(word):
		default:
			command = append(command, strings.Trim(word, `"'`))
		}
	}
	next()
	return commands
}

func commandProblem(root fs.FS, words []string, helseid Helseid) error {
	switch words[0] {
	case "helseid":
		return helseidProblem(words[1:], helseid)
	case "go":
		if len(words) > 2 && words[1] == "run" && words[2] == "./helseid/cmd/helseid" {
			return helseidProblem(words[3:], helseid)
		}
		return goProblem(root, words[1:])
	case ".ci/run":
		return stepProblem(root, words[1:])
	}
	return nil
}

func helseidProblem(words []string, helseid Helseid) error {
	var commands []string
	for {
		help, err := helseid(append(slices.Clone(commands), "-h")...)
		if err != nil {
			return fmt.Errorf("helseid %s -h: %w", strings.Join(commands, " "), err)
		}
		if !strings.Contains(help, " COMMAND [flags]") {
			var flags []string
			for _, found := range regexp.MustCompile(`(?m)^  -(\S+)`).FindAllStringSubmatch(help, -1) {
				flags = append(flags, found[1])
			}
			return unknownFlag(words, flags)
		}
		if len(words) == 0 || words[0] == "-h" {
			return nil
		}
		if !regexp.MustCompile(`(?m)^  ` + regexp.QuoteMeta(words[0]) + ` `).MatchString(help) {
			return fmt.Errorf("there is no command %s", words[0])
		}
		commands, words = append(commands, words[0]), words[1:]
	}
}

func unknownFlag(words, flags []string) error {
	for _, word := range words {
		if found := flagWord.FindStringSubmatch(word); found != nil && found[1] != "h" && !slices.Contains(flags, found[1]) {
			return fmt.Errorf("there is no flag -%s", found[1])
		}
	}
	return nil
}

func goProblem(root fs.FS, words []string) error {
	folder := "."
	if len(words) > 1 && words[0] == "-C" {
		folder, words = words[1], words[2:]
	}
	if len(words) == 0 {
		return nil
	}
	verb, words := words[0], words[1:]
	switch verb {
	case "run":
		if len(words) == 0 {
			return fmt.Errorf("it names no program")
		}
		program := path.Join(folder, words[0])
		flags, err := programFlags(root, program)
		if err != nil {
			return err
		}
		return unknownFlag(words[1:], flags)
	case "test", "doc", "vet", "build":
		for _, word := range words {
			if name, wild := strings.CutSuffix(word, "/..."); strings.HasPrefix(word, "./") || wild {
				if _, err := fs.Stat(root, path.Join(folder, name)); err != nil {
					return fmt.Errorf("there is no folder %s", word)
				}
			}
		}
	case "get", "install":
		for _, word := range words {
			name, _, _ := strings.Cut(word, "@")
			if below, ours := strings.CutPrefix(name+"/", module+"/"); ours {
				if _, err := fs.Stat(root, path.Join(".", below)); err != nil {
					return fmt.Errorf("there is no package %s", name)
				}
			}
		}
	}
	return nil
}

// programFlags are the flags that the source of a program declares, such as
// flags.StringVar(&opts.url, "url", "", "…").
func programFlags(root fs.FS, folder string) ([]string, error) {
	files, err := fs.Glob(root, path.Join(folder, "*.go"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("there is no program in %s", folder)
	}
	var flags []string
	isProgram := false
	for _, name := range files {
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		isProgram = isProgram || file.Name.Name == "main"
		ast.Inspect(file, func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok {
				flags = append(flags, declaredFlag(call)...)
			}
			return true
		})
	}
	if !isProgram {
		return nil, fmt.Errorf("%s is no program", folder)
	}
	return flags, nil
}

var flagMethod = regexp.MustCompile(`^(?:Bool|String|Int|Int64|Uint|Float64|Duration|Text)(?:Var)?$|^(?:Var|Func|BoolFunc)$`)

func declaredFlag(call *ast.CallExpr) []string {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !flagMethod.MatchString(method.Sel.Name) {
		return nil
	}
	for _, argument := range call.Args[:min(2, len(call.Args))] {
		if literal, ok := argument.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			name, err := strconv.Unquote(literal.Value)
			if err == nil {
				return []string{name}
			}
		}
	}
	return nil
}

func stepProblem(root fs.FS, words []string) error {
	script, err := fs.ReadFile(root, ".ci/run")
	if err != nil {
		return err
	}
	for _, step := range words {
		if !regexp.MustCompile(`(?m)^step_` + regexp.QuoteMeta(step) + `\(\)`).Match(script) {
			return fmt.Errorf("there is no step %s", step)
		}
	}
	return nil
}
