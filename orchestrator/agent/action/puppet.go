package action

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Types of errors, as upstream's module names them.
const (
	invalidJSON    = "invalid_json"
	noPuppetBin    = "no_puppet_bin"
	noReport       = "no_last_run_report"
	invalidReport  = "invalid_last_run_report"
	agentDisabled  = "agent_disabled"
	agentLocked    = "agent_locked"
	failedToStart  = "agent_failed_to_start"
	nonZeroExit    = "agent_exit_non_zero"
	unknown        = "unknown"
	lockPoll       = 100 * time.Millisecond
	resultVersion  = 1
	noExit         = -1
	puppetOutput   = 16 << 10 // the last bytes that a run prints are looked at
	longestMessage = 500
)

// puppetResult is the document of a Puppet run.
type puppetResult struct {
	Time            string                     `json:"time"`
	TransactionUUID string                     `json:"transaction_uuid"`
	Environment     string                     `json:"environment"`
	Status          string                     `json:"status"`
	Metrics         map[string]json.RawMessage `json:"metrics"`
	ExitCode        int                        `json:"exitcode"`
	Version         int                        `json:"version"`
	ErrorType       string                     `json:"error_type,omitempty"`
	Error           string                     `json:"error,omitempty"`
}

func (p puppetResult) result() Result {
	r := Result{Stdout: string(mustJSON(p)), Document: true}
	if p.Error != "" {
		r.ExitCode = 1
	}
	return r
}

func puppetError(exit int, kind, format string, args ...any) puppetResult {
	return puppetResult{
		Time: unknown, TransactionUUID: unknown, Environment: unknown, Status: unknown, Metrics: map[string]json.RawMessage{},
		ExitCode: exit, Version: resultVersion, ErrorType: kind, Error: fmt.Sprintf(format, args...),
	}
}

// puppetRun is one run of the agent of Puppet.
type puppetRun struct {
	bin      string
	job      string
	args     []string
	report   string // path of last_run_report.yaml
	disabled string // paths of locks; may be empty
	lock     string
	wait     time.Duration
}

func runPuppet(ctx context.Context, dir string, o *Order) Result {
	var p puppetParams
	if err := decode(o.Params, &p); err != nil {
		return failed("%v", err)
	}
	args, err := p.arguments()
	if err != nil {
		return puppetError(noExit, invalidJSON, "%v", err).result()
	}
	run := &puppetRun{bin: o.Settings.Puppet, job: p.Job, args: append([]string{"agent"}, args...), wait: o.Settings.LockWait}
	if _, err := exec.LookPath(run.bin); err != nil {
		return puppetError(noExit, noPuppetBin, "Puppet executable '%s' does not exist or cannot be run", run.bin).result()
	}
	if err := run.locate(ctx, dir); err != nil {
		return puppetError(noExit, noReport, "could not find the location of the last run report: %v", err).result()
	}
	return run.do(ctx, dir).result()
}

// locate asks Puppet where its files are.
func (p *puppetRun) locate(ctx context.Context, dir string) error {
	exit, out, err := p.exec(ctx, dir, []string{"agent", "--configprint", "lastrunreport,agent_disabled_lockfile,agent_catalog_run_lockfile"})
	if err != nil {
		return err
	}
	for _, line := range strings.Split(string(out), "\n") {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
		switch key {
		case "lastrunreport":
			p.report = value
		case "agent_disabled_lockfile":
			p.disabled = value
		case "agent_catalog_run_lockfile":
			p.lock = value
		}
	}
	if p.report == "" {
		return fmt.Errorf("puppet agent --configprint ended with status %d: %s", exit, lastWords(out))
	}
	return nil
}

