package agent

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// self names the program that runs: the file may have been replaced.
func self() string { return "/proc/self/exe" }

// identify describes a living process. One that has ended and waits for its
// parent does not live: os.ErrNotExist.
func identify(pid int) (process, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		if errors.Is(err, unix.ESRCH) {
			err = os.ErrNotExist
		}
		return process{}, fmt.Errorf("process %d: %w", pid, err)
	}
	// The name of the program, in parentheses, may hold anything.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const state, started = 0, 19
	if len(fields) <= started {
		return process{}, fmt.Errorf("process %d: %d fields", pid, len(fields))
	}
	if fields[state] == "Z" || fields[state] == "X" {
		return process{}, fmt.Errorf("process %d has ended: %w", pid, os.ErrNotExist)
	}
	start, err := strconv.ParseUint(fields[started], 10, 64)
	if err != nil {
		return process{}, fmt.Errorf("process %d: %w", pid, err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return process{}, fmt.Errorf("boot: %w", err)
	}
	return process{PID: pid, Start: start, Boot: strings.TrimSpace(string(boot))}, nil
}

// alive tells whether the very process still runs. In doubt it does.
func (p process) alive() bool {
	now, err := identify(p.PID)
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	return now == p
}

// memoryFile makes a file that no directory has, with data, to read from its start.
func memoryFile(data []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("order", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "order")
	if _, err := f.Write(data); err != nil {
		return nil, errors.Join(fmt.Errorf("memory: %w", err), f.Close())
	}
	if _, err := f.Seek(0, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("memory: %w", err), f.Close())
	}
	return f, nil
}
