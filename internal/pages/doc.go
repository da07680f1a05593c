// Package pages checks the Markdown pages of this repository: that links lead somewhere,
// that the Go code is compiled, and that commands, flags and names exist. Its test runs the
// checks on every page.
//
// A code block with a source stands below a comment that names it,
//
//	<!-- docs/guides/call-an-api_test.go#call -->
//
// and must be equal to that region of the file, or to the whole file if no region is named.
// In a file, a region is what stands between two comments:
//
//	// region call
//	// endregion
//
// Lines that end in the comment "hide" are not in the page, and neither are lines that say
// require.NoError(t, err): the pages leave error checks out.
//
//	go test ./internal/pages -update
//
// copies the regions into the pages.
package pages
