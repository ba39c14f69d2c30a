//go:build acceptance

package acceptance

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// login is how to log in to a target: a member of targets.
type login map[string]any

func (s *sshd) byPassword(user string) login {
	return login{"user": user, "password": s.password}
}

func (s *sshd) byKey(user string) login {
	return login{"user": user, "private-key-content": s.key}
}

// with adds a member.
func (l login) with(key string, value any) login {
	more := login{key: value}
	for k, v := range l {
		more[k] = v
	}
	return more
}

// overSSH is the flag --targets for one host.
func (s *sshd) overSSH(t *testing.T, host string, l login) string {
	t.Helper()
	number, err := strconv.Atoi(s.port)
	require.NoError(t, err)
	text, err := json.Marshal([]any{l.with("hostnames", []string{host}).with("transport", "ssh").with("port", number)})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "targets.json")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return "@" + path
}

// testSSH: tasks on a host without an agent, over Debian's OpenSSH server and
// sudo, by password and by key, with a terminal and without.
func (w *world) testSSH(t *testing.T) {
	s := startSSHD(t)
	before := leftovers(t)
	t.Run("Debian's tasks", func(t *testing.T) { w.sshTasks(t, s) })
	t.Run("sudo", func(t *testing.T) { w.sshSudo(t, s) })
	t.Run("requiretty", func(t *testing.T) { w.sshRequireTTY(t, s) })
	t.Run("refused", func(t *testing.T) { w.sshRefused(t, s) })
	t.Run("host keys", func(t *testing.T) { w.sshHostKeys(t, s) })
	t.Run("timeout", func(t *testing.T) { w.sshTimeout(t, s) })
	t.Run("killed", func(t *testing.T) { w.sshKilled(t, s) })
	t.Run("stored connections", func(t *testing.T) { w.sshStored(t, s) })
	require.Equal(t, before, leftovers(t), "nothing is left on the target")
	require.NotContains(t, w.server.Log(), s.password)
	require.Error(t, exec.Command("grep", "-rqF", s.password, w.server.Data).Run(), "the password is nowhere")
}

func leftovers(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, dir := range []string{"/tmp", "/var/tmp", "/root", "/home/*"} {
		found, err := filepath.Glob(dir + "/dalang-????????-*")
		require.NoError(t, err)
		all = append(all, found...)
	}
	return all
}

func (w *world) sshTasks(t *testing.T, s *sshd) {
	uid := strings.TrimSpace(run(t, "id", "-u", sudoer)[0])
	for name, l := range map[string]login{"password": s.byPassword(sudoer), "key": s.byKey(sudoer), "RSA key": s.byKey(sudoer).with("private-key-content", s.rsaKey)} {
		t.Run(name, func(t *testing.T) {
			before := len(w.service.reloads(t))
			out, status := w.cli(t, "task", "run", "apache", "action=reload", "service_name="+w.service.name, "--nodes", "localhost", "--targets", s.overSSH(t, "localhost", l))
			require.Equal(t, 0, status)
			n := w.results(t, out)["localhost"]
			require.Equal(t, "ssh", n.Transport)
			require.Equal(t, map[string]any{"status": "reload successful"}, n.Result)
			require.Equal(t, []string{uid}, w.service.reloads(t)[before:])
		})
	}
	out, status := w.cli(t, "task", "run", "postgresql::sql", "--params", "@"+w.sqlParams(t, "SELECT 6 * 7 AS answer, current_user"), "--nodes", "127.0.0.1",
		"--targets", s.overSSH(t, "127.0.0.1", s.byPassword(plain)))
	require.Equal(t, 0, status)
	require.Regexp(t, `42 \| postgres`, w.results(t, out)["127.0.0.1"].Result["status"])
	out, status = w.cli(t, "task", "run", "acceptance::shared", "--noop", "--nodes", "localhost", "--targets", s.overSSH(t, "localhost", s.byKey(plain).with("tmpdir", "/var/tmp")))
	require.Equal(t, 0, status)
	require.Contains(t, out, "  from a module\n  noop true\n")
}

