//go:build !unix

package doctor

import "io/fs"

// readableByOthers cannot be told from the mode on systems such as Windows.
func readableByOthers(fs.FileInfo) bool { return false }
