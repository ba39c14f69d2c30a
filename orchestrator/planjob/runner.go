package planjob

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"dalang/orchestrator/plan"
	"dalang/orchestrator/task"
)

// The external runner. It is started with the arguments of Config.Runner and
// given the plan's params as a JSON object on its standard input. What it
// writes to its standard output is the plan's result: JSON, or text, which is
// a result too. An exit status other than 0 is a failure: an object with kind
// and msg on the standard output is its error then. The lines of its standard
// error are messages of the plan. When the plan is stopped, its process group
// gets SIGTERM, and SIGKILL when the program has ended or after Config.RunnerGrace; so
// do processes that it leaves behind.

// Limits of the runner.
const (
	maxResult = 16 << 20 // bytes of the standard output
	maxLines  = 10_000   // messages
)

// external runs a plan by the external runner.
func (s *Service) external(r *Request) runnable {
	return func(ctx context.Context, h *host) (json.RawMessage, error) {
		input, err := task.Marshal(r.Params)
		if err != nil {
			return nil, fmt.Errorf("params of the plan %s: %w", r.Plan, err)
		}
		names := strings.NewReplacer("{plan}", r.Plan, "{environment}", r.Environment, "{plan_job}", h.job.Name())
		argv := make([]string, len(s.cfg.Runner))
		for i, a := range s.cfg.Runner {
			argv[i] = names.Replace(a)
		}
		return h.command(ctx, argv, input)
	}
}

// command runs a program to its end.
func (h *host) command(ctx context.Context, argv []string, input []byte) (json.RawMessage, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	group(cmd)
	cmd.WaitDelay = h.cfg.RunnerGrace
	cmd.Stdin = bytes.NewReader(input)
	cmd.Env = append(os.Environ(), "DALANG_PLAN_JOB="+h.job.Name())
	out := &bounded{most: maxResult}
	cmd.Stdout = out
	stderr, lines := io.Pipe()
	cmd.Stderr = lines
	last := make(chan string, 1)
	go func() { last <- h.relay(ctx, stderr) }()
	err := cmd.Run()
	killGroup(cmd)
	lines.Close()
	said := <-last
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if out.over {
		return nil, &plan.Error{Kind: plan.KindInvalidResult, Msg: fmt.Sprintf("The external runner wrote more than %d bytes", maxResult)}
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return nil, failure(exit.ExitCode(), out.kept.Bytes(), said)
	case err != nil && !errors.Is(err, exec.ErrWaitDelay): // which left somebody behind with its output
		return nil, fmt.Errorf("the external runner cannot be run: %w", err)
	}
	return result(out.kept.Bytes()), nil
}

// relay makes messages of lines, and gives the last one.
func (h *host) relay(ctx context.Context, r io.Reader) (last string) {
	lines := bufio.NewReaderSize(r, maxMessage)
	for n := 0; ; {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			err = nil // the rest is a line of its own
		}
		if text := strings.ToValidUTF8(strings.TrimRight(string(line), "\r\n"), "\uFFFD"); strings.TrimSpace(text) != "" {
			if last = text; n < maxLines {
				n++
				if told := h.Message(ctx, text, false); told != nil && ctx.Err() == nil {
					h.log.ErrorContext(ctx, "a message of a plan cannot be stored", "plan_job", h.job.ID, "error", told)
				}
			}
		}
		if err != nil {
			return last
		}
	}
}

// result is the standard output as JSON.
func result(out []byte) json.RawMessage {
	out = bytes.TrimSpace(out)
	if len(out) == 0 {
		return json.RawMessage("null")
	}
	var compact bytes.Buffer
	if json.Compact(&compact, out) == nil {
		return compact.Bytes()
	}
	text, err := task.Marshal(strings.ToValidUTF8(string(out), "\uFFFD"))
	if err != nil {
		return json.RawMessage("null")
	}
	return text
}

// failure is the error of a runner that failed.
func failure(status int, out []byte, said string) *plan.Error {
	var e struct {
		Kind    string         `json:"kind"`
		Msg     string         `json:"msg"`
		Details map[string]any `json:"details"`
	}
	d := json.NewDecoder(bytes.NewReader(out))
	d.UseNumber()
	if d.Decode(&e) == nil && e.Kind != "" && e.Msg != "" {
		return &plan.Error{Kind: e.Kind, Msg: e.Msg, Details: e.Details}
	}
	msg := fmt.Sprintf("The external runner failed with exit status %d", status)
	if said != "" {
		msg += ": " + clip(said)
	}
	return &plan.Error{Kind: plan.KindPlanFailure, Msg: msg, Details: map[string]any{"exit_code": status}}
}

// bounded keeps what is written to it. To stop the writer, it fails when there
// is more than most.
type bounded struct {
	kept bytes.Buffer // not embedded: its ReadFrom knows no bounds
	most int
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.kept.Len()+len(p) > b.most {
		b.over = true
		return 0, io.ErrShortWrite
	}
	return b.kept.Write(p)
}
