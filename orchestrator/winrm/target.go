package winrm

import (
	"errors"
	"fmt"
	"time"
)

// Target is how to reach a host and as whom to act there.
type Target struct {
	Host         string
	Port         int // default 5986, or 5985 without TLS
	User         string
	Password     string
	NoTLS        bool              // HTTP, with NTLM: the messages are not encrypted
	Insecure     bool              // do not check the server's certificate
	CACert       []byte            // PEM; nil: the system's
	TmpDir       string            // default: what Windows says
	Interpreters map[string]string // extension, with or without a dot, to program
	Extensions   []string          // of files that Windows runs by itself

	ConnectTimeout time.Duration // default 10 s
}

const (
	portTLS               = 5986
	portPlain             = 5985
	defaultConnectTimeout = 10 * time.Second
)

func (t Target) withDefaults() Target {
	if t.Port == 0 {
		t.Port = portTLS
		if t.NoTLS {
			t.Port = portPlain
		}
	}
	if t.ConnectTimeout <= 0 {
		t.ConnectTimeout = defaultConnectTimeout
	}
	return t
}

// Check tells what is missing.
func (t Target) Check() error {
	switch {
	case t.Host == "":
		return errors.New("winrm: a target needs a host")
	case t.User == "" || t.Password == "":
		return fmt.Errorf("winrm: the target %s needs a user and a password", t.Host)
	}
	return nil
}
