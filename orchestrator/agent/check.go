package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// Config is the configuration with its defaults.
func (a *Agent) Config() Config { return a.cfg }

// Check tells what keeps an agent of this configuration from its work, as far
// as this node alone can tell: a problem a line, each after the name of its
// setting. It changes nothing, and may be called while the agent runs.
func (a *Agent) Check() error {
	c := &a.cfg
	problems := []error{c.checkFiles()}
	if slices.Contains(c.Modules, "pxp-module-puppet") || slices.Contains(c.Modules, "apply") {
		problems = append(problems, program("puppet", c.Settings.Puppet))
	}
	for _, extension := range slices.Sorted(maps.Keys(c.Settings.Interpreters)) {
		problems = append(problems, program("interpreters: "+extension, c.Settings.Interpreters[extension]))
	}
	if err := writable(c.Data); err != nil {
		problems = append(problems, fmt.Errorf("data: %w", err))
	}
	return errors.Join(problems...)
}

func program(setting, path string) error {
	if _, err := exec.LookPath(path); err != nil {
		return fmt.Errorf("%s: %w", setting, err)
	}
	return nil
}

// checkFiles looks at each file by itself, so that all that are missing are
// told, and at whether they fit together only when all are there.
func (c *Config) checkFiles() error {
	files := c.Settings.Files
	var missing []error
	for _, f := range []struct{ setting, path string }{{"ssl-cert", files.Cert}, {"ssl-key", files.Key}, {"ssl-ca-cert", files.CA}} {
		if _, err := os.ReadFile(f.path); err != nil {
			missing = append(missing, fmt.Errorf("%s: %w", f.setting, err))
		}
	}
	if missing != nil {
		return errors.Join(missing...)
	}
	if _, err := files.Client(); err != nil {
		return err
	}
	return c.checkValidity()
}

// checkValidity wants a certificate that is valid now.
func (c *Config) checkValidity() error {
	cert, err := c.Settings.Files.Certificate()
	switch now := c.Now(); {
	case err != nil:
		return fmt.Errorf("ssl-cert: %w", err)
	case now.After(cert.NotAfter):
		return fmt.Errorf("ssl-cert: the certificate was good until %s", cert.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(cert.NotBefore):
		return fmt.Errorf("ssl-cert: the certificate is not good before %s", cert.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

// writable tells whether a directory can be written, or made.
func writable(dir string) error {
	const writeAndSearch = 2 | 1
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at):
			continue
		case err != nil:
			return err
		case !info.IsDir():
			return fmt.Errorf("%s is no directory", at)
		}
		if err := syscall.Access(at, writeAndSearch); err != nil {
			return fmt.Errorf("%s cannot be written: %w", at, err)
		}
		return nil
	}
}
