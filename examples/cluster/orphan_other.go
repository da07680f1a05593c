//go:build !linux

package main

import "os/exec"

// endWithParent does nothing here: a server may outlive this program if it crashes.
func endWithParent(*exec.Cmd) {}
