// Package sshtest is an SSH server for tests, which runs commands with this
// machine's shell and a sudo that plays what it is told. It can be hostile.
package sshtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
)

// Server is an SSH server that runs commands with this machine's shell, each in
// a session of its own, as sshd does. admin logs in with the password, or with
// UserKey; pam with the password, when asked.
type Server struct {
	Port    int
	Home    string
	Key     ssh.Signer // of the host
	UserKey string     // PEM, of the user

	cfg       Config
	path      string // PATH of commands, the fake sudo first
	ssh       *ssh.ServerConfig
	over      chan struct{}
	listeners []net.Listener
	all       sync.WaitGroup
	mu        sync.Mutex
	commands  []string // what clients asked to run
	conns     []net.Conn
}

// Config says how a server is.
type Config struct {
	// Env is added to the environment of commands. SUDO_FAKE says how sudo is:
	// password, denied, broken, requiretty, or friendly.
	Env          []string
	Password     string                      // default "login"
	SudoPassword string                      // default "s3cret pass"
	Addresses    []string                    // to listen on, all with one port; default 127.0.0.1
	Manner       func(address string) Manner // of the server at an address; nil: all are Friendly
}

// Manner is how a server behaves.
type Manner int

// Friendly servers do what they are asked.
const (
	Friendly Manner = iota
	Silent          // connects, and never says a word
	Garbage         // says something that is not SSH, without an end
	Deaf            // lets log in, and answers nothing after that
	Mute            // opens channels, and answers nothing in them
	Endless         // whatever is to run writes without an end
	HangsUp         // closes the connection while the command runs
	Slow            // takes a quarter of a second for each command
)

// fakeSudo does what sudo does as far as the client can see; the scenario is
// in SUDO_FAKE. It runs the command as the same user. Of the password it knows
// the sum only, so that no file has it.
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
requiretty) [ -n "$SSH_TTY" ] || { echo "sudo: sorry, you must have a tty to run sudo" >&2; exit 1; } ;;
password)
  tries=0
  while :; do
    printf '%s' "$prompt" >&2
    IFS= read -r given || exit 1
    [ "$(printf '%s' "$given" | sha256sum)" = "SUM  -" ] && break
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

// Serve runs a friendly server until the test ends; env is Config.Env.
func Serve(t *testing.T, env ...string) *Server {
	t.Helper()
	return New(t, Config{Env: env})
}

// New runs a server until the test ends.
func New(t *testing.T, cfg Config) *Server {
	t.Helper()
	if cfg.Password == "" {
		cfg.Password = "login"
	}
	if cfg.SudoPassword == "" {
		cfg.SudoPassword = "s3cret pass"
	}
	if len(cfg.Addresses) == 0 {
		cfg.Addresses = []string{"127.0.0.1"}
	}
	s := &Server{Home: t.TempDir(), cfg: cfg, over: make(chan struct{})}
	bin := t.TempDir()
	sum := sha256.Sum256([]byte(cfg.SudoPassword))
	require.NoError(t, os.WriteFile(filepath.Join(bin, "sudo"), []byte(strings.Replace(fakeSudo, "SUM", hex.EncodeToString(sum[:]), 1)), 0o755))
	s.path = bin + ":" + os.Getenv("PATH")
	s.Key, _ = NewSigner(t)
	user, text := NewSigner(t)
	s.UserKey = text
	s.ssh = s.authentication(user.PublicKey())
	s.ssh.AddHostKey(s.Key)
	s.listen(t)
	for i, l := range s.listeners {
		manner := Friendly
		if cfg.Manner != nil {
			manner = cfg.Manner(cfg.Addresses[i])
		}
		s.all.Go(func() { s.accept(l, manner) })
	}
	t.Cleanup(func() {
		s.Refuse()
		close(s.over)
		s.HangUp()
		s.all.Wait()
	})
	return s
}

// Refuse has the server take no more connections.
func (s *Server) Refuse() {
	for _, l := range s.listeners {
		l.Close()
	}
}

