package middleware_test

import (
	"testing"

	"github.com/helseid-go/sdk/internal/testkit"
)

// TestMain fails if the suite writes a token or a national identity number to the
// process's log.
func TestMain(m *testing.M) { testkit.RunLogged(m, testkit.FindCredential) }
