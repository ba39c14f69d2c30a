package winrm

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dalang/orchestrator/agentless"
	"dalang/orchestrator/job"
	"dalang/orchestrator/task"
	"dalang/orchestrator/winrm/winrmtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func target(s *winrmtest.Service) Target {
	return Target{Host: winrmtest.Host, Port: s.Port, User: winrmtest.User, Password: winrmtest.Password, Insecure: true}
}

func do(ctx context.Context, target Target, j agentless.Job) (agentless.Outcome, error) {
	r := runner{TransportConfig{MaxOutput: 1 << 20, Target: func(context.Context, int64, string) (Target, error) { return target, nil }}}
	return r.Run(ctx, 1, "win01", j)
}

func file(name, content string) agentless.File {
	return agentless.File{Name: name, Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }}
}

func TestRun(t *testing.T) {
	big := strings.Repeat("x", 300_000) // more than one message takes
	var seen map[string]string
	s := winrmtest.Serve(t, func(_ string, files map[string]string) (string, string, int, bool) {
		seen = map[string]string{}
		for name, content := range files {
			seen[name] = content
		}
		return "täst\n", "noise", 3, true
	})
	s.Idle(2)
	began := false
	out, err := do(t.Context(), target(s), agentless.Job{ID: "1", Files: []agentless.File{file("m/tasks/x.rb", "puts 1"), file("m/files/big", big)},
		Prepare: func(dir string) (task.Input, error) {
			require.Equal(t, `C:\Temp\dalang-1`, dir)
			return task.Input{Stdin: []byte(`{"password":"hush"}`), Env: []string{"PT_password=it's hush"}}, nil
		}, Began: func() { began = true }})
	require.NoError(t, err)
	require.Equal(t, agentless.Outcome{Stdout: []byte("täst\n"), Stderr: []byte("noise"), ExitCode: 3}, out)
	require.True(t, began)
	require.Equal(t, "puts 1", seen[`C:\Temp\dalang-1\m\tasks\x.rb`])
	require.Equal(t, big, seen[`C:\Temp\dalang-1\m\files\big`])
	require.Equal(t, `{"password":"hush"}`, seen[`C:\Temp\dalang-1\input.json`])
	wrapper := seen[`C:\Temp\dalang-1\wrapper.ps1`]
	require.True(t, strings.HasPrefix(wrapper, "\ufeff"))
	require.Contains(t, wrapper, "[Environment]::SetEnvironmentVariable('PT_password', 'it''s hush')\r\n")
	require.Contains(t, wrapper, `[IO.File]::ReadAllText('C:\Temp\dalang-1\input.json') | & 'ruby.exe' '-S' 'C:\Temp\dalang-1\m\tasks\x.rb'; $ok`)
	require.Empty(t, s.Files(), "the directory is deleted")
	for _, line := range s.Lines() {
		require.Less(t, len(line), 8191)
		require.NotContains(t, winrmtest.Script(line), "hush", "nothing secret is in a command line")
	}
	require.Contains(t, s.Lines(), `powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -File "C:\Temp\dalang-1\wrapper.ps1"`,
		"what ends the wrapper knows it by its command line")
}

func TestWrapper(t *testing.T) {
	named := (&wrapped{file: `C:\d\x.ps1`, namedFile: `C:\d\arguments.json`}).script()
	require.Contains(t, named, `$given = [IO.File]::ReadAllText('C:\d\arguments.json') | ConvertFrom-Json`)
	require.Contains(t, named, `$declared = (Get-Command 'C:\d\x.ps1').Parameters.Keys`)
	require.Contains(t, named, `try { & 'C:\d\x.ps1' @named; $ok = $? }`)
	require.Contains(t, (&wrapped{command: "Get-Date"}).script(), "try { Get-Date; $ok = $? }")
	require.Contains(t, (&wrapped{file: `C:\d\x.ps1`, arguments: []string{"a b", "$c"}}).script(), `& 'C:\d\x.ps1' 'a b' '$c';`)
}

