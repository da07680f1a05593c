package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// cyclonedx writes what a module depends on in the format of CycloneDX.
const cyclonedx = "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0"

// listDependencies writes a file for each released module: its direct and indirect
// dependencies with versions, hashes and licences.
func listDependencies(ctx context.Context, root, folder string) error {
	all, err := modules(root)
	if err != nil {
		return err
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "release-sbom-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	if _, err := outputWith(ctx, root, []string{"GOBIN=" + scratch}, "go", "install", cyclonedx); err != nil {
		return err
	}
	for _, m := range all {
		name := "sdk"
		if m.Folder != "" {
			name += "-" + strings.ReplaceAll(m.Folder, "/", "-")
		}
		file := filepath.Join(folder, name+".cdx.json")
		if _, err := output(ctx, filepath.Join(root, m.Folder), filepath.Join(scratch, "cyclonedx-gomod"), "mod", "-json", "-licenses", "-output", file); err != nil {
			return err
		}
		fmt.Println(file)
	}
	return nil
}