// sshSudo: run-as by sudo, which asks for the password.
func (w *world) sshSudo(t *testing.T, s *sshd) {
	for name, l := range map[string]login{
		"password": s.byPassword(sudoer),
		"key":      s.byKey(sudoer).with("sudo-password", s.password),
	} {
		for _, tty := range []bool{false, true} {
			for _, user := range []string{"root", "postgres"} {
				t.Run(fmt.Sprintf("%s, tty %v, as %s", name, tty, user), func(t *testing.T) {
					os.Remove("/var/lib/sudo/lectured/" + sudoer) // sudo says more the first time
					targets := s.overSSH(t, "localhost", l.with("run-as", user).with("tty", tty))
					before := len(w.service.reloads(t))
					out, status := w.cli(t, "task", "run", "apache", "action=reload", "service_name="+w.service.name, "--nodes", "localhost", "--targets", targets)
					require.Equal(t, 0, status)
					require.Equal(t, map[string]any{"status": "reload successful"}, w.results(t, out)["localhost"].Result)
					require.Equal(t, run(t, "id", "-u", user), w.service.reloads(t)[before:])
					params, processes := lookParams(t)
					out, status = w.cli(t, "task", "run", "acceptance::look", "--params", "@"+params, "--nodes", "localhost", "--targets", targets)
					require.Equal(t, 0, status)
					seen := w.results(t, out)["localhost"].Result["_output"].(string)
					want := "user " + user + "\n"
					if tty {
						want += "terminal\n"
					}
					require.Equal(t, want+"token 18\n", seen)
					require.NotContains(t, processes(), token, "command lines are everybody's")
					require.NotContains(t, processes(), s.password)
				})
			}
		}
	}
}

// sshRequireTTY: what terminals are there for.
func (w *world) sshRequireTTY(t *testing.T, s *sshd) {
	s.allow(t, "Defaults:"+sudoer+" requiretty\n")
	defer s.allow(t, "")
	for tty, want := range map[bool]string{false: "you must have a tty to run sudo", true: "reload successful"} {
		out, status := w.cli(t, "task", "run", "apache", "action=reload", "service_name="+w.service.name, "--nodes", "localhost",
			"--targets", s.overSSH(t, "localhost", s.byPassword(sudoer).with("run-as", "root").with("tty", tty)))
		require.Equal(t, map[bool]int{false: 3, true: 0}[tty], status)
		require.Contains(t, out, want)
	}
}

func (w *world) sshRefused(t *testing.T, s *sshd) {
	for name, c := range map[string]struct {
		login login
		says  string
	}{
		"wrong password":      {login{"user": sudoer, "password": "wr0ng-pass"}, "Authentication failed for user " + sudoer + "@localhost"},
		"not a sudoer":        {s.byPassword(plain).with("run-as", "root"), "User " + plain + " is not allowed to run commands as root with sudo on localhost"},
		"wrong sudo password": {s.byKey(sudoer).with("run-as", "root").with("sudo-password", "wr0ng-pass"), "Sudo password for user " + sudoer + " was not accepted on localhost"},
		"no sudo password":    {s.byKey(sudoer).with("run-as", "root"), "Escalation needs a password for " + sudoer + " on localhost, and none was given"},
		"no such user":        {s.byPassword(sudoer).with("run-as", "no-such-user"), "no-such-user"},
		"no such directory":   {s.byPassword(sudoer).with("tmpdir", "/no-such-directory"), "Could not make a temporary directory on localhost"},
	} {
		for _, tty := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, tty %v", name, tty), func(t *testing.T) {
				before := len(w.service.reloads(t))
				out, status := w.cli(t, "task", "run", "apache", "action=reload", "service_name="+w.service.name, "--nodes", "localhost",
					"--targets", s.overSSH(t, "localhost", c.login.with("tty", tty)))
				require.Equal(t, 3, status)
				require.Contains(t, out, c.says)
				require.NotContains(t, out, "wr0ng-pass")
				require.Equal(t, "errored", w.results(t, out)["localhost"].State)
				require.Len(t, w.service.reloads(t), before)
			})
		}
	}
}

func (w *world) sshHostKeys(t *testing.T, s *sshd) {
	targets := s.overSSH(t, "localhost", s.byKey(plain).with("host-key-check", true))
	for _, c := range []struct {
		known, says string
		status      int
	}{
		{"", "The key of host localhost is not known", 3},
		{s.hostKey, "user " + plain, 0},
	} {
		require.NoError(t, os.WriteFile(w.knownHosts(), []byte(c.known), 0o600))
		params, _ := lookParams(t)
		out, status := w.cli(t, "task", "run", "acceptance::look", "--params", "@"+params, "--nodes", "localhost", "--targets", targets)
		require.Equal(t, c.status, status)
		require.Contains(t, out, c.says)
	}
}