func TestScripts(t *testing.T) {
	require.Equal(t, "$d = Join-Path ([IO.Path]::GetTempPath()) 'dalang-1'; New-Item -ItemType Directory -Path $d | Out-Null; [Console]::Out.Write($d)", makeDir("", "1"))
	require.Contains(t, makeDir(`D:\it's`, "1"), `Join-Path 'D:\it''s' 'dalang-1'`)
	require.Equal(t, "'a\u2019\u2019b''c'", quote("a\u2019b'c"))
	require.Equal(t, `C:\d\a\b`, join(`C:\d\`, "a/b"))
	require.Equal(t, `C:\d\etc`, join(`C:\d`, "../../etc"), "no name leads out")
	require.Equal(t, "exit 0", winrmtest.Script(powershell("exit 0")))
}

func TestPrograms(t *testing.T) {
	target := Target{Interpreters: map[string]string{"py": "python.exe", ".rb": `C:\ruby.exe`}, Extensions: []string{"exe", ".bat"}}
	for name, want := range map[string]string{"x.ps1": "", "x.py": "python.exe", "x.rb": `C:\ruby.exe`, "x.EXE": "", "x.bat": "", "x.pp": "puppet.bat"} {
		program, _, ok := target.program(name)
		require.True(t, ok, name)
		require.Equal(t, want, program, name)
	}
	for _, name := range []string{"x.sh", "x"} {
		_, _, ok := target.program(name)
		require.False(t, ok, name)
	}
}

func TestErrors(t *testing.T) {
	s := winrmtest.Serve(t, func(string, map[string]string) (string, string, int, bool) {
		return strings.Repeat("x", 2<<20), "", 0, true
	})
	nobody := httptest.NewServer(nil)
	nobody.Close()
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	defer other.Close()
	for name, c := range map[string]struct {
		change func(*Target)
		job    agentless.Job
		code   string
		msg    string
	}{
		"wrong password":    {func(target *Target) { target.Password = "wrong-pass" }, agentless.Job{ID: "1", Command: "x"}, agentless.CodeAuth, "Authentication failed for user admin"},
		"no password":       {func(target *Target) { target.Password = "" }, agentless.Job{ID: "1", Command: "x"}, agentless.CodeConnect, "needs a user and a password"},
		"its certificate":   {func(target *Target) { target.Insecure = false }, agentless.Job{ID: "1", Command: "x"}, agentless.CodeConnect, "certificate"},
		"a CA that is none": {func(target *Target) { target.CACert = []byte("x") }, agentless.Job{ID: "1", Command: "x"}, agentless.CodeConnect, "must be PEM"},
		"nobody there": {func(target *Target) {
			target.Port, _ = strconv.Atoi(nobody.URL[strings.LastIndexByte(nobody.URL, ':')+1:])
		}, agentless.Job{ID: "1", Command: "x"}, agentless.CodeConnect, "Failed to connect"},
		"somebody else": {func(target *Target) {
			target.Port, _ = strconv.Atoi(other.URL[strings.LastIndexByte(other.URL, ':')+1:])
		}, agentless.Job{ID: "1", Command: "x"}, agentless.CodeConnect, "is not a WinRM service"},
		"upload":            {func(*Target) {}, agentless.Job{ID: "1", Uploads: []agentless.Upload{{Destination: "/x"}}}, agentless.CodeWrite, "cannot be uploaded over WinRM"},
		"unknown extension": {func(*Target) {}, agentless.Job{ID: "1", Files: []agentless.File{file("x.sh", "")}}, agentless.CodeWrite, `end with ".sh"`},
		"too much output":   {func(*Target) {}, agentless.Job{ID: "1", Command: "x"}, agentless.CodeOutput, "writes more than"},
	} {
		t.Run(name, func(t *testing.T) {
			to := target(s)
			c.change(&to)
			_, err := do(t.Context(), to, c.job)
			var e *agentless.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.code, e.Code)
			require.Contains(t, e.Msg, c.msg)
			require.NotContains(t, e.Msg, "wrong-pass")
			require.Empty(t, s.Files())
		})
	}
}

func TestTimeout(t *testing.T) {
	s := winrmtest.Serve(t, func(string, map[string]string) (string, string, int, bool) { return "", "", 0, false })
	_, err := do(t.Context(), target(s), agentless.Job{ID: "1", Command: "Start-Sleep 1000", Timeout: 500 * time.Millisecond})
	var e *agentless.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "Task execution on 127.0.0.1 timed out after 0.5 seconds", e.Msg)
	lines := s.Lines()
	require.Contains(t, winrmtest.Script(lines[len(lines)-1]), "Remove-Item", "it cleans up all the same")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = do(ctx, target(s), agentless.Job{ID: "1", Command: "x"})
	require.ErrorIs(t, err, context.Canceled)
}

// TestTimeoutOfTheRun: what is done before a run and after it is not its time,
// and a result that came is not thrown away.
func TestTimeoutOfTheRun(t *testing.T) {
	s := winrmtest.Serve(t, func(string, map[string]string) (string, string, int, bool) { return "done", "", 0, true })
	const limit = 2 * time.Second
	s.Cleaning(func() { <-time.After(limit) })
	out, err := do(t.Context(), target(s), agentless.Job{ID: "1", Timeout: limit, Files: []agentless.File{{Name: "x.ps1", Open: func(ctx context.Context) (io.ReadCloser, error) {
		end, is := ctx.Deadline()
		require.True(t, is, "it has an end")
		require.Greater(t, time.Until(end), 30*time.Minute)
		return io.NopCloser(strings.NewReader("")), nil
	}}}})
	require.NoError(t, err)
	require.Equal(t, "done", string(out.Stdout))
	require.Empty(t, s.Files())
}

// TestNoPasswordInClear: without TLS the password is not sent to whoever asks
// for it.
func TestNoPasswordInClear(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.NotContains(t, r.Header.Get("Authorization"), "Basic")
		w.Header().Set("WWW-Authenticate", "Basic realm=x")
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer plain.Close()
	port, err := strconv.Atoi(plain.URL[strings.LastIndexByte(plain.URL, ':')+1:])
	require.NoError(t, err)
	_, err = do(t.Context(), Target{Host: "127.0.0.1", Port: port, User: "admin", Password: "login", NoTLS: true}, agentless.Job{ID: "1", Command: "x"})
	var e *agentless.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, agentless.CodeAuth, e.Code)
}

// TestDownload: there is no shell that could pack a file.
func TestDownload(t *testing.T) {
	tr, err := NewTransport(TransportConfig{Sink: struct{ job.Sink }{}, Open: func(context.Context, task.File) (io.ReadCloser, error) { return nil, io.EOF },
		Target: func(context.Context, int64, string) (Target, error) { return Target{}, io.EOF }})
	require.NoError(t, err)
	err = tr.Start(t.Context(), job.Request{Certname: "win01", Module: "command", Action: "run", Params: []byte(`{"command":"x"}`),
		Receive: func(_ context.Context, o job.Outcome) job.Outcome { return o }})
	var e *job.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, agentless.KindFile, e.Kind)
	require.Equal(t, "Files and directories cannot be downloaded over winrm: win01", e.Msg)
}
