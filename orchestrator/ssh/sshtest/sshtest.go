// Package sshtest is an SSH server for tests, which runs commands with this
// machine's shell and a sudo that plays what it is told.
package sshtest

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
	"golang.org/x/crypto/ssh"
)

// Server is an SSH server that runs commands with this machine's shell, each in
// a session of its own, as sshd does. admin logs in with the password login, or
// with UserKey.
type Server struct {
	Port    int
	Home    string
	Key     ssh.Signer // of the host
	UserKey string     // PEM, of the user

	path     string // PATH of commands, the fake sudo first
	mu       sync.Mutex
	commands []string // what clients asked to run
	conns    []net.Conn
}

// fakeSudo does what sudo does as far as the client can see; the scenario is
// in SUDO_FAKE. It runs the command as the same user.
const fakeSudo = `#!/bin/sh
echo "sudo: unable to resolve host web1: Name or service not known" >&2
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
  done
  echo >&2 ;;
denied) echo "admin is not in the sudoers file.  This incident will be reported." >&2; exit 1 ;;
broken) echo "sudo: unknown user $user" >&2; exit 1 ;;
esac
SUDO_USER_NOW=$user; export SUDO_USER_NOW
exec "$@"
`

// NewSigner makes a key, and its PEM.
func NewSigner(t *testing.T) (ssh.Signer, string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(private)
	require.NoError(t, err)
	return signer, string(pem.EncodeToMemory(block))
}

// Serve runs a server until the test ends; env is added to the environment of
// commands. SUDO_FAKE says how sudo is: password, denied, broken, or friendly.
func Serve(t *testing.T, env ...string) *Server {
	t.Helper()
	s := &Server{Home: t.TempDir()}
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "sudo"), []byte(fakeSudo), 0o755))
	s.path = bin + ":" + os.Getenv("PATH")
	s.Key, _ = NewSigner(t)
	user, text := NewSigner(t)
	s.UserKey = text
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
	config.AddHostKey(s.Key)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	s.Port, err = strconv.Atoi(port)
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
		s.HangUp()
		all.Wait()
	})
	return s
}

// HangUp ends all connections, as a host that crashes.
func (s *Server) HangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
}

func (s *Server) connection(c net.Conn, config *ssh.ServerConfig, env []string) {
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

func (s *Server) session(channel ssh.Channel, requests <-chan *ssh.Request, env []string) {
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

func (s *Server) exec(channel ssh.Channel, line string, tty bool, env []string) {
	c := exec.Command("/bin/sh", "-c", line)
	c.Dir = s.Home
	c.Env = append([]string{"PATH=" + s.path, "HOME=" + s.Home}, env...)
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

// Asked is everything that clients asked to run.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.commands...)
}
