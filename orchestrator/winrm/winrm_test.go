package winrm

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dalang/orchestrator/agentless"
	"dalang/orchestrator/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service answers as MS-WSMV says. It keeps files, and "runs" wrapper.ps1 as
// the scenario says.
type service struct {
	*httptest.Server
	wrapper func(files map[string]string) (stdout, stderr string, exit int, ended bool)

	mu       sync.Mutex
	files    map[string]string
	scripts  []string // as they were decoded
	lines    []string // as they were sent
	commands map[string]*remote
	idle     int // how many questions for output are answered with a timeout first
}

type remote struct{ script, stdin string }

var (
	actionPattern  = regexp.MustCompile(`<[a-z]+:Action[^>]*>([^<]+)<`)
	commandPattern = regexp.MustCompile(`CDATA\[([^\]]+)\]`)
	streamPattern  = regexp.MustCompile(`<[a-z]+:Stream[^>]*CommandId="([^"]+)"[^>]*>([^<]*)<`)
	desiredPattern = regexp.MustCompile(`CommandId="([^"]+)"`)
	putPattern     = regexp.MustCompile(`^\$f = '([^']+)'`)
)

func start(t *testing.T, wrapper func(map[string]string) (string, string, int, bool)) *service {
	t.Helper()
	s := &service{wrapper: wrapper, files: map[string]string{}, commands: map[string]*remote{}}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

const soapAnswer = `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" ` +
	`xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell"><s:Body>%s</s:Body></s:Envelope>`

func (s *service) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if user, password, _ := r.BasicAuth(); user != "admin" || password != "login" {
		w.Header().Set("WWW-Authenticate", "Basic realm=x")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	body, _ := io.ReadAll(r.Body)
	text := string(body)
	answer := func(status int, inner string) {
		w.Header().Set("Content-Type", "application/soap+xml;charset=UTF-8")
		w.WriteHeader(status)
		fmt.Fprintf(w, soapAnswer, inner)
	}
	action := actionPattern.FindStringSubmatch(text)[1]
	switch action[strings.LastIndex(action, "/")+1:] {
	case "Create":
		answer(200, `<rsp:Shell><w:SelectorSet><w:Selector Name="ShellId">S1</w:Selector></w:SelectorSet></rsp:Shell>`)
	case "Command":
		line := commandPattern.FindStringSubmatch(text)[1]
		s.lines = append(s.lines, line)
		id := "C" + strconv.Itoa(len(s.lines))
		s.commands[id] = &remote{script: decodeScript(line)}
		s.scripts = append(s.scripts, s.commands[id].script)
		answer(200, `<rsp:CommandResponse><rsp:CommandId>`+id+`</rsp:CommandId></rsp:CommandResponse>`)
	case "Send":
		m := streamPattern.FindStringSubmatch(text)
		part, _ := base64.StdEncoding.DecodeString(m[2])
		s.commands[m[1]].stdin += string(part)
		answer(200, "")
	case "Receive":
		if s.idle > 0 {
			s.idle--
			answer(500, `<s:Fault><s:Detail><f:WSManFault xmlns:f="x" Code="2150858793">timed out</f:WSManFault></s:Detail></s:Fault>`)
			return
		}
		stdout, stderr, exit, ended := s.run(s.commands[desiredPattern.FindStringSubmatch(text)[1]])
		if !ended {
			answer(500, `<s:Fault>OperationTimeout</s:Fault>`)
			return
		}
		answer(200, fmt.Sprintf(`<rsp:ReceiveResponse><rsp:Stream Name="stdout">%s</rsp:Stream><rsp:Stream Name="stderr">%s</rsp:Stream>`+
			`<rsp:CommandState State="http://schemas.microsoft.com/wbem/wsman/1/windows/shell/CommandState/Done"><rsp:ExitCode>%d</rsp:ExitCode></rsp:CommandState></rsp:ReceiveResponse>`,
			base64.StdEncoding.EncodeToString([]byte(stdout)), base64.StdEncoding.EncodeToString([]byte(stderr)), exit))
	default:
		answer(200, "")
	}
}

const prologue = "$ProgressPreference = 'SilentlyContinue'; $ErrorActionPreference = 'Stop'; "

func decodeScript(line string) string {
	raw, _ := base64.StdEncoding.DecodeString(line[strings.LastIndexByte(line, ' ')+1:])
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(raw[2*i:])
	}
	return strings.TrimPrefix(string(utf16.Decode(units)), prologue)
}

