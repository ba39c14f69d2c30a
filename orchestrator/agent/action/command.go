package action

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// seconds is a time that a request sets.
type seconds float64

func (s seconds) duration() time.Duration { return time.Duration(float64(s) * float64(time.Second)) }

func (s seconds) check() error {
	if s < 0 || s > 1e8 {
		return errors.New("timeout must be a number of seconds")
	}
	return nil
}

type commandParams struct {
	Command *string `json:"command"`
	Timeout seconds `json:"timeout"`
}

func checkCommand(params json.RawMessage) error {
	var p commandParams
	if err := decode(params, &p); err != nil {
		return err
	}
	if p.Command == nil || strings.ContainsRune(*p.Command, 0) {
		return errors.New("command must be a string")
	}
	return p.Timeout.check()
}

func runCommand(ctx context.Context, _ string, o *Order) Result {
	var p commandParams
	if err := decode(o.Params, &p); err != nil {
		return failed("%v", err)
	}
	run := &process{
		path: loginShell("/etc/passwd", os.Getuid()), args: []string{"-c", *p.Command}, env: Environment(os.Environ()),
		settings: &o.Settings, timeout: p.Timeout.duration(),
	}
	if posix(run.path) { // everybody may read arguments, and the command may hold secrets
		run.args = []string{"-c", `eval "unset ` + commandVariable + "\n$" + commandVariable + `"`}
		run.env = append(run.env, commandVariable+"="+*p.Command)
	}
	return run.run(ctx)
}

// commandVariable is what the shell reads its command from. The command does
// not have it.
const commandVariable = "DALANG_COMMAND"

// posix tells whether a shell knows eval and unset as POSIX has them.
func posix(shell string) bool {
	return slices.Contains([]string{"sh", "ash", "bash", "dash", "ksh", "mksh", "rbash", "zsh"}, filepath.Base(shell))
}

// loginShell is the shell of a user; of one who may not log in, sh.
func loginShell(passwd string, uid int) string {
	const fallback = "/bin/sh"
	f, err := os.Open(passwd)
	if err != nil {
		return fallback
	}
	defer f.Close() // read only
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) < 7 || fields[2] != strconv.Itoa(uid) {
			continue
		}
		shell := fields[6]
		if shell == "" || strings.HasSuffix(shell, "/nologin") || strings.HasSuffix(shell, "/false") {
			return fallback
		}
		return shell
	}
	return fallback
}

type scriptParams struct {
	Script    *file    `json:"script"`
	Arguments []string `json:"arguments"`
	Timeout   seconds  `json:"timeout"`
}

func checkScript(params json.RawMessage) error {
	var p scriptParams
	if err := decode(params, &p); err != nil {
		return err
	}
	switch {
	case p.Script == nil:
		return errors.New("script is missing")
	case p.Arguments == nil:
		return errors.New("arguments is missing")
	}
	for _, a := range p.Arguments {
		if strings.ContainsRune(a, 0) {
			return errors.New("arguments must not have NUL characters")
		}
	}
	return errors.Join(p.Script.check("script"), p.Timeout.check())
}

func runScript(ctx context.Context, _ string, o *Order) Result {
	var p scriptParams
	if err := decode(o.Params, &p); err != nil {
		return failed("%v", err)
	}
	path, err := newFetcher(&o.Settings).cached(ctx, *p.Script)
	if err != nil {
		return failed("%v", err)
	}
	run := &process{env: Environment(os.Environ()), settings: &o.Settings, timeout: p.Timeout.duration()}
	if run.path, run.args, err = interpreter(&o.Settings, path); err != nil {
		return failed("%v", err)
	}
	run.args = append(run.args, p.Arguments...)
	return run.run(ctx)
}
