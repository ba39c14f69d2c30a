// Package winrmtest is a WinRM service for tests. It answers as MS-WSMV says,
// keeps the files that it is given, and runs nothing: what wrapper.ps1 would
// have done is the test's to say. No Windows is behind it.
package winrmtest

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
)

// Who logs in, and where.
const (
	Host     = "127.0.0.1"
	User     = "admin"
	Password = "login"
)

// Wrapper does what wrapper.ps1 in dir would do. files are those that are there
// then, by path. While ended is false the client is told to ask again.
type Wrapper func(dir string, files map[string]string) (stdout, stderr string, exit int, ended bool)

// Service is a WinRM service with TLS and a certificate that nobody signed.
type Service struct {
	Port int

	wrapper Wrapper

	mu       sync.Mutex
	files    map[string]string
	lines    []string
	commands map[string]*remote
	idle     int
	cleaning func()
}

type remote struct{ line, stdin string }

// Serve starts a service that ends with the test.
func Serve(t testing.TB, wrapper Wrapper) *Service {
	t.Helper()
	s := &Service{wrapper: wrapper, files: map[string]string{}, commands: map[string]*remote{}}
	server := httptest.NewTLSServer(http.HandlerFunc(s.serve))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	s.Port, err = strconv.Atoi(port)
	require.NoError(t, err)
	return s
}

// Files are those that are there, by path.
func (s *Service) Files() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.files)
}

// Lines are the command lines that were sent, as they were sent.
func (s *Service) Lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines)
}

// Idle has the next questions for output, so many, answered with a timeout.
func (s *Service) Idle(questions int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = questions
}

// Cleaning has something done whenever a directory is to be deleted.
func (s *Service) Cleaning(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleaning = do
}

const answer = `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" ` +
	`xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell"><s:Body>%s</s:Body></s:Envelope>`

// first is what the first group of a pattern has in a text.
func first(pattern, text string) string {
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return m[1]
}

func (s *Service) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if user, password, _ := r.BasicAuth(); user != User || password != Password {
		w.Header().Set("WWW-Authenticate", "Basic realm=x")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	body, _ := io.ReadAll(r.Body)
	text := string(body)
	reply := func(status int, inner string) {
		w.Header().Set("Content-Type", "application/soap+xml;charset=UTF-8")
		w.WriteHeader(status)
		fmt.Fprintf(w, answer, inner)
	}
	action := first(`<[a-z]+:Action[^>]*>([^<]+)<`, text)
	switch action[strings.LastIndex(action, "/")+1:] {
	case "Create":
		reply(200, `<rsp:Shell><w:SelectorSet><w:Selector Name="ShellId">S1</w:Selector></w:SelectorSet></rsp:Shell>`)
	case "Command":
		line := first(`CDATA\[([^\]]+)\]`, text)
		s.lines = append(s.lines, line)
		id := "C" + strconv.Itoa(len(s.lines))
		s.commands[id] = &remote{line: line}
		reply(200, `<rsp:CommandResponse><rsp:CommandId>`+id+`</rsp:CommandId></rsp:CommandResponse>`)
	case "Send":
		part, _ := base64.StdEncoding.DecodeString(first(`<[a-z]+:Stream[^>]*CommandId="[^"]+"[^>]*>([^<]*)<`, text))
		s.commands[first(`<[a-z]+:Stream[^>]*CommandId="([^"]+)"`, text)].stdin += string(part)
		reply(200, "")
	case "Receive":
		s.receive(reply, s.commands[first(`CommandId="([^"]+)"`, text)])
	default:
		reply(200, "")
	}
}

func (s *Service) receive(reply func(int, string), c *remote) {
	if s.idle > 0 {
		s.idle--
		reply(500, `<s:Fault><s:Detail><f:WSManFault xmlns:f="x" Code="2150858793">timed out</f:WSManFault></s:Detail></s:Fault>`)
		return
	}
	stdout, stderr, exit, ended := s.run(c)
	if !ended {
		reply(500, `<s:Fault>OperationTimeout</s:Fault>`)
		return
	}
	reply(200, fmt.Sprintf(`<rsp:ReceiveResponse><rsp:Stream Name="stdout">%s</rsp:Stream><rsp:Stream Name="stderr">%s</rsp:Stream>`+
		`<rsp:CommandState State="http://schemas.microsoft.com/wbem/wsman/1/windows/shell/CommandState/Done"><rsp:ExitCode>%d</rsp:ExitCode></rsp:CommandState></rsp:ReceiveResponse>`,
		base64.StdEncoding.EncodeToString([]byte(stdout)), base64.StdEncoding.EncodeToString([]byte(stderr)), exit))
}

// run does what the scripts ask for.
func (s *Service) run(c *remote) (stdout, stderr string, exit int, ended bool) {
	script := Script(c.line)
	dir := `C:\Temp\` + first(`^\$d = Join-Path .* '(dalang-[^']+)'`, script)
	switch file := first(`^\$f = '([^']+)'`, script); {
	case file != "":
		content, err := base64.StdEncoding.DecodeString(c.stdin)
		if err != nil {
			return "", err.Error(), 1, true
		}
		s.files[file] = string(content)
		return "", "", 0, true
	case strings.Contains(script, "Remove-Item"):
		if s.cleaning != nil {
			s.cleaning()
		}
		maps.DeleteFunc(s.files, func(name, _ string) bool { return strings.HasPrefix(name, dir+`\`) })
		return "", "", 0, true
	case strings.HasPrefix(script, "$d = Join-Path"):
		return dir, "", 0, true
	}
	return s.wrapper(strings.TrimSuffix(first(`-File "([^"]+)"`, c.line), `\wrapper.ps1`), maps.Clone(s.files))
}

// Script is what a command line has PowerShell run, without what all begin
// with; "" for lines that do not carry it.
func Script(line string) string {
	const prologue = "$ProgressPreference = 'SilentlyContinue'; $ErrorActionPreference = 'Stop'; "
	_, encoded, found := strings.Cut(line, " -EncodedCommand ")
	if !found {
		return ""
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return ""
	}
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(raw[2*i:])
	}
	return strings.TrimPrefix(string(utf16.Decode(units)), prologue)
}