// sshTimeout: when time is up, all that the task started ends, whoever it runs as.
func (w *world) sshTimeout(t *testing.T, s *sshd) {
	for _, tty := range []bool{false, true} {
		for _, user := range []string{sudoer, "root"} {
			t.Run(fmt.Sprintf("tty %v, as %s", tty, user), func(t *testing.T) {
				dir := openDir(t)
				require.NoError(t, os.Chmod(dir, 0o777))
				pids := filepath.Join(dir, "pids")
				// Long enough for a machine that is busy: it has to begin.
				out, status := w.cli(t, "task", "run", "acceptance::slow", "pids="+pids, "--timeout", "15s", "--nodes", "localhost",
					"--targets", s.overSSH(t, "localhost", s.byPassword(sudoer).with("run-as", user).with("tty", tty)))
				require.Equal(t, 3, status)
				require.Contains(t, out, "timed out after 15 seconds")
				ended(t, pids)
			})
		}
	}
}

// sshKilled: a server that is killed while a task runs ends it when it is back,
// and says so.
func (w *world) sshKilled(t *testing.T, s *sshd) {
	dir := openDir(t)
	require.NoError(t, os.Chmod(dir, 0o777))
	pids := filepath.Join(dir, "pids")
	out, status := w.cli(t, "task", "run", "acceptance::slow", "pids="+pids, "--detach", "--nodes", "localhost",
		"--targets", s.overSSH(t, "localhost", s.byPassword(sudoer).with("run-as", "root")))
	require.Equal(t, 0, status)
	name := strings.TrimSpace(out)
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(pids)
		return err == nil && len(strings.Fields(string(text))) == 2 && w.jobResults(t, name)["localhost"].State == "running"
	}, 30*time.Second, 50*time.Millisecond)
	w.server.Kill(t)
	w.server.Start(t)
	out, status = w.cli(t, "job", "watch", name)
	require.Equal(t, 3, status)
	require.Contains(t, out, "The orchestrator was restarted while this ran; what it left on the target was deleted")
	ended(t, pids)
}

// ended waits until the processes that a task began have ended.
func ended(t *testing.T, pids string) {
	t.Helper()
	text, err := os.ReadFile(pids)
	require.NoError(t, err)
	require.Len(t, strings.Fields(string(text)), 2)
	require.Eventually(t, func() bool {
		for _, pid := range strings.Fields(string(text)) {
			if args, err := os.ReadFile("/proc/" + pid + "/cmdline"); err == nil && len(args) > 0 {
				return false
			}
		}
		return true
	}, 20*time.Second, 50*time.Millisecond, "what it started goes on")
}

// sshStored: connections that are stored, for a task and for plans.
func (w *world) sshStored(t *testing.T, s *sshd) {
	const certname = "switch.example.com"
	password := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(password, []byte(s.password+"\n"), 0o600))
	store := func(more ...string) {
		_, status := w.cli(t, append([]string{"connection", "create", certname, "--hostname", "localhost", "--port", s.port, "--user", sudoer,
			"--password-file", password, "--replace"}, more...)...)
		require.Equal(t, 0, status)
	}
	store("--run-as", "root")
	before := len(w.service.reloads(t))
	// Beside a node with an agent: each is reached in its own way.
	out, status := w.cli(t, "task", "run", "apache", "action=reload", "service_name="+w.service.name, "--nodes", certname+",changes.example.com")
	require.Equal(t, 0, status)
	nodes := w.results(t, out)
	require.Equal(t, []string{"ssh", "pcp"}, []string{nodes[certname].Transport, nodes["changes.example.com"].Transport})
	require.Equal(t, []string{"0", "0"}, w.service.reloads(t)[before:])

	into := filepath.Join(openDir(t), "motd")
	out, status = w.cli(t, "plan", "run", "acceptance::steps", "--nodes", certname, "service="+w.service.name, "into="+into, "log="+w.service.log)
	require.Equal(t, 0, status)
	require.Contains(t, out, `"checked": "the file is 1 lines\n"`)
	require.Len(t, w.service.reloads(t)[before:], 3)

	store("--tty")
	out, status = w.cli(t, "plan", "run", "acceptance::who", "--nodes", certname)
	require.Equal(t, 0, status)
	require.Contains(t, out, "\n"+sudoer+", root, postgres\n")
	out, status = w.cli(t, "connection", "list")
	require.Equal(t, 0, status)
	require.NotContains(t, out, s.password)
	_, status = w.cli(t, "connection", "delete", certname)
	require.Equal(t, 0, status)
}
