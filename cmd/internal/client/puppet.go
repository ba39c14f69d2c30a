package client

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/ini.v1"
)

// urlList is server_urls: a list, or a text with commas.
type urlList []string

func (l *urlList) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err == nil {
		*l = split(text)
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}

// addFile adds what a file says that somebody named: one of puppet-query, which
// is a JSON object, or one of the termini, which is none.
func (o Options) addFile(s *Settings, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read client configuration: %w", err)
	}
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return addClientTools(s, path)
	}
	urls, err := terminiURLs(path)
	if err != nil || len(urls) == 0 {
		return fmt.Errorf("%s: want %s, or server_urls in [main] as the termini's puppetdb.conf has it: %w", path, jsonForm, cmp.Or(err, errNoServer))
	}
	if s.Cert != "" || !needsCertificate(urls) {
		s.add(urls, "", "", "", path)
		return nil
	}
	// The node's certificates lie beside the file, or where Puppet has them.
	var cert, key, ca string
	for _, dir := range append([]string{filepath.Dir(path)}, o.confDirs()...) {
		if cert, key, ca, err = o.nodeCertificates(dir); err == nil {
			s.add(urls, cert, key, ca, path)
			return nil
		}
	}
	return fmt.Errorf("%s: the node's certificate goes with it, or one named by --cert and --key: %w", path, err)
}

func needsCertificate(urls []string) bool {
	return slices.ContainsFunc(urls, func(u string) bool { return strings.HasPrefix(strings.ToLower(u), "https:") })
}

var errNoServer = errors.New("no server is named there")

const jsonForm = `JSON such as {"puppetdb": {"server_urls": ["https://…:8081"]}}`

// addClientTools adds what a file of puppet-query says.
func addClientTools(s *Settings, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read client configuration: %w", err)
	}
	var file struct {
		PuppetDB struct {
			URLs      urlList `json:"server_urls"`
			CA        string  `json:"cacert"`
			Cert      string  `json:"cert"`
			Key       string  `json:"key"`
			Token     string  `json:"token"`
			TokenFile string  `json:"token_file"`
		} `json:"puppetdb"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return fmt.Errorf("%s: want %s: %w", path, jsonForm, err)
	}
	p := file.PuppetDB
	s.add(p.URLs, p.Cert, p.Key, p.CA, path)
	if s.Token != "" || s.named() || s.cleartext() {
		return nil
	}
	s.Token = p.Token
	if s.Token == "" && p.TokenFile != "" {
		s.Token, err = readToken(p.TokenFile)
	}
	return err
}

// termini adds what the termini's puppetdb.conf says, with the node's
// certificates.
func (o Options) termini(s *Settings) error {
	for _, dir := range o.confDirs() {
		path := filepath.Join(dir, "puppetdb.conf")
		urls, err := terminiURLs(path)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			s.Notes = append(s.Notes, fmt.Sprintf("%s was left out: %s", path, err))
			continue
		}
		if len(urls) == 0 {
			continue
		}
		cert, key, ca, err := o.nodeCertificates(dir)
		if err != nil {
			s.Notes = append(s.Notes, fmt.Sprintf("%s was left out: %s", path, err))
			continue
		}
		s.add(urls, cert, key, ca, path)
		return nil
	}
	return nil
}

// terminiURLs are the servers that a puppetdb.conf of the termini names.
func terminiURLs(path string) ([]string, error) {
	file, err := ini.LoadSources(iniOptions(), path)
	if err != nil {
		return nil, err
	}
	main := file.Section("main")
	urls := split(main.Key("server_urls").String())
	if host := main.Key("server").String(); len(urls) == 0 && host != "" {
		urls = []string{"https://" + host + ":" + main.Key("port").MustString("8081")}
	}
	return urls, nil
}

func iniOptions() ini.LoadOptions {
	return ini.LoadOptions{IgnoreInlineComment: true, SkipUnrecognizableLines: true, Loose: false}
}

// confDirs are Puppet's configuration directories: the user's, that of
// Puppet's packages, Debian's.
func (o Options) confDirs() []string {
	list := []string{o.Root + "/etc/puppetlabs/puppet", o.Root + "/etc/puppet"}
	if home := o.Getenv("HOME"); home != "" {
		list = append([]string{filepath.Join(home, ".puppetlabs/etc/puppet")}, list...)
	}
	return list
}

// nodeCertificates finds the node's own certificate, its key and the CA.
func (o Options) nodeCertificates(dir string) (cert, key, ca string, err error) {
	name, ssl := "", ""
	if file, err := ini.LoadSources(iniOptions(), filepath.Join(dir, "puppet.conf")); err == nil {
		for _, section := range []string{"user", "agent", "main"} {
			if v := file.Section(section).Key("certname").String(); name == "" {
				name = v
			}
			if v := file.Section(section).Key("ssldir").String(); ssl == "" && !strings.Contains(v, "$") {
				ssl = v
			}
		}
	}
	if name == "" {
		if name, err = os.Hostname(); err != nil {
			return "", "", "", err
		}
	}
	dirs := []string{filepath.Join(dir, "ssl"), o.Root + "/var/lib/puppet/ssl"}
	if ssl != "" {
		dirs = []string{ssl}
	}
	for _, d := range dirs {
		cert, key, err = pairIn(d, name)
		if err == nil {
			return cert, key, filepath.Join(d, "certs/ca.pem"), nil
		}
	}
	return "", "", "", err
}

// pairIn finds a certificate in an ssl directory: the node's, by its whole name
// or by the host's short one.
func pairIn(dir, name string) (cert, key string, err error) {
	cert = filepath.Join(dir, "certs", name+".pem")
	if _, err := os.Stat(cert); err != nil {
		list, _ := filepath.Glob(filepath.Join(dir, "certs", name+".*.pem")) // the pattern is well-formed, or finds nothing
		if len(list) != 1 {
			return "", "", fmt.Errorf("no certificate of %s in %s", name, dir)
		}
		cert = list[0]
	}
	key = filepath.Join(dir, "private_keys", filepath.Base(cert))
	f, err := os.Open(key)
	if err != nil {
		return "", "", err
	}
	return cert, key, f.Close()
}
