package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// rehearse releases a copy of the commit that is checked out, and uses the release as
// somebody would who has nothing but its version.
func rehearse(ctx context.Context, root string) (err error) {
	version, err := nextVersion(root)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "release-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	clone := filepath.Join(scratch, "clone")
	if _, err := output(ctx, root, "git", "clone", "--quiet", "--no-tags", "file://"+filepath.ToSlash(root), clone); err != nil {
		return err
	}
	for _, setting := range [][]string{{"user.name", "rehearsal"}, {"user.email", "rehearsal@localhost"}} {
		if _, err := output(ctx, clone, "git", "config", setting[0], setting[1]); err != nil {
			return err
		}
	}
	from, err := newProxy(ctx, filepath.Join(scratch, "proxy"))
	if err != nil {
		return err
	}
	tags, err := tagAll(ctx, clone, version, from)
	if err != nil {
		return err
	}
	fmt.Println("tagged", strings.Join(tags, ", "))
	if err := install(ctx, clone, version, from, filepath.Join(scratch, "user")); err != nil {
		return err
	}
	if err := gateNotices(ctx, clone, version); err != nil {
		return err
	}
	return listDependencies(ctx, clone, filepath.Join(scratch, "sbom"))
}

var versionHeading = regexp.MustCompile(`(?m)^## (\d+\.\d+\.\d+)\b`)

// nextVersion is the newest of the changelog, or the first one.
func nextVersion(root string) (string, error) {
	changes, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		return "", err
	}
	if found := versionHeading.FindSubmatch(changes); found != nil {
		return "v" + string(found[1]), nil
	}
	return "v0.1.0", nil
}

// install requires each module by version in a program of its own that imports all its
// packages, and installs the command.
func install(ctx context.Context, root, version string, from *proxy, folder string) error {
	environment, err := from.environment(ctx)
	if err != nil {
		return err
	}
	all, err := modules(root)
	if err != nil {
		return err
	}
	for _, m := range all {
		packages, err := output(ctx, filepath.Join(root, m.Folder), "go", "list", "-f", `{{if ne .Name "main"}}{{if .GoFiles}}{{.ImportPath}}{{end}}{{end}}`, "./...")
		if err != nil {
			return err
		}
		var program strings.Builder
		program.WriteString("package main\n\nimport (\n")
		for path := range strings.FieldsSeq(packages) {
			if !strings.Contains(path, "/internal/") && !strings.Contains(path, "/examples/") {
				fmt.Fprintf(&program, "\t_ %q\n", path)
			}
		}
		program.WriteString(")\n\nfunc main() {}\n")
		user := filepath.Join(folder, strings.ReplaceAll(m.Path, "/", "-"))
		if err := os.MkdirAll(user, 0o755); err != nil {
			return err
		}
		for name, content := range map[string]string{"go.mod": "module example.no/user\n\ngo 1.26.0\n", "main.go": program.String()} {
			if err := os.WriteFile(filepath.Join(user, name), []byte(content), 0o644); err != nil {
				return err
			}
		}
		for _, step := range [][]string{{"get", m.Path + "@" + version}, {"mod", "tidy"}, {"build", "-o", os.DevNull, "."}} {
			if _, err := outputWith(ctx, user, environment, "go", step...); err != nil {
				return fmt.Errorf("%s by version: %w", m.Path, err)
			}
		}
		fmt.Println("required and built", m.Path+"@"+version)
	}
	command := rootModule + "/helseid/cmd/helseid@" + version
	if _, err := outputWith(ctx, folder, environment, "go", "install", command); err != nil {
		return err
	}
	if _, err := output(ctx, folder, filepath.Join(from.folder+"-bin", "helseid"), "-h"); err != nil {
		return err
	}
	fmt.Println("installed and ran", command)
	return nil
}

// gateNotices breaks the copy's API, and expects the comparison with the release to say so,
// and to have nothing to say before.
func gateNotices(ctx context.Context, root, version string) error {
	if broken, err := incompatible(ctx, root, version); err != nil || broken != "" {
		return errors.Join(err, errors.New("the API differs from its own release: "+broken))
	}
	restore, err := rename(filepath.Join(root, "middleware"), "func AnySupplierOrganization(", "func AnySupplier(")
	if err != nil {
		return err
	}
	broken, err := incompatible(ctx, root, version)
	if err == nil && !strings.Contains(broken, "AnySupplierOrganization") {
		err = errors.New("a function was renamed, and the comparison of APIs has not noticed")
	}
	if err == nil {
		fmt.Println("the comparison of APIs notices a renamed function")
	}
	return errors.Join(err, restore())
}

// rename changes text that one file of a folder has.
func rename(folder, old, changed string) (restore func() error, err error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if after := strings.Replace(string(source), old, changed, 1); after != string(source) {
			return func() error { return os.WriteFile(file, source, 0o644) }, os.WriteFile(file, []byte(after), 0o644)
		}
	}
	return nil, fmt.Errorf("no file of %s has %s", folder, old)
}
