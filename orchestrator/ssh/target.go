package ssh

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"dalang/orchestrator/agentless"
)

// Target is how to reach a host and as whom to act there.
type Target struct {
	Host       string
	Port       int // default 22
	User       string
	Password   string // for logging in, and for sudo if that has none
	PrivateKey string // PEM or OpenSSH's form, without a passphrase

	RunAs        string   // "": as User
	RunAsCommand []string // in place of sudo and its options; the user's name is added
	SudoPassword string

	ConnectTimeout time.Duration // default 10 s
	HostKeyCheck   bool          // against Config.KnownHosts
	TTY            bool
	TmpDir         string            // default /tmp
	Interpreters   map[string]string // extension, with or without a dot, to program
}

const (
	defaultPort           = 22
	defaultTmpDir         = "/tmp"
	defaultConnectTimeout = 10 * time.Second
)

func (t Target) withDefaults() Target {
	if t.Port == 0 {
		t.Port = defaultPort
	}
	if t.TmpDir == "" {
		t.TmpDir = defaultTmpDir
	}
	if t.ConnectTimeout <= 0 {
		t.ConnectTimeout = defaultConnectTimeout
	}
	if t.RunAs == t.User {
		t.RunAs = ""
	}
	if t.SudoPassword == "" {
		t.SudoPassword = t.Password
	}
	return t
}

// Check tells what is missing.
func (t Target) Check() error {
	switch {
	case t.Host == "":
		return errors.New("ssh: a target needs a host")
	case t.User == "":
		return fmt.Errorf("ssh: the target %s needs a user", t.Host)
	case t.Password == "" && t.PrivateKey == "":
		return fmt.Errorf("ssh: the target %s needs a password or a private key", t.Host)
	case strings.HasPrefix(t.RunAs, "-") || strings.ContainsAny(t.RunAs, "\x00\n"):
		return fmt.Errorf("ssh: the target %s: run-as is not a user's name", t.Host)
	}
	return nil
}

// CheckKey tells whether a text is a private key that targets can have. Its
// error says what the text is instead, and shows nothing of it.
func CheckKey(text string) error {
	_, err := ssh.ParsePrivateKey([]byte(text))
	if _, locked := errors.AsType[*ssh.PassphraseMissingError](err); locked {
		return errors.New("one with a passphrase")
	}
	if err != nil {
		return errors.New("something else")
	}
	return nil
}

// quote makes one word of a POSIX shell.
func quote(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+./:=@%,"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// What is agentless.
type (
	// Job is what to do on a target.
	Job = agentless.Job
	// File is something to put into a run's directory.
	File = agentless.File
	// Outcome is what a run left.
	Outcome = agentless.Outcome
	// Error is why a run could not be made, or was lost.
	Error = agentless.Error
)

// Issue codes that only sudo has.
const (
	codeBadSudo = "BAD_PASSWORD"
	codeDenied  = "SUDO_DENIED"
	codeNoPass  = "NO_PASSWORD"
)
