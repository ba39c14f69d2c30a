package agentconfig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/agent"
	"dalang/orchestrator/agent/action"
)

func write(t *testing.T, path, content string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	return path
}

func TestDefaults(t *testing.T) {
	host, err := os.Hostname()
	require.NoError(t, err)
	root := t.TempDir()
	c, err := Load(Options{Root: root})
	require.NoError(t, err)
	require.Equal(t, []string{"wss://puppet:8142/pcp2/"}, c.Brokers)
	require.Equal(t, []string{"https://puppet:8140"}, c.Settings.PrimaryURIs)
	require.Equal(t, "/var/lib/dalang-agent", c.Data)
	ssl := root + "/etc/puppetlabs/puppet/ssl"
	require.Equal(t, ssl+"/certs/"+strings.ToLower(host)+".pem", c.Settings.Files.Cert)
	require.Equal(t, ssl+"/private_keys/"+strings.ToLower(host)+".pem", c.Settings.Files.Key)
	require.Equal(t, ssl+"/certs/ca.pem", c.Settings.Files.CA)
	require.Equal(t, ssl+"/crl.pem", c.Settings.Files.CRL)
	require.Nil(t, c.Modules)
	require.Empty(t, c.PuppetConf)
	require.Equal(t, ssl, c.SSLDir)
	_, err = agent.New(c.Config)
	require.NoError(t, err)
}

func TestPuppetConf(t *testing.T) {
	for name, c := range map[string]struct {
		conf  string
		files []string // below ssldir
		cert  string   // below ssldir
		host  string
		uris  []string // nil: host's, with the usual port
		wrong string
	}{
		"main":           {conf: "[main]\ncertname = a.example.com\nserver = p.example.com # ours\n", cert: "certs/a.example.com.pem", host: "p.example.com"},
		"agent first":    {conf: "[main]\ncertname=a\nserver=p\n[agent]\ncertname=b\nserver=q\nnoop\n", cert: "certs/b.pem", host: "q"},
		"server list":    {conf: "[main]\ncertname=a\nserver_list = x:8140, y\nserver=z\n", cert: "certs/a.pem", host: "x", uris: []string{"https://x:8140", "https://y:8140"}},
		"ports":          {conf: "[main]\ncertname=a\nserver_list = x, y:8141\nserverport = 9140\n", cert: "certs/a.pem", host: "x", uris: []string{"https://x:9140", "https://y:8141"}},
		"server's port":  {conf: "[main]\ncertname=a\nserver = p\nmasterport = 1\n[agent]\nserverport = 9140\n", cert: "certs/a.pem", host: "p", uris: []string{"https://p:9140"}},
		"old name":       {conf: "[main]\ncertname=a\nserver = p\nmasterport = 9140\n", cert: "certs/a.pem", host: "p", uris: []string{"https://p:9140"}},
		"only one":       {conf: "", files: []string{"certs/ca.pem", "certs/n.pem", "private_keys/n.pem", "private_keys/old.pem"}, cert: "certs/n.pem", host: "puppet"},
		"which":          {conf: "", files: []string{"certs/n.pem", "private_keys/n.pem", "certs/m.pem", "private_keys/m.pem"}, wrong: "has certificates of m, n; say which"},
		"unclear ssldir": {conf: "[main]\nssldir = $vardir/ssl\n", wrong: "puppet.conf has ssldir = $vardir/ssl"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			ssl := root + "/var/lib/puppet/ssl"
			require.NoError(t, os.MkdirAll(ssl, 0o755))
			write(t, root+"/etc/puppet/puppet.conf", c.conf)
			for _, f := range c.files {
				write(t, filepath.Join(ssl, f), "x")
			}
			got, err := Load(Options{Root: root})
			if c.wrong != "" {
				require.ErrorContains(t, err, c.wrong)
				return
			}
			require.NoError(t, err)
			require.Equal(t, filepath.Join(ssl, c.cert), got.Settings.Files.Cert)
			require.Equal(t, []string{"wss://" + c.host + ":8142/pcp2/"}, got.Brokers)
			if c.uris == nil {
				c.uris = []string{"https://" + c.host + ":8140"}
			}
			require.Equal(t, c.uris, got.Settings.PrimaryURIs)
		})
	}
	root := t.TempDir()
	conf := write(t, root+"/p.conf", "[main]\nvardir=/v\nssldir=$vardir/ssl\ncertname=a\n")
	c, err := Load(Options{Root: root, Set: []string{"puppet-conf=" + conf}})
	require.NoError(t, err)
	require.Equal(t, "/v/ssl/certs/a.pem", c.Settings.Files.Cert)
	_, err = Load(Options{Root: root, Set: []string{"puppet-conf=" + conf + "x"}})
	require.ErrorContains(t, err, "puppet-conf: open")
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	crl := write(t, dir+"/crl", "")
	path := write(t, dir+"/agent.ini", `# all
[agent]
brokers = wss://a:8142/pcp2/, wss://b:8142/pcp2/
primary-uris = https://a:8140,https://b:8140/
data = /d
modules = pxp-module-puppet, task
controllers = x, y
puppet = /p
ssl-cert = /c
ssl-key = /k
ssl-ca-cert = /ca
ssl-crl = `+crl+`
max-runs = 3
timeout = 5m
kill-grace = 1s
max-output = 1MiB
download-paths = /files/
interpreters = .rb=/usr/bin/ruby
keep = 1d
certname = n
ssldir = /s
puppet-conf = `+write(t, dir+"/puppet.conf", "")+`
`)
	c, err := Load(Options{Path: path, Root: dir, Set: []string{"max-runs=4"}})
	require.NoError(t, err)
	want := agent.Config{
		Brokers: []string{"wss://a:8142/pcp2/", "wss://b:8142/pcp2/"}, Data: "/d", Modules: []string{"pxp-module-puppet", "task"},
		Controllers: []string{"x", "y"}, MaxRuns: 4, Keep: 24 * time.Hour,
		Settings: action.Settings{
			Puppet: "/p", PrimaryURIs: []string{"https://a:8140", "https://b:8140/"}, DownloadPaths: []string{"/files/"},
			Interpreters: map[string]string{".rb": "/usr/bin/ruby"}, Timeout: 5 * time.Minute, Grace: time.Second, MaxOutput: 1 << 20,
		},
	}
	want.Settings.Files.Cert, want.Settings.Files.Key, want.Settings.Files.CA, want.Settings.Files.CRL = "/c", "/k", "/ca", crl
	require.Equal(t, Loaded{want, dir + "/puppet.conf", "/s"}, c)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, k := range Keys() {
		require.Contains(t, string(text), "\n"+k.Name+" = ", "this test covers all keys")
	}
}

