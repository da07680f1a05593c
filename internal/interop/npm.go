package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	nodeDir      = "internal/interop/node"
	oldestNode   = 20
	installation = "node_modules/.package-lock.json" // npm writes it when it is done
)

// npmInstall installs the servers as the lock file has them, unless that has been done.
func npmInstall(ctx context.Context, log io.Writer) error {
	lock, err := os.Stat(filepath.Join(nodeDir, "package-lock.json"))
	if err != nil {
		return fmt.Errorf("run this from the repository's root: %w", err)
	}
	if err := checkNode(ctx); err != nil {
		return err
	}
	installed, err := os.Stat(filepath.Join(nodeDir, installation))
	if err == nil && !installed.ModTime().Before(lock.ModTime()) {
		return nil
	}

	npm := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund")
	npm.Dir = nodeDir
	output, err := npm.CombinedOutput()
	_, _ = log.Write(output)
	if err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, output)
	}
	return nil
}

func checkNode(ctx context.Context) error {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is needed and not installed: %w", program, err)
		}
	}
	output, err := exec.CommandContext(ctx, "node", "--version").Output()
	if err != nil {
		return fmt.Errorf("node --version: %w", err)
	}
	version := strings.TrimPrefix(strings.TrimSpace(string(output)), "v")
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldestNode {
		return errors.New("node " + strconv.Itoa(oldestNode) + " or newer is needed, this is " + version)
	}
	return nil
}
