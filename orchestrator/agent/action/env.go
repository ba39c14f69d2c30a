package action

import (
	"os"
	"os/user"
	"slices"
	"strings"
)

// Environment picks from environ what runs may see: nothing that the service
// manager or an operator's shell put there for the agent alone.
func Environment(environ []string) []string {
	var env []string
	for _, pair := range environ {
		if name, _, _ := strings.Cut(pair, "="); passed(name) {
			env = append(env, pair)
		}
	}
	if lookup(env, "PATH") == "" {
		env = append(env, "PATH=/opt/puppetlabs/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	if lookup(env, "HOME") == "" {
		env = append(env, home()...)
	}
	return env
}

func passed(name string) bool {
	switch strings.ToLower(name) {
	case "http_proxy", "https_proxy", "no_proxy":
		return true
	}
	switch name {
	case "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR":
		return true
	}
	return strings.HasPrefix(name, "LC_")
}

// home is who we are, for programs that ask; services are started without it.
func home() []string {
	u, err := user.Current()
	if err != nil {
		return nil // then they have to do without
	}
	return []string{"HOME=" + u.HomeDir, "USER=" + u.Username, "LOGNAME=" + u.Username}
}

// lookup finds the last value of a variable.
func lookup(env []string, name string) string {
	for _, pair := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

// puppetEnvironment has Puppet read files as UTF-8 where no locale says so.
func puppetEnvironment() []string {
	env := Environment(os.Environ())
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		switch value := lookup(env, name); value {
		case "":
			continue
		case "C", "POSIX":
			return append(env, "RUBYOPT=-EUTF-8")
		default:
			return env
		}
	}
	return append(env, "RUBYOPT=-EUTF-8")
}
