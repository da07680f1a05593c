//go:build unix

package doctor

import (
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// readableByOthers reports that a file is for more than its owner. A secret that Kubernetes
// mounts for a container without root is not: see isMountedSecret.
func readableByOthers(info fs.FileInfo) bool {
	mode := info.Mode().Perm()
	if mode&0o077 == 0 {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	groups, _ := os.Getgroups() // without them, the group below counts
	return !isMountedSecret(mode, owner.Uid, owner.Gid, append(groups, os.Getegid()))
}

// isMountedSecret reports that a file is as Kubernetes mounts a secret in a pod with an
// fsGroup: root's, readable by that group, which the process is in, and writable by nobody.
// The group must read there, since the process is not root.
func isMountedSecret(mode fs.FileMode, uid, gid uint32, groups []int) bool {
	return mode == 0o440 && uid == 0 && slices.Contains(groups, int(gid))
}
