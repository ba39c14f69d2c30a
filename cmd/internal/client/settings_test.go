package client_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/client"
)

// machine is a root directory and an environment to load settings from.
type machine struct {
	root string
	env  map[string]string
}

func newMachine(t *testing.T) *machine {
	root := t.TempDir()
	return &machine{root, map[string]string{"HOME": root + "/alice"}}
}

func (m *machine) write(t *testing.T, path, text string) string {
	t.Helper()
	path = filepath.Join(m.root, path)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func (m *machine) load(f client.Flags) (client.Settings, error) {
	return client.Load(client.Options{Flags: f, Getenv: func(k string) string { return m.env[k] }, Root: m.root})
}

func (m *machine) settings(t *testing.T, f client.Flags) client.Settings {
	t.Helper()
	s, err := m.load(f)
	require.NoError(t, err)
	return s
}

func TestPrecedence(t *testing.T) {
	m := newMachine(t)
	s := m.settings(t, client.Flags{})
	require.Equal(t, client.Settings{Config: client.Config{URLs: []string{client.DefaultURL}}, Origin: "the default"}, s)

	global := m.write(t, "etc/puppetlabs/client-tools/puppetdb.conf",
		`{"puppetdb": {"server_urls": "https://a:8081, https://b:8081", "cacert": "/ca", "cert": "/c", "key": "/k", "token_file": "`+m.write(t, "token", "global\n")+`"}}`)
	s = m.settings(t, client.Flags{})
	require.Equal(t, client.Config{URLs: []string{"https://a:8081", "https://b:8081"}, CA: "/ca", Cert: "/c", Key: "/k", Token: "global"}, s.Config)
	require.Equal(t, global, s.Origin)

	m.write(t, "alice/.puppetlabs/client-tools/puppetdb.conf", `{"puppetdb": {"server_urls": ["https://mine"], "cert": "/mc", "key": "/mk", "token": "mine"}}`)
	s = m.settings(t, client.Flags{})
	require.Equal(t, client.Config{URLs: []string{"https://mine"}, CA: "/ca", Cert: "/mc", Key: "/mk", Token: "mine"}, s.Config)

	m.env["DALANG_SERVER"] = "https://env"
	require.Empty(t, m.settings(t, client.Flags{}).Token)
	m.env["DALANG_TOKEN"] = "env"
	s = m.settings(t, client.Flags{CA: "/fca"})
	require.Equal(t, client.Config{URLs: []string{"https://env"}, CA: "/fca", Cert: "/mc", Key: "/mk", Token: "env"}, s.Config)
	require.Equal(t, "DALANG_SERVER", s.Origin)

	s = m.settings(t, client.Flags{Server: []string{"http://flag"}, Token: m.write(t, "t2", "flag")})
	require.Equal(t, []string{"http://flag"}, s.URLs)
	require.Equal(t, "flag", s.Token)
	require.Equal(t, "--server", s.Origin)
}

// TestFileTokenStaysPrivate: a token that a file brings along is not meant for
// a server in clear.
func TestFileTokenStaysPrivate(t *testing.T) {
	m := newMachine(t)
	m.write(t, "alice/.puppetlabs/client-tools/puppetdb.conf", `{"puppetdb": {"server_urls": ["http://db.example.com:8080"], "token": "mine"}}`)
	require.Empty(t, m.settings(t, client.Flags{}).Token)
	m.write(t, "alice/.puppetlabs/client-tools/puppetdb.conf", `{"puppetdb": {"server_urls": ["http://127.0.0.1:8080"], "token": "mine"}}`)
	require.Equal(t, "mine", m.settings(t, client.Flags{}).Token)
}

func TestTermini(t *testing.T) {
	m := newMachine(t)
	conf := m.write(t, "etc/puppetlabs/puppet/puppetdb.conf", "[main]\nserver_urls = https://db1:8081,https://db2:8081 \nsoft_write_failure = true\n")
	s := m.settings(t, client.Flags{})
	require.Equal(t, "the default", s.Origin)
	require.Len(t, s.Notes, 1)
	require.Contains(t, s.Notes[0], conf+" was left out: no certificate of ")

	m.write(t, "etc/puppetlabs/puppet/puppet.conf", "[main]\ncertname = node1.example.com\n")
	cert := m.write(t, "etc/puppetlabs/puppet/ssl/certs/node1.example.com.pem", "")
	key := m.write(t, "etc/puppetlabs/puppet/ssl/private_keys/node1.example.com.pem", "")
	s = m.settings(t, client.Flags{})
	require.Equal(t, client.Settings{Origin: conf, Config: client.Config{
		URLs: []string{"https://db1:8081", "https://db2:8081"}, Cert: cert, Key: key, CA: filepath.Join(m.root, "etc/puppetlabs/puppet/ssl/certs/ca.pem"),
	}}, s)

	// Who names a server does not get the node's certificates for it.
	require.Empty(t, m.settings(t, client.Flags{Server: []string{"https://other"}}).Cert)

	// Debian's places, the old spelling, and the host's name in full.
	m = newMachine(t)
	host, err := os.Hostname()
	require.NoError(t, err)
	m.write(t, "etc/puppet/puppetdb.conf", "[main]\nserver = db\n")
	m.write(t, "var/lib/puppet/ssl/certs/"+host+".example.com.pem", "")
	key = m.write(t, "var/lib/puppet/ssl/private_keys/"+host+".example.com.pem", "")
	s = m.settings(t, client.Flags{})
	require.Equal(t, []string{"https://db:8081"}, s.URLs)
	require.Equal(t, key, s.Key)
}

// TestTerminiByName: --client-config takes the termini's file, which is read by
// itself when nothing is named.
func TestTerminiByName(t *testing.T) {
	m := newMachine(t)
	conf := m.write(t, "elsewhere/puppetdb.conf", "# ours\n[main]\nserver_urls = https://db1:8081,https://db2:8081\n")
	_, err := m.load(client.Flags{File: conf})
	require.ErrorContains(t, err, conf+": the node's certificate goes with it, or one named by --cert and --key: ")
	s := m.settings(t, client.Flags{File: conf, Cert: "/c", Key: "/k"})
	require.Equal(t, client.Settings{Origin: conf, Config: client.Config{URLs: []string{"https://db1:8081", "https://db2:8081"}, Cert: "/c", Key: "/k"}}, s)

	m.write(t, "etc/puppet/puppet.conf", "[main]\ncertname = node1\n")
	cert := m.write(t, "etc/puppet/ssl/certs/node1.pem", "")
	key := m.write(t, "etc/puppet/ssl/private_keys/node1.pem", "")
	s = m.settings(t, client.Flags{File: conf})
	require.Equal(t, []string{cert, key, filepath.Join(m.root, "etc/puppet/ssl/certs/ca.pem")}, []string{s.Cert, s.Key, s.CA})
	require.Equal(t, conf, s.Origin)

	s = m.settings(t, client.Flags{File: m.write(t, "clear.conf", "[main]\nserver_urls = http://127.0.0.1:8080\n")})
	require.Equal(t, []string{"http://127.0.0.1:8080"}, s.URLs)
	require.Empty(t, s.Cert)
}

func TestBadFiles(t *testing.T) {
	m := newMachine(t)
	_, err := m.load(client.Flags{File: m.root + "/none"})
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = m.load(client.Flags{Token: m.root + "/none"})
	require.ErrorContains(t, err, "read token")
	_, err = m.load(client.Flags{Token: m.write(t, "empty", "\n")})
	require.ErrorContains(t, err, "holds no token")
	_, err = m.load(client.Flags{File: m.write(t, "bad", "[main]")})
	require.ErrorContains(t, err, "want JSON such as")
	require.ErrorContains(t, err, "or server_urls in [main] as the termini's puppetdb.conf has it: no server is named there")
	_, err = m.load(client.Flags{File: m.write(t, "bad2", `{"puppetdb": {"server_urls": 5}}`)})
	require.ErrorContains(t, err, "want JSON such as")
	s := m.settings(t, client.Flags{File: m.write(t, "empty.conf", `{}`)})
	require.Equal(t, "the default", s.Origin)
}
