//go:build !linux

package local

import "syscall"

// attributes returns how a service's process is started. Without the kernel's help a service outlives a process that
// is killed before it can clean up.
func attributes(user *syscall.Credential, _ syscall.Signal, detached bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: user, Setsid: detached, Setpgid: !detached}
}

// exited can't be told here without taking the exit status: it says whether the process can be signalled.
func exited(pid int) bool { return syscall.Kill(pid, 0) != nil }

// children of a process are not found here.
func children(int) []int { return nil }

// alive says whether a process can be signalled.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }
