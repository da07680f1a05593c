package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/mod/semver"
)

// tagForGood tags this repository, when it is in the state to be released.
func tagForGood(ctx context.Context, root, version string) error {
	if !semver.IsValid(version) || semver.Canonical(version) != version {
		return fmt.Errorf("%q is no version such as v0.1.0", version)
	}
	status, err := output(ctx, root, "git", "status", "--porcelain")
	if err != nil {
		return err
	}
	if status != "" {
		return errors.New("the tree has changes that are not committed")
	}
	changes, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	heading := regexp.MustCompile(`(?m)^## ` + regexp.QuoteMeta(strings.TrimPrefix(version, "v")) + ` - \d{4}-\d{2}-\d{2}$`)
	if !heading.Match(changes) {
		return fmt.Errorf("CHANGELOG.md has no section %s with its date", strings.TrimPrefix(version, "v"))
	}
	scratch, err := os.MkdirTemp("", "release-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	from, err := newProxy(ctx, filepath.Join(scratch, "proxy"))
	if err != nil {
		return err
	}
	tags, err := tagAll(ctx, root, version, from)
	if err != nil {
		return err
	}
	fmt.Printf("To publish:\n  git push origin %s\n", strings.Join(tags, " "))
	return nil
}

// tagAll tags the root at the commit that is checked out, and each other module at a
// commit of its own on top of it. The proxy gets them as they are made: a module needs
// the hashes of those that it requires.
func tagAll(ctx context.Context, root, version string, to *proxy) (tags []string, err error) {
	all, err := modules(root)
	if err != nil {
		return nil, err
	}
	worktree := to.folder + "-worktree"
	if _, err := output(ctx, root, "git", "worktree", "add", "--detach", worktree, "HEAD"); err != nil {
		return nil, err
	}
	defer func() {
		_, removed := output(context.WithoutCancel(ctx), root, "git", "worktree", "remove", "--force", worktree)
		err = errors.Join(err, removed)
	}()
	environment, err := to.environment(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		if m.Folder != "" {
			folder := filepath.Join(worktree, filepath.FromSlash(m.Folder))
			if err := pin(filepath.Join(folder, "go.mod"), version); err != nil {
				return nil, err
			}
			if _, err := outputWith(ctx, folder, environment, "go", "mod", "tidy"); err != nil {
				return nil, err
			}
			if _, err := output(ctx, worktree, "git", "commit", "--all", "--message", m.Folder+": require "+version+" of this repository's modules"); err != nil {
				return nil, err
			}
		}
		if _, err := output(ctx, worktree, "git", "tag", "--annotate", "--message", m.Path+" "+version, m.tag(version)); err != nil {
			return nil, err
		}
		if err := to.add(root, m, version); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Path, err)
		}
		tags = append(tags, m.tag(version))
	}
	return tags, nil
}
