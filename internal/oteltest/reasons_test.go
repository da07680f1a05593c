package oteltest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/middleware"
)

// reasonsOfSource finds every reason for a refusal in the source of the guards, with a
// status: constants whose names begin with Reason, and the third argument of refused.
func reasonsOfSource(t testing.TB) map[string]int {
	t.Helper()
	found := make(map[string]int)
	add := func(value ast.Expr) {
		literal, ok := value.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return
		}
		reason, err := strconv.Unquote(literal.Value)
		require.NoError(t, err)
		found[reason] = 401
		if strings.HasSuffix(reason, "_unavailable") || reason == "panicked" || reason == "misconfigured" {
			found[reason] = 503
		}
	}
	for _, folder := range []string{"middleware", "middleware/*", "dpop", "tokenvalidation"} {
		files, err := filepath.Glob(filepath.Join("../..", folder, "*.go"))
		require.NoError(t, err)
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			source, err := os.ReadFile(name)
			require.NoError(t, err)
			file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.SkipObjectResolution)
			require.NoError(t, err)
			ast.Inspect(file, func(node ast.Node) bool {
				switch node := node.(type) {
				case *ast.ValueSpec:
					for i, constant := range node.Names {
						if (strings.HasPrefix(constant.Name, "Reason") || strings.HasPrefix(constant.Name, "reason")) && i < len(node.Values) {
							add(node.Values[i])
						}
					}
				case *ast.CallExpr:
					if called, ok := node.Fun.(*ast.Ident); ok && called.Name == "refused" && len(node.Args) == 4 {
						add(node.Args[2])
					}
				}
				return true
			})
		}
	}
	require.Contains(t, found, "proof_replayed")
	require.Contains(t, found, "token_audience")
	require.Contains(t, found, "proof_missing")
	require.Contains(t, found, "lookup_unavailable")
	require.Contains(t, found, "method_unlisted")
	require.Contains(t, found, middleware.ReasonSecurityLevel)
	require.Greater(t, len(found), 50)
	return found
}

// Each reason of the guard is counted under its own name, and those that the API has
// made are if the configuration names them.
func TestEveryReasonIsKnown(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	audit := c.telemetry("patient_blocked").Guard(middleware.Config{}).Audit
	all := reasonsOfSource(t)
	for reason, status := range all {
		audit(t.Context(), middleware.Record{Status: status, Reason: reason})
		outcome := map[int]string{401: "refused", 503: "failed"}[status]
		require.Equal(t, 1.0, c.value("helseid.guard.decisions", "helseid.guard.reason="+reason, "helseid.guard.outcome="+outcome), reason)
	}
	audit(t.Context(), middleware.Record{Status: 403, Reason: "patient_blocked"})
	audit(t.Context(), middleware.Record{Status: 403, Reason: "another"})
	require.Equal(t, 1.0, c.value("helseid.guard.decisions", "helseid.guard.reason=patient_blocked"))
	require.Equal(t, 1.0, c.value("helseid.guard.decisions", "helseid.guard.reason=_OTHER"))
	require.Equal(t, float64(len(all)+2), c.value("helseid.guard.duration"))
}
