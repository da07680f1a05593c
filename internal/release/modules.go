package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// rootModule is released with every other one, and before them.
const rootModule = "github.com/helseid-go/sdk"

// released is a module that users require by version.
type released struct {
	Folder string // below the root, with slashes; "" is the root itself
	Path   string
	needs  []string // the modules of this repository that it requires
}

// tag is the name of the tag of a version: modules below the root have their folder in it.
func (m released) tag(version string) string {
	if m.Folder == "" {
		return version
	}
	return m.Folder + "/" + version
}

// modules finds what is released, in the order of the tags: what a module requires stands
// before it. Examples and what is internal have no version.
func modules(root string) ([]released, error) {
	var found []released
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{".git", "examples", "internal", "node_modules", "testdata"}, entry.Name()) {
			return filepath.SkipDir
		}
		if entry.Name() != "go.mod" {
			return nil
		}
		file, err := readModFile(path)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		m := released{Folder: strings.TrimPrefix(filepath.ToSlash(folder), "."), Path: file.Module.Mod.Path}
		if want := strings.TrimSuffix(rootModule+"/"+m.Folder, "/"); m.Path != want {
			return fmt.Errorf("%s: the module is %s and must be %s to be found", path, m.Path, want)
		}
		for _, required := range file.Require {
			if isOwn(required.Mod.Path) {
				m.needs = append(m.needs, required.Mod.Path)
			}
		}
		found = append(found, m)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return inOrder(found)
}

func inOrder(found []released) (ordered []released, err error) {
	done := make(map[string]bool)
	for len(ordered) < len(found) {
		before := len(ordered)
		for _, m := range found {
			if !done[m.Path] && !slices.ContainsFunc(m.needs, func(path string) bool { return !done[path] }) {
				done[m.Path] = true
				ordered = append(ordered, m)
			}
		}
		if len(ordered) == before {
			return nil, errors.New("modules require each other in a circle, or one that is not released")
		}
	}
	return ordered, nil
}

func isOwn(path string) bool { return path == rootModule || strings.HasPrefix(path, rootModule+"/") }

func readModFile(path string) (*modfile.File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return modfile.Parse(path, data, nil)
}

// pin drops the lines that replace modules of this repository, and requires the version
// of them instead.
func pin(path, version string) error {
	file, err := readModFile(path)
	if err != nil {
		return err
	}
	for _, replaced := range slices.Clone(file.Replace) {
		if !isOwn(replaced.Old.Path) {
			return fmt.Errorf("%s replaces %s, which nobody who requires the module would notice", path, replaced.Old.Path)
		}
		if err := file.DropReplace(replaced.Old.Path, replaced.Old.Version); err != nil {
			return err
		}
	}
	for _, required := range slices.Clone(file.Require) {
		if isOwn(required.Mod.Path) {
			if err := file.AddRequire(required.Mod.Path, version); err != nil {
				return err
			}
		}
	}
	file.Cleanup()
	data, err := file.Format()
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
