package main

import (
	"os/exec"
	"syscall"
)

// endWithParent makes the system kill the server when this process is gone,
// however it ended.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
