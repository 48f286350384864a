package local

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes returns how a service's process is started. The kernel sends it the death signal when the thread that
// started it ends. Go's threads live as long as the process, except those of a goroutine that ends while it is locked
// to its thread, which nobody does here.
func attributes(user *syscall.Credential, death syscall.Signal, detached bool) *syscall.SysProcAttr {
	if detached {
		return &syscall.SysProcAttr{Credential: user, Setsid: true}
	}
	// A group of its own keeps an interrupt from the terminal away from it: who started it ends it.
	return &syscall.SysProcAttr{Credential: user, Setpgid: true, Pdeathsig: death}
}

// exited says whether a child has ended, and leaves its exit status to be waited for.
func exited(pid int) bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err != nil || info.Signo != 0
}

// children returns the ids of a process's children.
func children(parent int) (pids []int) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // It has ended since.
		}
		// "pid (name) state parent ...", where the name may hold anything.
		rest := string(text[bytes.LastIndexByte(text, ')')+1:])
		var state string
		var of int
		if _, err := fmt.Sscan(rest, &state, &of); err != nil || of != parent {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
