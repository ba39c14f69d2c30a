// Package agentconfig is what `dalang agent` can be told: the keys of its file,
// their defaults, and what it takes from Puppet's own configuration.
package agentconfig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"dalang/cmd/internal/config"
	"dalang/orchestrator/agent"
	"dalang/orchestrator/agent/action"
)

// Section is the one section of the file.
const Section = "agent"

// Options is where settings come from. All may be empty.
type Options struct {
	Path string   // a file, or a directory of *.ini files
	Set  []string // key=value, which override the file
	// Root is put before the paths where Puppet's configuration is looked for
	// when it is not given; for tests.
	Root string
}

// Key is one setting.
type Key struct {
	Name, Default, Help string
	set                 func(l *loading, value string) error
}

// loading is a configuration that is being put together.
type loading struct {
	agent.Config
	puppetConf, ssldir, certname string
	explicit                     map[string]bool
}

// Keys lists all settings.
func Keys() []Key {
	return []Key{
		{"brokers", "wss://<server of puppet.conf>:8142/pcp2/", "URLs of brokers, separated by commas; tried in turn", func(l *loading, v string) error { l.Brokers = list(v); return nil }},
		{"primary-uris", "https://<server of puppet.conf>:<serverport>", "servers to fetch files of tasks and scripts from, separated by commas", setURIs},
		{"data", "/var/lib/dalang-agent", "directory of spool and cache", text(func(l *loading) *string { return &l.Data })},
		{"modules", "all", "what may be run: " + strings.Join(action.Modules(), ", ") + "; or none", setModules},
		{"controllers", "all that the broker lets", "certnames that may ask for runs, separated by commas", func(l *loading, v string) error { l.Controllers = list(v); return nil }},
		{"puppet", "/opt/puppetlabs/bin/puppet, or that of PATH", "path of puppet", text(func(l *loading) *string { return &l.Settings.Puppet })},
		{"puppet-conf", "/etc/puppetlabs/puppet/puppet.conf, /etc/puppet/puppet.conf", "file to take certname, ssldir and server from", text(func(l *loading) *string { return &l.puppetConf })},
		{"certname", "that of puppet.conf, the host's name, or the one with a key in ssldir", "name of this node's certificate", text(func(l *loading) *string { return &l.certname })},
		{"ssldir", "that of puppet.conf; /etc/puppetlabs/puppet/ssl, /var/lib/puppet/ssl", "directory of Puppet's certificates", text(func(l *loading) *string { return &l.ssldir })},
		{"ssl-cert", "<ssldir>/certs/<certname>.pem", "certificate of this node", text(func(l *loading) *string { return &l.Settings.Files.Cert })},
		{"ssl-key", "<ssldir>/private_keys/<certname>.pem", "its key", text(func(l *loading) *string { return &l.Settings.Files.Key })},
		{"ssl-ca-cert", "<ssldir>/certs/ca.pem", "certificate of the CA", text(func(l *loading) *string { return &l.Settings.Files.CA })},
		{"ssl-crl", "<ssldir>/crl.pem, if it is there", "revocation lists", text(func(l *loading) *string { return &l.Settings.Files.CRL })},
		{"max-runs", "32", "runs at a time", setNumber},
		{"timeout", "what the request says, else 1h", "how long a task, command, script or download may take at most", setDuration("timeout")},
		{"kill-grace", "10s", "between SIGTERM and SIGKILL when it takes longer", setDuration("kill-grace")},
		{"max-output", "16MiB", "what it may write to standard output, and to standard error", setSize},
		{"download-paths", "/puppet/v3/file_content/, /puppet/v3/static_file_content/", "where files may be fetched from: beginnings of paths on the servers", func(l *loading, v string) error { l.Settings.DownloadPaths = list(v); return nil }},
		{"interpreters", "by #!", "programs for kinds of files: .rb=/usr/bin/ruby, .py=/usr/bin/python3", setInterpreters},
		{"keep", "14d", "how long ended runs are remembered, and unused files kept", setDuration("keep")},
	}
}

// Loaded is a configuration, and what of Puppet's it was made with.
type Loaded struct {
	agent.Config
	PuppetConf string // "": there is none
	SSLDir     string
}

// Load makes the configuration of the agent. The error tells all mistakes, a
// line each.
func Load(o Options) (Loaded, error) {
	l := &loading{explicit: map[string]bool{}}
	var errs []error
	if o.Path != "" {
		errs = append(errs, l.file(o.Path))
	}
	for _, pair := range o.Set {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			errs = append(errs, fmt.Errorf("--set %s: want key=value", pair))
			continue
		}
		errs = append(errs, l.apply("--set "+pair, strings.TrimSpace(key), strings.TrimSpace(value)))
	}
	if err := errors.Join(errs...); err != nil {
		return Loaded{}, err
	}
	err := l.derive(o.Root)
	return Loaded{l.Config, l.puppetConf, l.ssldir}, err
}

func (l *loading) file(path string) error {
	settings, err := config.Settings(path)
	errs := []error{err}
	for _, s := range settings {
		if s.Section != Section {
			errs = append(errs, fmt.Errorf("%s: unknown section [%s]; there is [%s]", s.At, s.Section, Section))
			continue
		}
		errs = append(errs, l.apply(s.At, s.Key, s.Value))
	}
	return errors.Join(errs...)
}

// apply sets one key; at is where it was given.
func (l *loading) apply(at, name, value string) error {
	keys := Keys()
	i := slices.IndexFunc(keys, func(k Key) bool { return k.Name == name })
	if i < 0 {
		var known []string
		for _, k := range keys {
			known = append(known, k.Name)
		}
		slices.Sort(known)
		return fmt.Errorf("%s: unknown setting %s; there are %s", at, name, strings.Join(known, ", "))
	}
	l.explicit[name] = true
	if err := keys[i].set(l, value); err != nil {
		return fmt.Errorf("%s: %s: %w", at, name, err)
	}
	return nil
}

// derive fills in what Puppet's configuration knows.
func (l *loading) derive(root string) error {
	p, err := readPuppetConf(l.puppetConf, root)
	if err != nil {
		return err
	}
	l.puppetConf = p.path
	if l.ssldir == "" {
		if l.ssldir, err = p.ssldir(root); err != nil {
			return err
		}
	}
	f := &l.Settings.Files
	if f.Cert == "" || f.Key == "" {
		if l.certname == "" {
			if l.certname, err = findCertname(p.value("certname"), l.ssldir); err != nil {
				return err
			}
		}
		orText(&f.Cert, filepath.Join(l.ssldir, "certs", l.certname+".pem"))
		orText(&f.Key, filepath.Join(l.ssldir, "private_keys", l.certname+".pem"))
	}
	orText(&f.CA, filepath.Join(l.ssldir, "certs", "ca.pem"))
	if l.explicit["ssl-crl"] && f.CRL != "" {
		if _, err := os.Stat(f.CRL); err != nil {
			return fmt.Errorf("ssl-crl: %w", err)
		}
	}
	orText(&f.CRL, filepath.Join(l.ssldir, "crl.pem"))
	orText(&l.Data, "/var/lib/dalang-agent")
	servers := p.servers()
	if l.Brokers == nil {
		l.Brokers = []string{"wss://" + servers[0].name + ":8142/pcp2/"}
	}
	if l.Settings.PrimaryURIs == nil {
		for _, s := range servers {
			l.Settings.PrimaryURIs = append(l.Settings.PrimaryURIs, "https://"+s.name+":"+s.port)
		}
	}
	return nil
}

func orText(v *string, fallback string) {
	if *v == "" {
		*v = fallback
	}
}