// do runs Puppet until a run of ours took place, or cannot.
func (p *puppetRun) do(ctx context.Context, dir string) puppetResult {
	for deadline := time.Now().Add(p.wait); ; {
		before := stampOf(p.report)
		inWay := held(p.lock) // it may be gone when we look again
		exit, out, err := p.exec(ctx, dir, p.args)
		if err != nil {
			return puppetError(noExit, failedToStart, "Failed to start Puppet agent: %v", err)
		}
		fresh := stampOf(p.report).changed(before)
		rep, readErr := p.read(fresh)
		ours := rep != nil && p.own(rep)
		switch {
		case ours && exit == 0:
			return rep.result(exit)
		case ours:
			r := rep.result(exit)
			r.ErrorType, r.Error = nonZeroExit, "Puppet agent exited with a non 0 exitcode"
			return r
		case readErr != nil:
			return puppetError(exit, invalidReport, "%s could not be loaded: %v", p.report, readErr)
		case exit == 0:
			return puppetError(exit, noReport, "The Puppet run failed in an unexpected way: it left no report of its own in %s", p.report)
		case exists(p.disabled):
			return puppetError(exit, agentDisabled, "Puppet agent is disabled")
		}
		// Ours did not take place. If another one was in its way, try again.
		skipped := inWay || held(p.lock) || rep != nil || bytes.Contains(out, []byte("already in progress"))
		if !skipped {
			return puppetError(exit, noReport, "The Puppet run failed in an unexpected way: %s", lastWords(out))
		}
		if !p.await(ctx, deadline) {
			return puppetError(exit, agentLocked, "Puppet agent run is already in progress")
		}
	}
}

// read reads a new report; nil if there is none.
func (p *puppetRun) read(fresh bool) (*report, error) {
	if !fresh {
		return nil, nil
	}
	return readReport(p.report)
}

// own tells whether a new report is of our run and not of one that somebody
// else started meanwhile.
func (p *puppetRun) own(r *report) bool { return p.job == "" || r.JobID == "" || r.JobID == p.job }

func (r *report) result(exit int) puppetResult {
	return puppetResult{
		Time: r.Time, TransactionUUID: r.TransactionUUID, Environment: r.Environment, Status: r.Status,
		Metrics: r.counters(), ExitCode: exit, Version: resultVersion,
	}
}

// await waits until no run holds the lock, and answers false when it is too late.
func (p *puppetRun) await(ctx context.Context, deadline time.Time) bool {
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case now := <-tick.C:
			switch {
			case now.After(deadline):
				return false
			case !held(p.lock):
				return true
			}
		}
	}
}

// exec runs Puppet and answers the end of what it prints. Output goes to a file
// without a name: services that a run starts may keep it open, and must neither
// block us nor be killed by a closed pipe. The error says that Puppet did not
// start.
func (p *puppetRun) exec(ctx context.Context, dir string, args []string) (exit int, out []byte, err error) {
	f, err := nameless(dir)
	if err != nil {
		return 0, nil, err
	}
	defer f.Close() // nobody reads it again
	cmd := exec.CommandContext(ctx, p.bin, args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = puppetEnvironment(), "/", f, f
	if err := cmd.Start(); err != nil {
		return 0, nil, err
	}
	if _, exited := errors.AsType[*exec.ExitError](cmd.Wait()); exited || cmd.ProcessState != nil {
		exit = exitCode(cmd)
	}
	return exit, tail(f), nil
}

// nameless is a file in dir that nobody else finds.
func nameless(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "output-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// tail is the end of what was written to a file. If it cannot be read, the words
// are lost, and the run is not.
func tail(f *os.File) []byte {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil
	}
	out := make([]byte, min(size, puppetOutput))
	n, _ := f.ReadAt(out, size-int64(len(out))) // what there is
	return out[:n]
}

var colour = regexp.MustCompile("\x1b\\[[0-9;]*m")

// lastWords is the last error that was printed, or the last line.
func lastWords(out []byte) string {
	last := "it printed nothing"
	failure := ""
	for _, line := range strings.Split(text(colour.ReplaceAll(out, nil)), "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if len(line) > longestMessage {
			line = strings.ToValidUTF8(line[:longestMessage], "") + "…"
		}
		last = line
		if strings.HasPrefix(line, "Error:") {
			failure = line
		}
	}
	if failure != "" {
		return failure
	}
	return last
}

func exists(path string) bool {
	if path == "" {
		return false
	}
	_, err := os.Stat(path)
	return err == nil
}

// held tells whether a living process has a lock file. One without a pid counts.
func held(path string) bool {
	if path == "" {
		return false
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	return err != nil || pid <= 0 || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