// run does what the scripts ask for.
func (s *service) run(c *remote) (stdout, stderr string, exit int, ended bool) {
	switch m := putPattern.FindStringSubmatch(c.script); {
	case m != nil:
		content, err := base64.StdEncoding.DecodeString(c.stdin)
		if err != nil {
			return "", err.Error(), 1, true
		}
		s.files[m[1]] = string(content)
		return "", "", 0, true
	case strings.Contains(c.script, "Remove-Item"):
		clear(s.files)
		return "", "", 0, true
	case strings.HasPrefix(c.script, "$d = Join-Path"):
		return `C:\Temp\dalang-1`, "", 0, true
	}
	return s.wrapper(s.files)
}

func (s *service) target(t *testing.T) Target {
	t.Helper()
	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	port, err := strconv.Atoi(u.Port())
	require.NoError(t, err)
	return Target{Host: u.Hostname(), Port: port, User: "admin", Password: "login", Insecure: true}
}

func (s *service) do(ctx context.Context, target Target, j agentless.Job) (agentless.Outcome, error) {
	r := runner{TransportConfig{MaxOutput: 1 << 20, Target: func(context.Context, int64, string) (Target, error) { return target, nil }}}
	return r.Run(ctx, 1, "win01", j)
}

func file(name, content string) agentless.File {
	return agentless.File{Name: name, Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }}
}

func TestRun(t *testing.T) {
	big := strings.Repeat("x", 300_000) // more than one message takes
	var seen map[string]string
	s := start(t, func(files map[string]string) (string, string, int, bool) {
		seen = map[string]string{}
		for name, content := range files {
			seen[name] = content
		}
		return "täst\n", "noise", 3, true
	})
	s.idle = 2
	began := false
	out, err := s.do(t.Context(), s.target(t), agentless.Job{ID: "1", Files: []agentless.File{file("m/tasks/x.rb", "puts 1"), file("m/files/big", big)},
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
	require.Empty(t, s.files, "the directory is deleted")
	for i, line := range s.lines {
		require.Less(t, len(line), 8191, s.scripts[i])
		require.NotContains(t, s.scripts[i], "hush", "nothing secret is in a command line")
	}
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
	require.Equal(t, "$d = Join-Path [IO.Path]::GetTempPath() 'dalang-1'; New-Item -ItemType Directory -Path $d | Out-Null; [Console]::Out.Write($d)", makeDir("", "1"))
	require.Contains(t, makeDir(`D:\it's`, "1"), `Join-Path 'D:\it''s' 'dalang-1'`)
	require.Equal(t, "'a\u2019\u2019b''c'", quote("a\u2019b'c"))
	require.Equal(t, `C:\d\a\b`, join(`C:\d\`, "a/b"))
	require.Equal(t, `C:\d\etc`, join(`C:\d`, "../../etc"), "no name leads out")
	require.Equal(t, "exit 0", decodeScript(powershell("exit 0")))
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
	s := start(t, func(map[string]string) (string, string, int, bool) { return strings.Repeat("x", 2<<20), "", 0, true })
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
		"unknown extension": {func(*Target) {}, agentless.Job{ID: "1", Files: []agentless.File{file("x.sh", "")}}, agentless.CodeWrite, `end with ".sh"`},
		"too much output":   {func(*Target) {}, agentless.Job{ID: "1", Command: "x"}, agentless.CodeOutput, "writes more than"},
	} {
		t.Run(name, func(t *testing.T) {
			target := s.target(t)
			c.change(&target)
			_, err := s.do(t.Context(), target, c.job)
			var e *agentless.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.code, e.Code)
			require.Contains(t, e.Msg, c.msg)
			require.NotContains(t, e.Msg, "wrong-pass")
			require.Empty(t, s.files)
		})
	}
}

func TestTimeout(t *testing.T) {
	s := start(t, func(map[string]string) (string, string, int, bool) { return "", "", 0, false })
	_, err := s.do(t.Context(), s.target(t), agentless.Job{ID: "1", Command: "Start-Sleep 1000", Timeout: 500 * time.Millisecond})
	var e *agentless.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "Task execution on 127.0.0.1 timed out after 0.5 seconds", e.Msg)
	require.Contains(t, s.scripts[len(s.scripts)-1], "Remove-Item", "it cleans up all the same")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.do(ctx, s.target(t), agentless.Job{ID: "1", Command: "x"})
	require.ErrorIs(t, err, context.Canceled)
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
	_, err = (&service{}).do(t.Context(), Target{Host: "127.0.0.1", Port: port, User: "admin", Password: "login", NoTLS: true}, agentless.Job{ID: "1", Command: "x"})
	var e *agentless.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, agentless.CodeAuth, e.Code)
}