func TestMistakes(t *testing.T) {
	path := write(t, t.TempDir()+"/agent.ini", `[agent]
broker = x
timeout = soon
modules = tusk
max-runs = 0
primary-uris = http://a
interpreters = ruby
max-output = much
keep = 0s
[other]
a = b
`)
	_, err := Load(Options{Path: path, Set: []string{"x", "y=1"}, Root: t.TempDir()})
	for _, want := range []string{
		path + ":2: unknown setting broker; there are brokers, certname",
		path + `:3: timeout: "soon" is not a duration`, path + `:4: modules: there is no module "tusk"; there are apply, command`,
		path + `:5: max-runs: "0" is not a number from 1 on`, path + `:6: primary-uris: "http://a" is not https://host:port`,
		path + `:7: interpreters: "ruby" is not .extension=/path`, path + ":8: max-output", path + ":9: keep: it must be more than nothing",
		path + ":11: unknown section [other]; there is [agent]", "--set x: want key=value", "--set y=1: unknown setting y",
	} {
		require.ErrorContains(t, err, want)
	}
	_, err = Load(Options{Path: path + "x"})
	require.ErrorContains(t, err, "no such file")
	_, err = Load(Options{Root: t.TempDir(), Set: []string{"ssl-crl=/no/such"}})
	require.ErrorContains(t, err, "ssl-crl: stat /no/such")
	c, err := Load(Options{Root: t.TempDir(), Set: []string{"modules=none"}})
	require.NoError(t, err)
	require.Equal(t, []string{}, c.Modules)
	c, err = Load(Options{Root: t.TempDir(), Set: []string{"modules=all"}})
	require.NoError(t, err)
	require.Equal(t, action.Modules(), c.Modules)
}
