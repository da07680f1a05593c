package lab

import (
	"os/exec"
	"syscall"
)

// endWithParent makes the system kill the process when this one is gone, however
// it ended.
func endWithParent(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
