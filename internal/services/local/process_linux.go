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
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		if _, of := stat(pid); of == parent {
			pids = append(pids, pid)
		}
	}
	return pids
}

// alive says whether a process has not ended. One that waits to be reaped has.
func alive(pid int) bool {
	state, _ := stat(pid)
	return state != "" && state != "Z" && state != "X"
}

// stat returns a process's state and the id of its parent; nothing of one that is gone.
func stat(pid int) (state string, parent int) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", 0
	}
	// "pid (name) state parent ...", where the name may hold anything.
	rest := string(text[bytes.LastIndexByte(text, ')')+1:])
	if _, err := fmt.Sscan(rest, &state, &parent); err != nil {
		return "", 0
	}
	return state, parent
}