// listen listens on all addresses, with the port that the first one gets.
func (s *Server) listen(t *testing.T) {
	t.Helper()
	for _, address := range s.cfg.Addresses {
		l, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(s.Port)))
		require.NoError(t, err)
		_, port, err := net.SplitHostPort(l.Addr().String())
		require.NoError(t, err)
		s.Port, err = strconv.Atoi(port)
		require.NoError(t, err)
		s.listeners = append(s.listeners, l)
	}
}

func (s *Server) authentication(user ssh.PublicKey) *ssh.ServerConfig {
	return &ssh.ServerConfig{
		PasswordCallback: func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if c.User() == "admin" && string(password) == s.cfg.Password {
				return nil, nil
			}
			return nil, errors.New("no")
		},
		KeyboardInteractiveCallback: func(c ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err == nil && c.User() == "pam" && answers[0] == s.cfg.Password {
				return nil, nil
			}
			return nil, errors.New("no")
		},
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if string(key.Marshal()) == string(user.Marshal()) {
				return nil, nil
			}
			return nil, errors.New("no")
		},
	}
}

// HangUp ends all connections, as a host that crashes.
func (s *Server) HangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
}

func (s *Server) accept(l net.Listener, manner Manner) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns = append(s.conns, c)
		s.mu.Unlock()
		s.all.Go(func() { s.connection(c, manner) })
	}
}

func (s *Server) connection(c net.Conn, manner Manner) {
	defer c.Close()
	switch manner {
	case Silent:
		_, _ = io.Copy(io.Discard, c)
		return
	case Garbage:
		for text := []byte(strings.Repeat("220 ready\r\n", 100)); ; {
			if _, err := c.Write(text); err != nil {
				return
			}
		}
	}
	conn, channels, requests, err := ssh.NewServerConn(c, s.ssh)
	if err != nil {
		return
	}
	var all sync.WaitGroup
	defer all.Wait()
	defer conn.Close()
	all.Go(func() { ssh.DiscardRequests(requests) })
	for n := range channels {
		if manner == Deaf {
			continue
		}
		channel, requests, err := n.Accept()
		if err != nil {
			return
		}
		if manner == Mute {
			all.Go(func() {
				for range requests { // and never an answer
				}
			})
			continue
		}
		all.Go(func() { s.session(channel, requests, c, manner) })
	}
}

func (s *Server) session(channel ssh.Channel, requests <-chan *ssh.Request, c net.Conn, manner Manner) {
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
			s.act(channel, line, tty, c, manner)
			return
		default:
			_ = r.Reply(false, nil)
		}
	}
}

// runs tells whether a line runs what is to run, after all preparations.
func runs(line string) bool {
	return strings.HasPrefix(line, "sh ") && strings.HasSuffix(line, "/wrapper.sh")
}

// act does a line as the server's manner is.
func (s *Server) act(channel ssh.Channel, line string, tty bool, c net.Conn, manner Manner) {
	switch {
	case manner == Slow:
		select {
		case <-s.over:
			return
		case <-time.After(250 * time.Millisecond):
		}
	case manner == Endless && runs(line):
		for text := []byte(strings.Repeat("more ", 1000)); ; {
			if _, err := channel.Write(text); err != nil {
				return
			}
		}
	case manner == HangsUp && runs(line):
		c.Close()
		return
	}
	s.exec(channel, line, tty, c)
}

func (s *Server) exec(channel ssh.Channel, line string, tty bool, conn net.Conn) {
	c := exec.Command("/bin/sh", "-c", line)
	c.Dir = s.Home
	ends := strings.ReplaceAll(conn.RemoteAddr().String()+" "+conn.LocalAddr().String(), ":", " ") // of IPv4
	c.Env = append([]string{"PATH=" + s.path, "HOME=" + s.Home, "SSH_CONNECTION=" + ends}, s.cfg.Env...)
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	c.Stdout, c.Stderr = channel, channel.Stderr()
	if tty { // what a terminal does that matters here
		c.Stderr = channel
		c.Env = append(c.Env, "SSH_TTY=/dev/pts/9")
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
