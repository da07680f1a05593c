package pages_test

import (
	"slices"
	"strings"

	"github.com/helseid-go/sdk/internal/pages"
)

// pending are files, packages and commands that pages name before they are there.
var pending = []string{
	"troubleshooting.md", "threat-model.md", "monitoring.md", "SECURITY.md", "CONTRIBUTING.md",
	"test-your-code.md", "several-processes.md", "behind-a-proxy.md", "keys.md", "helseid doctor", "helseid serve", "helseid inspect", "middleware/grpcauth", "helseid/grpccredentials", "helseid/otelhelseid",
}

func isPending(problem pages.Problem) bool {
	return slices.ContainsFunc(pending, func(name string) bool { return strings.Contains(problem.Text, name) })
}
