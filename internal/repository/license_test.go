package repository_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// pkg.go.dev shows the documentation of a module only if it recognises the licence by the
// name and the text of its file (https://pkg.go.dev/license-policy). The go command puts
// the file at the root of the repository into nested modules that have none, if its name is
// LICENSE (https://go.dev/ref/mod#vcs-license).
func TestLicenseIsTheUnchangedMITLicense(t *testing.T) {
	license, err := os.ReadFile("LICENSE")
	require.NoError(t, err)
	head, text, ok := strings.Cut(string(license), "\n\nPermission is hereby granted")
	require.True(t, ok)
	require.Regexp(t, `^MIT License\n\nCopyright \(c\) \d{4} .+$`, head)
	require.Equal(t, mit, strings.Join(strings.Fields("Permission is hereby granted"+text), " "))
}

// mit is the text of https://opensource.org/license/mit.
const mit = `Permission is hereby granted, free of charge, to any person obtaining a copy of ` +
	`this software and associated documentation files (the "Software"), to deal in the ` +
	`Software without restriction, including without limitation the rights to use, copy, ` +
	`modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, ` +
	`and to permit persons to whom the Software is furnished to do so, subject to the ` +
	`following conditions: The above copyright notice and this permission notice shall be ` +
	`included in all copies or substantial portions of the Software. THE SOFTWARE IS ` +
	`PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT ` +
	`LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND ` +
	`NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY ` +
	`CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR ` +
	`OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER ` +
	`DEALINGS IN THE SOFTWARE.`
