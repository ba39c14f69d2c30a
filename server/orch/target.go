package orch

import (
	"crypto/x509"
	"encoding/json"
	"math"
	"regexp"
	"strings"

	"dalang/orchestrator/job"
	"dalang/orchestrator/ssh"
)

// The ways to nodes without an agent.
const (
	overSSH   = "ssh"
	overWinRM = "winrm"
)

// transport is a member that names a way to nodes without an agent.
func (o *object) transport(key string) string {
	kind := o.oneOf(key, overSSH, overWinRM)
	if kind == nil {
		o.wrong(key, "ssh or winrm", "missing")
		return ""
	}
	return *kind
}

// connection reads how to log in over ssh or winrm. No password or key of it is
// ever shown.
func (o *object) connection(transport string) job.Connection {
	secret := func(key string) string { return o.str(key, "") }
	number := func(key string, most int64) int {
		if n := o.between(key, 1, most); n != nil {
			return int(*n)
		}
		return 0
	}
	c := job.Connection{
		Hostname: o.str("hostname", ""), User: o.str("user", ""), Password: secret("password"), PrivateKey: secret("private-key-content"),
		Port: number("port", math.MaxUint16), RunAs: o.str("run-as", ""), SudoPassword: secret("sudo-password"),
		RunAsCommand: o.words("run-as-command"), ConnectTimeout: number("connect-timeout", 3600), TTY: o.yes("tty"),
		TmpDir: o.str("tmpdir", ""), Extensions: o.words("extensions"), HostKeyCheck: o.flag("host-key-check"),
	}
	if transport == overWinRM {
		c.SSL, c.SSLVerify, c.CACert = o.flag("ssl"), o.flag("ssl-verify"), o.str("cacert", "")
	}
	o.checkTmpDir(transport, c.TmpDir)
	if c.CACert != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(c.CACert)) {
		o.wrong("cacert", "a certificate in PEM", "something else")
	}
	for extension, program := range o.values("interpreters") {
		var path string
		if json.Unmarshal(program, &path) != nil || path == "" {
			o.wrong("interpreters."+shortened(extension), "the path of a program", what(program))
		}
		if c.Interpreters == nil {
			c.Interpreters = map[string]string{}
		}
		c.Interpreters[extension] = path
	}
	return c
}

var windowsPath = regexp.MustCompile(`\A([A-Za-z]:\\|\\\\)[^"%\x00-\x1f]*\z`)

// checkTmpDir wants a path of the target's system.
func (o *object) checkTmpDir(transport, path string) {
	switch {
	case path == "":
	case transport == overWinRM:
		if !windowsPath.MatchString(path) {
			o.wrongValue("tmpdir", `an absolute path of Windows without quotes and %`, quoted(path))
		}
	case !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "\x00\n"):
		o.wrongValue("tmpdir", "an absolute path", quoted(path))
	}
}

// checkLogin wants a user, and a password or a key. Over winrm there are no
// keys, and nobody else to act as: what asks for that must not run as another
// than it says.
func (o *object) checkLogin(transport string, c *job.Connection) {
	switch {
	case c.User == "":
		o.wrong("user", "the name of a user", "missing")
	case strings.HasPrefix(c.User, "-") || strings.ContainsAny(c.User, "\x00\n"):
		o.wrongValue("user", "the name of a user", quoted(c.User))
	case transport == overWinRM:
		o.checkWinRM(c)
	case strings.HasPrefix(c.RunAs, "-") || strings.ContainsAny(c.RunAs, "\x00\n"):
		o.wrongValue("run-as", "the name of a user", quoted(c.RunAs))
	case c.Password == "" && c.PrivateKey == "":
		o.wrong("password", "given, or private-key-content", "missing")
	case c.Password != "" && c.PrivateKey != "":
		o.wrong("private-key-content", "left out where password is given", "given")
	case strings.Contains(c.PrivateKey, "-----BEGIN"): // what does not even look like one errs at the node: the documentation's "<SSH_KEY>" is taken
		if err := ssh.CheckKey(c.PrivateKey); err != nil {
			o.wrong("private-key-content", "a private key in PEM or in OpenSSH's form, without a passphrase", err.Error())
		}
	}
}

func (o *object) checkWinRM(c *job.Connection) {
	for _, not := range []struct {
		key   string
		given bool
	}{
		{"private-key-content", c.PrivateKey != ""}, {"run-as", c.RunAs != ""}, {"sudo-password", c.SudoPassword != ""}, {"run-as-command", len(c.RunAsCommand) > 0},
	} {
		if not.given {
			o.wrong(not.key, "left out over winrm, which has no such thing", "given")
		}
	}
	if c.Password == "" {
		o.wrong("password", "given", "missing")
	}
}

// words is a member that is a list of words, or a string with blanks between them.
func (o *object) words(key string) []string {
	if raw := o.members[key]; what(raw) == "a string" {
		return strings.Fields(o.str(key, ""))
	}
	list, _ := o.names(key, 100)
	return list
}
