package ssh

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is an SSH server that runs commands with this machine's shell, each in
// a session of its own, as sshd does.
type server struct {
	t        *testing.T
	port     int
	home     string
	key      ssh.Signer // of the host
	userKey  string     // PEM, of the user
	path     string     // PATH of commands, the fake sudo first
	mu       sync.Mutex
	commands []string // what clients asked to run
	conns    []net.Conn
}

// fakeSudo does what sudo does as far as the client can see; the scenario is
// in SUDO_FAKE. It runs the command as the same user.
const fakeSudo = `#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in
  -S|-H) shift ;;
  -u) user=$2; shift 2 ;;
  -p) prompt=$2; shift 2 ;;
  *) break ;;
  esac
done
case $SUDO_FAKE in
password)
  tries=0
  while :; do
    printf '%s' "$prompt" >&2
    IFS= read -r given || exit 1
    [ "$given" = "s3cret pass" ] && break
    tries=$((tries+1))
    [ $tries -ge 3 ] && { echo "sudo: 3 incorrect password attempts" >&2; exit 1; }
    echo "Sorry, try again." >&2
  done ;;
denied) echo "admin is not in the sudoers file.  This incident will be reported." >&2; exit 1 ;;
broken) echo "sudo: unknown user $user" >&2; exit 1 ;;
esac
SUDO_USER_NOW=$user; export SUDO_USER_NOW
exec "$@"
`

func newSigner(t *testing.T) (ssh.Signer, string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(private)
	require.NoError(t, err)
	return signer, string(pem.EncodeToMemory(block))
}

func serve(t *testing.T, env ...string) *server {
	t.Helper()
	s := &server{t: t, home: t.TempDir()}
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "sudo"), []byte(fakeSudo), 0o755))
	s.path = bin + ":" + os.Getenv("PATH")
	s.key, _ = newSigner(t)
	user, text := newSigner(t)
	s.userKey = text
	config := &ssh.ServerConfig{
		PasswordCallback: func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if c.User() == "admin" && string(password) == "login" {
				return nil, nil
			}
			return nil, errors.New("no")
		},
		KeyboardInteractiveCallback: func(c ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err == nil && c.User() == "pam" && answers[0] == "login" {
				return nil, nil
			}
			return nil, errors.New("no")
		},
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if string(key.Marshal()) == string(user.PublicKey().Marshal()) {
				return nil, nil
			}
			return nil, errors.New("no")
		},
	}
	config.AddHostKey(s.key)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	s.port, err = strconv.Atoi(port)
	require.NoError(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			all.Go(func() { s.connection(c, config, env) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.hangUp()
		all.Wait()
	})
	return s
}

// hangUp ends all connections, as a host that crashes.
func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
}

func (s *server) connection(c net.Conn, config *ssh.ServerConfig, env []string) {
	defer c.Close()
	conn, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return
	}
	var all sync.WaitGroup
	defer all.Wait()
	defer conn.Close()
	all.Go(func() { ssh.DiscardRequests(requests) })
	for n := range channels {
		channel, requests, err := n.Accept()
		if err != nil {
			return
		}
		all.Go(func() { s.session(channel, requests, env) })
	}
}

func (s *server) session(channel ssh.Channel, requests <-chan *ssh.Request, env []string) {
	defer channel.Close()
	tty := false
	for r := range requests {
		switch r.Type {
		case "pty-req":
			tty = true
			_ = r.Reply(true, nil)
		case "exec":
			line := string(r.Payload[4:][:binary.BigEndian.Uint32(r.Payload)])
			s.mu.Lock()
			s.commands = append(s.commands, line)
			s.mu.Unlock()
			_ = r.Reply(true, nil)
			go ssh.DiscardRequests(requests)
			s.exec(channel, line, tty, env)
			return
		default:
			_ = r.Reply(false, nil)
		}
	}
}

func (s *server) exec(channel ssh.Channel, line string, tty bool, env []string) {
	c := exec.Command("/bin/sh", "-c", line)
	c.Dir = s.home
	c.Env = append([]string{"PATH=" + s.path, "HOME=" + s.home}, env...)
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	c.Stdout, c.Stderr = channel, channel.Stderr()
	if tty { // what a terminal does that matters here
		c.Stderr = channel
	}
	in, err := c.StdinPipe()
	if err != nil || c.Start() != nil {
		return
	}
	go func() {
		_, _ = io.Copy(in, channel)
		in.Close()
	}()
	status := struct{ Code uint32 }{}
	var exit *exec.ExitError
	if err := c.Wait(); errors.As(err, &exit) {
		status.Code = uint32(exit.ExitCode())
	}
	_ = channel.CloseWrite()
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(status))
}

func (s *server) target() Target {
	return Target{Host: "127.0.0.1", Port: s.port, User: "admin", Password: "login", TmpDir: s.home}
}

// asked is everything that clients asked to run.
func (s *server) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.commands...)
}
