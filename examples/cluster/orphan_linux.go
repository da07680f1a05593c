package main

import (
	"os/exec"
	"syscall"
)

// endWithParent makes the kernel kill the server when this process ends, for whatever
// reason.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
