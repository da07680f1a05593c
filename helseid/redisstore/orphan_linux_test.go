package redisstore

import (
	"os/exec"
	"syscall"
)

// endWithParent makes the system kill the server when the tests are gone,
// however they ended.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
