package action

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCommand(t *testing.T) {
	for name, c := range map[string]struct {
		command string
		want    Result
	}{
		"output":       {`echo out; echo err >&2`, Result{Stdout: "out\n", Stderr: "err\n"}},
		"status":       {`exit 7`, Result{ExitCode: 7}},
		"signal":       {`kill -9 $$`, Result{ExitCode: 137}},
		"not there":    {`/no/such/program 2>/dev/null`, Result{ExitCode: 127}},
		"in the root":  {`pwd`, Result{Stdout: "/\n"}},
		"no input":     {`cat`, Result{}},
		"bad UTF-8":    {`printf 'a\377'; exit 3`, Result{ExitCode: 3, Error: "it ended with status 3 and wrote invalid UTF-8 to stdout"}},
		"bad stderr":   {`printf 'a\377' >&2`, Result{Stderr: "a\uFFFD"}},
		"too much":     {`head -c 2000000 /dev/zero | tr '\0' x; exit 4`, Result{ExitCode: 4, Error: "it ended with status 4 and wrote more than 1048576 bytes to stdout"}},
		"left behind":  {`sleep 60 & echo pid`, Result{Stdout: "pid\n"}},
		"quotes":       {`printf '%s|' "a b" 'c"d'`, Result{Stdout: `a b|c"d|`}},
		"closed stdin": {`exec 0<&-; echo x`, Result{Stdout: "x\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := order(t, "command", "run", map[string]any{"command": c.command})
			o.Settings.Grace = 50 * time.Millisecond
			require.Equal(t, c.want, do(t, o))
			killAll(1 << 22) // what is left behind
		})
	}
	o := order(t, "command", "run", map[string]any{"command": `head -c 2000000 /dev/zero | tr '\0' x >&2`})
	r := do(t, o)
	require.Empty(t, r.Error)
	require.True(t, strings.HasSuffix(r.Stderr, "x\n(cut after 1048576 bytes)"))
}

// TestTimeout: nothing that was started survives it: neither who ignores
// SIGTERM nor who left the group.
func TestTimeout(t *testing.T) {
	for name, script := range map[string]string{
		"plain":             `sleep 600`,
		"deaf":              `trap '' TERM; while :; do sleep 0.1; done`,
		"group":             `(trap '' TERM; sleep 600) & wait`,
		"session":           `setsid sh -c 'sleep 600' & wait`,
		"daemon":            `setsid sh -c 'sleep 600 & sleep 600 &' ; sleep 600`,
		"ends, group stays": `(trap '' TERM; sleep 600; :) & trap 'exit 0' TERM; wait`,
	} {
		t.Run(name, func(t *testing.T) {
			mark := filepath.Join(t.TempDir(), "x")
			o := order(t, "command", "run", map[string]any{"command": "echo told >&2; exec 9>" + mark + "; " + script, "timeout": 0.3})
			o.Settings.Grace = 300 * time.Millisecond
			r := do(t, o)
			require.Equal(t, "it ran longer than 300ms and was killed", r.Error)
			require.Equal(t, "told\n", r.Stderr)
			// Who was killed is gone soon, not at once.
			require.Eventually(t, func() bool { return len(holders(t, mark)) == 0 }, 10*time.Second, 10*time.Millisecond)
		})
	}
	// A request can only shorten what the settings say.
	o := order(t, "command", "run", map[string]any{"command": "sleep 600", "timeout": 900})
	o.Settings.Timeout = 100 * time.Millisecond
	require.Equal(t, "it ran longer than 100ms and was killed", do(t, o).Error)
}

// TestLimit: how long something may take.
func TestLimit(t *testing.T) {
	for name, c := range map[string]struct{ settings, asked, want time.Duration }{
		"nobody says":         {0, 0, time.Hour},
		"the request":         {0, 3 * time.Hour, 3 * time.Hour},
		"the request, less":   {0, time.Minute, time.Minute},
		"the settings":        {2 * time.Hour, 0, 2 * time.Hour},
		"both, request less":  {2 * time.Hour, time.Minute, time.Minute},
		"both, settings less": {time.Minute, 2 * time.Hour, time.Minute},
	} {
		require.Equal(t, c.want, (&Settings{Timeout: c.settings}).limit(c.asked), name)
	}
}

// holders lists the processes that have a file open.
func holders(t *testing.T, path string) (pids []string) {
	links, err := filepath.Glob("/proc/[0-9]*/fd/9")
	require.NoError(t, err)
	for _, link := range links {
		if target, _ := os.Readlink(link); target == path {
			pids = append(pids, link)
		}
	}
	return pids
}

