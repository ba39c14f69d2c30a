//go:build acceptance

package acceptance

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/dalangtest"
)

// The accounts that are made for the test: one may do everything with sudo, the
// other nothing, and is asked for its password by PAM (keyboard-interactive).
const (
	sudoer = "dalang-acceptance"
	plain  = "dalang-acceptance2"

	sudoRules = "/etc/sudoers.d/" + sudoer
)

// sshd is Debian's OpenSSH server on a port of loopback, with keys and
// accounts of its own.
type sshd struct {
	port     string
	password string // of both accounts
	key      string // OpenSSH's form; of both accounts
	rsaKey   string // PEM
	hostKey  string // a line of known_hosts
}

// startSSHD runs one until the test ends, and takes everything away that it
// left on the machine.
func startSSHD(t *testing.T) *sshd {
	t.Helper()
	installed(t, "/usr/sbin/sshd", "openssh-server")
	installed(t, "/usr/bin/sudo", "sudo")
	s := &sshd{port: port(dalangtest.FreeAddress(t)), password: "pass-" + rand.Text()}
	dir := openDir(t)
	keygen := func(name string, args ...string) (private, public string) {
		file := filepath.Join(dir, name)
		command(t, "", "ssh-keygen", append([]string{"-q", "-N", "", "-f", file}, args...)...)
		for of, into := range map[string]*string{file: &private, file + ".pub": &public} {
			text, err := os.ReadFile(of)
			require.NoError(t, err)
			*into = string(text)
		}
		return private, public
	}
	_, host := keygen("host", "-t", "ed25519")
	fields := strings.Fields(host)
	s.hostKey = fmt.Sprintf("[localhost]:%s %s %s\n", s.port, fields[0], fields[1])
	var one, two string
	s.key, one = keygen("user", "-t", "ed25519")
	s.rsaKey, two = keygen("rsa", "-t", "rsa", "-m", "PEM")
	for _, name := range []string{sudoer, plain} {
		s.account(t, name, one+two)
	}
	t.Cleanup(func() { os.Remove(sudoRules) })
	s.allow(t, "")

	config := filepath.Join(dir, "sshd_config")
	require.NoError(t, os.WriteFile(config, []byte(fmt.Sprintf(`Port %[1]s
ListenAddress 127.0.0.1
HostKey %[2]s/host
PidFile none
UsePAM yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
AllowUsers %[3]s %[4]s
Match User %[4]s
PasswordAuthentication no
KbdInteractiveAuthentication yes
`, s.port, dir, sudoer, plain)), 0o600))
	if os.Mkdir("/run/sshd", 0o755) == nil {
		t.Cleanup(func() { os.Remove("/run/sshd") })
	}
	dalangtest.Process(t, "/usr/sbin/sshd", "-D", "-e", "-f", config)
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+s.port)
		if err != nil {
			return false
		}
		return c.Close() == nil
	}, 30*time.Second, 20*time.Millisecond)
	return s
}

// allow lets the sudoer do everything; more is added to the rules.
func (s *sshd) allow(t *testing.T, more string) {
	t.Helper()
	require.NoError(t, os.WriteFile(sudoRules, []byte(more+sudoer+" ALL=(ALL:ALL) ALL\n"), 0o440))
	command(t, "", "visudo", "-c", "-q")
}

// account makes an account that the keys let in, for the time of the test.
func (s *sshd) account(t *testing.T, name, keys string) {
	t.Helper()
	remove := func() {
		_ = exec.Command("userdel", "-r", "-f", name).Run() // it may not be there
		for _, file := range []string{"/var/lib/sudo/lectured/", "/run/sudo/ts/"} {
			os.Remove(file + name)
		}
	}
	remove() // of a test that was killed
	command(t, "", "useradd", "-m", "-s", "/bin/sh", name)
	t.Cleanup(remove)
	command(t, name+":"+s.password+"\n", "chpasswd")
	dir := filepath.Join("/home", name, ".ssh")
	command(t, "", "install", "-d", "-m", "700", "-o", name, "-g", name, dir)
	file := filepath.Join(dir, "authorized_keys")
	require.NoError(t, os.WriteFile(file, []byte(keys), 0o600))
	command(t, "", "chown", name+":"+name, file)
}

// command runs a command, which must succeed.
func command(t *testing.T, stdin, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %v:\n%s", name, args, out)
}
