package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/semver"
)

// apidiff lists changes of an API. Its modules have no versions but those of commits.
const apidiff = "golang.org/x/exp/cmd/apidiff@v0.0.0-20261113113407-e3970619a1a4"

// compare fails if a module has become incompatible with its last release. Before v1 a
// new minor version may: then the tree's CHANGELOG names it, and the tag comes first.
func compare(ctx context.Context, root string) error {
	tags, err := output(ctx, root, "git", "tag", "--list", "v*", "--merged", "HEAD")
	if err != nil {
		return err
	}
	last := ""
	for tag := range strings.FieldsSeq(tags) {
		if semver.IsValid(tag) && semver.Compare(tag, last) > 0 {
			last = tag
		}
	}
	if last == "" {
		fmt.Println("nothing has been released: there is no API to keep")
		return nil
	}
	broken, err := incompatible(ctx, root, last)
	if err == nil && broken != "" {
		err = fmt.Errorf("incompatible with %s:\n%s", last, broken)
	}
	return err
}

// incompatible lists what in the tree breaks programs that were written for the version.
func incompatible(ctx context.Context, root, version string) (string, error) {
	scratch, err := os.MkdirTemp("", "release-api-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	if _, err := outputWith(ctx, root, []string{"GOBIN=" + scratch}, "go", "install", apidiff); err != nil {
		return "", err
	}
	tool := filepath.Join(scratch, "apidiff")
	old := filepath.Join(scratch, "old")
	if _, err := output(ctx, root, "git", "worktree", "add", "--detach", old, version); err != nil {
		return "", err
	}
	defer func() {
		_, _ = output(context.WithoutCancel(ctx), root, "git", "worktree", "remove", "--force", old)
	}()
	all, err := modules(old)
	if err != nil {
		return "", err
	}
	var broken strings.Builder
	for _, m := range all {
		export := filepath.Join(scratch, "export")
		if _, err := output(ctx, filepath.Join(old, m.Folder), tool, "-m", "-w", export, m.Path); err != nil {
			return "", err
		}
		differences, err := output(ctx, filepath.Join(root, m.Folder), tool, "-m", "-incompatible", export, m.Path)
		if err != nil {
			return "", err
		}
		if differences != "" {
			fmt.Fprintf(&broken, "%s\n%s\n", m.Path, differences)
		}
	}
	return broken.String(), nil
}
