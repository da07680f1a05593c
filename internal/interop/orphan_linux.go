package main

import (
	"os/exec"
	"syscall"
)

// endWithParent makes the system kill the process when this one is gone, however it ended: unlike
// the servers in nodeDir, a program under test does not watch its standard input. The thread whose
// end counts is one of the runtime's, and they last as long as the process.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
