package oteltest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	_ "go.opentelemetry.io/otel/exporters/stdout/stdoutmetric" // for the program below
	_ "go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
)

// Programs choose the SDK: the module depends on the API only, also for its tests.
func TestModuleDependsOnTheAPIOnly(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("../../helseid/otelhelseid/go.mod")
	require.NoError(t, err)
	var found []string
	for _, match := range regexp.MustCompile(`(?m)^\t(go\.opentelemetry\.io/\S+) \S+$`).FindAllStringSubmatch(string(file), -1) {
		found = append(found, match[1])
	}
	require.Equal(t, []string{"go.opentelemetry.io/otel", "go.opentelemetry.io/otel/metric", "go.opentelemetry.io/otel/trace"}, found)
}

// The program in the package's documentation compiles.
func TestDocumentedProgram(t *testing.T) {
	t.Parallel()
	documentation, err := os.ReadFile("../../helseid/otelhelseid/doc.go")
	require.NoError(t, err)
	_, program, found := strings.Cut(string(documentation), "//\tpackage main\n")
	require.True(t, found)
	program, _, found = strings.Cut(program, "//\t}\n//\n// A web application's")
	require.True(t, found)
	program = regexp.MustCompile(`(?m)^//\t?`).ReplaceAllString("//\tpackage main\n"+program+"//\t}\n", "")
	file := filepath.Join(t.TempDir(), "main.go")
	require.NoError(t, os.WriteFile(file, []byte(program), 0o600))
	output, err := exec.CommandContext(t.Context(), "go", "vet", file).CombinedOutput()
	require.NoError(t, err, string(output))
}
