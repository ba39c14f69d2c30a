package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"dalang/orchestrator/agent/action"
)

// Exit statuses of a worker; nobody but a reader of logs looks at them.
const (
	workerDone     = 0
	workerNoOrder  = 3
	workerNotOurs  = 4
	workerUnsaid   = 5
	writeAttempts  = 600 // of the result, a second apart: disks fill up and are emptied
	inheritedWatch = 500 * time.Millisecond
	claimPatience  = 5 * time.Second
)

// work is what a worker reads.
type work struct {
	Dir string `json:"dir"` // of the transaction: the current directory
	action.Order
}

// Work is the process of one transaction: it reads the order from in, claims the
// transaction whose directory is the current one, runs the action, and leaves
// the result. It answers the exit status.
func Work(in io.Reader, problems io.Writer) int {
	var o work
	if err := json.NewDecoder(in).Decode(&o); err != nil {
		fmt.Fprintln(problems, "dalang agent worker: no order:", err)
		return workerNoOrder
	}
	if err := begin(o.Dir); err != nil {
		fmt.Fprintln(problems, "dalang agent worker:", err)
		return workerNotOurs
	}
	result := action.Run(context.Background(), o.Dir, &o.Order)
	for attempt := 1; ; attempt++ {
		err := entry(".").finish(result)
		if err == nil {
			return workerDone
		}
		fmt.Fprintln(problems, "dalang agent worker:", err)
		if attempt == writeAttempts {
			return workerUnsaid
		}
		time.Sleep(time.Second)
	}
}

// begin claims the transaction in dir, the current directory. A transaction that
// is abandoned is moved away before it is removed: where dir is another
// directory by now, or none, the claim is one that nobody sees.
func begin(dir string) error {
	me, err := identify(os.Getpid())
	if err != nil {
		return err
	}
	if err := entry(".").claim(me); err != nil {
		return err
	}
	here, err := os.Stat(".")
	if err != nil {
		return err
	}
	there, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !os.SameFile(here, there) {
		return errClaimed
	}
	return nil
}

// launch starts a worker that does not end when we do, and answers its pid.
func (a *Agent) launch(e entry, order action.Order) (int, error) {
	data, err := json.Marshal(work{string(e), order})
	if err != nil {
		return 0, fmt.Errorf("order: %w", err)
	}
	in, err := memoryFile(data)
	if err != nil {
		return 0, err
	}
	defer in.Close() // the worker has its own
	cmd := exec.Command(a.cfg.Worker[0], a.cfg.Worker[1:]...)
	if cmd.Path == self() {
		cmd.Args[0] = "dalang" // as process lists show it
	}
	cmd.Dir, cmd.Env = string(e), action.Environment(os.Environ())
	cmd.Stdin, cmd.Stderr = in, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start the process: %w", err)
	}
	pid := cmd.Process.Pid
	return pid, cmd.Process.Release() // watch waits for it
}

// begun waits until the process of a transaction has claimed it, or is gone:
// after a crash of the agent, what nobody has claimed is forgotten, and what the
// server was told to run must not be. Who takes long is not waited for.
func begun(ctx context.Context, e entry, pid int) {
	ctx, cancel := context.WithTimeout(ctx, claimPatience)
	defer cancel()
	for pause := time.Millisecond; !e.has(claimFile) && !e.has(resultFile) && !reap(pid); pause = min(2*pause, 20*time.Millisecond) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// watch waits until a transaction has a result, and sees to it that it gets one
// when its process is gone. pid is that of a child of ours, or 0.
func (a *Agent) watch(ctx context.Context, id string, pid int) {
	e := a.spool.entry(id)
	pause := 10 * time.Millisecond
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		gone := ended(e, pid) // before we look for the result
		if e.has(resultFile) {
			reap(pid)
			a.ended(id, e)
			return
		}
		if gone {
			a.lost(id, e)
			return
		}
		pause = min(pause*3/2, inheritedWatch)
		timer.Reset(pause)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
	}
}

// ended tells whether the process of a transaction is gone.
func ended(e entry, pid int) bool {
	if pid != 0 {
		return reap(pid)
	}
	p, err := e.claimed()
	return err == nil && !p.alive()
}

// reap tells whether a child has ended, or is none.
func reap(pid int) bool {
	if pid == 0 {
		return false
	}
	got, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
	return got == pid || errors.Is(err, syscall.ECHILD)
}

// lost gives a transaction a result whose process left none.
func (a *Agent) lost(id string, e entry) {
	why := "its process ended without a result"
	if !e.has(claimFile) {
		why = "its process could not be started"
	}
	if err := e.finish(action.Result{ExitCode: 1, Error: why}); err != nil {
		a.log.Error("a result cannot be spooled", "transaction", id, "error", err)
	}
	a.ended(id, e)
}