func TestLoginShell(t *testing.T) {
	passwd := write(t, filepath.Join(t.TempDir(), "passwd"),
		"root:x:0:0:root:/root:/bin/bash\nsvc:x:5:5::/:/usr/sbin/nologin\nno:x:6:6::/:/bin/false\nempty:x:7:7::/:\nshort:x:8\n")
	for uid, want := range map[int]string{0: "/bin/bash", 5: "/bin/sh", 6: "/bin/sh", 7: "/bin/sh", 8: "/bin/sh", 9: "/bin/sh"} {
		require.Equal(t, want, loginShell(passwd, uid), uid)
	}
	require.Equal(t, "/bin/sh", loginShell(passwd+"x", 0))
}

func TestCheckCommand(t *testing.T) {
	for params, wrong := range map[string]string{
		`{"command":"a"}`:                "",
		`{}`:                             "command must be a string",
		`{"command":1}`:                  "cannot unmarshal",
		`{"command":"a\u0000b"}`:         "command must be a string",
		`{"command":"a","timeout":-1}`:   "timeout",
		`{"command":"a","timeout":1e99}`: "timeout",
	} {
		err := checkCommand([]byte(params))
		if wrong == "" {
			require.NoError(t, err, params)
		} else {
			require.ErrorContains(t, err, wrong, params)
		}
	}
}

func TestInterpreter(t *testing.T) {
	dir, bin := t.TempDir(), t.TempDir()
	t.Setenv("PATH", bin)
	for _, name := range []string{"ruby", "sh", "pwsh"} {
		write(t, filepath.Join(bin, name), "#!/bin/sh\n")
	}
	s := &Settings{Interpreters: map[string]string{".py": "/opt/py"}}
	for name, c := range map[string]struct{ file, text, program, args, wrong string }{
		"itself":         {"a.sh", "#!/bin/sh\n", "%s", "", ""},
		"no extension":   {"a", "#!/bin/sh -e\n", "%s", "", ""},
		"binary":         {"b", "\x7fELF", "%s", "", ""},
		"empty":          {"c", "", "%s", "", ""},
		"settings":       {"a.py", "#!/bin/sh\n", "/opt/py", "%s", ""},
		"stand-in":       {"a.rb", "#!/opt/nowhere/ruby\n", bin + "/ruby", "%s", ""},
		"stand-in of sh": {"d.sh", "#! /opt/nowhere/sh -x\n", bin + "/sh", "%s", ""},
		"none":           {"d", "#!/opt/nowhere/x\n", "", "", "d cannot be executed: there is no /opt/nowhere/x"},
		"powershell":     {"a.ps1", "x", bin + "/pwsh", "-NoProfile -NonInteractive -NoLogo -ExecutionPolicy Bypass -File %s", ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, filepath.Join(dir, c.file), c.text)
			program, args, err := interpreter(s, path)
			if c.wrong != "" {
				require.EqualError(t, err, c.wrong)
				return
			}
			require.NoError(t, err)
			require.Equal(t, strings.ReplaceAll(c.program, "%s", path), program)
			require.Equal(t, strings.ReplaceAll(c.args, "%s", path), strings.Join(args, " "))
		})
	}
	require.NoError(t, os.Remove(filepath.Join(bin, "pwsh")))
	_, _, err := interpreter(s, filepath.Join(dir, "a.ps1"))
	require.ErrorContains(t, err, "PowerShell is not installed")
}

func TestStartError(t *testing.T) {
	run := &process{path: write(t, filepath.Join(t.TempDir(), "x"), "no program"), settings: &Settings{Timeout: time.Minute, MaxOutput: 10, Grace: time.Second}}
	require.Contains(t, run.run(t.Context()).Error, "does not begin with #!")
	run.path = "/bin/true"
	run.env = []string{"X=" + strings.Repeat("x", 1<<20)}
	require.Contains(t, run.run(t.Context()).Error, "too large for the environment")
	run.path = "/no/such"
	require.Equal(t, "cannot be executed: fork/exec /no/such: no such file or directory", run.run(t.Context()).Error)
}

// TestCommandLine: the words of a command are in no process's arguments, and
// it does not see how it came to its shell.
func TestCommandLine(t *testing.T) {
	word := rand.Text()
	r := do(t, order(t, "command", "run", map[string]any{"command": `A='` + word + `'
case $(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ') in *"$A"*) echo bad ;; *"cat /proc/"*) echo good ;; esac; env | grep DALANG; exit 4`}))
	require.Equal(t, Result{ExitCode: 4, Stdout: "good\n"}, r)
	require.Equal(t, 2, do(t, order(t, "command", "run", map[string]any{"command": "if"})).ExitCode)
}
