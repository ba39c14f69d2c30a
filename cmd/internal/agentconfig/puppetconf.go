package agentconfig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/ini.v1"
)

// puppetConf is Puppet's configuration, as far as the agent needs it.
type puppetConf struct {
	file *ini.File
	path string // "": there is none
}

// readPuppetConf reads a file; without a path, the first that is there, or none.
func readPuppetConf(path, root string) (*puppetConf, error) {
	candidates := []string{path}
	if path == "" {
		candidates = []string{root + "/etc/puppetlabs/puppet/puppet.conf", root + "/etc/puppet/puppet.conf"}
	}
	for _, c := range candidates {
		f, err := ini.LoadSources(ini.LoadOptions{AllowBooleanKeys: true, SkipUnrecognizableLines: true, IgnoreContinuation: true, SpaceBeforeInlineComment: true}, c)
		if err == nil {
			return &puppetConf{f, c}, nil
		}
		if path != "" || !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("puppet-conf: %w", err)
		}
	}
	return &puppetConf{file: ini.Empty()}, nil
}

// value is what [agent] or else [main] says.
func (p *puppetConf) value(key string) string {
	for _, section := range [...]string{"agent", "main"} {
		if v := strings.TrimSpace(p.file.Section(section).Key(key).Value()); v != "" {
			return v
		}
	}
	return ""
}

// servers are the names and ports of the Puppet Servers, at least one.
func (p *puppetConf) servers() (all []server) {
	usual := p.value("serverport")
	for _, fallback := range [...]string{p.value("masterport"), "8140"} {
		if usual == "" {
			usual = fallback
		}
	}
	for _, item := range strings.Split(p.value("server_list"), ",") {
		name, port, _ := strings.Cut(strings.TrimSpace(item), ":")
		if port == "" {
			port = usual
		}
		if name != "" {
			all = append(all, server{name, port})
		}
	}
	if name := p.value("server"); all == nil && name != "" {
		all = []server{{name, usual}}
	}
	if all == nil {
		all = []server{{"puppet", usual}}
	}
	return all
}

type server struct{ name, port string }

// ssldir is what the file says, or where packages have it.
func (p *puppetConf) ssldir(root string) (string, error) {
	dir := p.value("ssldir")
	if dir == "" {
		const packaged = "/etc/puppetlabs/puppet/ssl"
		for _, c := range [...]string{packaged, "/var/lib/puppet/ssl"} {
			if _, err := os.Stat(root + c); err == nil {
				return root + c, nil
			}
		}
		return root + packaged, nil
	}
	for _, variable := range [...]string{"vardir", "confdir"} {
		if v := p.value(variable); v != "" {
			dir = strings.ReplaceAll(dir, "$"+variable, v)
		}
	}
	if strings.Contains(dir, "$") {
		return "", fmt.Errorf("puppet.conf has ssldir = %s: set ssldir in the agent's configuration", p.value("ssldir"))
	}
	return dir, nil
}

// findCertname prefers what puppet.conf says; then the name of the host, if
// there is such a certificate; then the only one with a key. A node that is not
// signed yet has none: the host's name then.
func findCertname(configured, ssldir string) (string, error) {
	if configured != "" {
		return configured, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("certname: %w", err)
	}
	host = strings.ToLower(host)
	keys, err := filepath.Glob(filepath.Join(ssldir, "private_keys", "*.pem"))
	if err != nil {
		return "", fmt.Errorf("certname: %w", err)
	}
	var names []string
	for _, key := range keys {
		name := filepath.Base(key)
		if _, err := os.Stat(filepath.Join(ssldir, "certs", name)); err != nil {
			continue
		}
		if name == host+".pem" {
			return host, nil
		}
		names = append(names, strings.TrimSuffix(name, ".pem"))
	}
	switch len(names) {
	case 0:
		return host, nil
	case 1:
		return names[0], nil
	}
	return "", fmt.Errorf("certname: %s has certificates of %s; say which is this node's", ssldir, strings.Join(names, ", "))
}
