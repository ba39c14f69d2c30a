//go:build acceptance

package acceptance

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/dalangtest"
)

// world is a server, the agents of three nodes, and a Puppet Server, or none.
type world struct {
	ca        *dalangtest.Authority
	server    *dalang
	pcp       string // address of the agents' listener
	compile   string // address of the Puppet Server; "": there is none
	code      string // Puppet's code directory
	cert, key string // of the operator
	service   *service
	database  *database
}

// nodes are those whose agents run.
func nodes() []string {
	return []string{"changes.example.com", "fails.example.com", "looks.example.com"}
}

// newWorld starts all with a Puppet Server; args are added to the server's
// command line.
func newWorld(t *testing.T, args ...string) *world {
	t.Helper()
	w := prepare(t)
	installed(t, "/usr/share/puppetserver/puppetserver.jar", "puppetserver")
	w.compile = dalangtest.FreeAddress(t)
	w.startServer(t, append(args, "--set", "orchestrator.puppetserver=https://localhost:"+port(w.compile))...)
	w.startPuppetServer(t)
	w.startAgents(t)
	return w
}

// newWorldOfFiles starts all without a Puppet Server: tasks come from disk.
func newWorldOfFiles(t *testing.T, args ...string) *world {
	t.Helper()
	w := prepare(t)
	w.startServer(t, append(args, "--set", "orchestrator.basemodulepath="+filepath.Join(w.code, "modules")+","+debianModules)...)
	w.startAgents(t)
	return w
}

// prepare installs what is needed and writes Puppet's code.
func prepare(t *testing.T) *world {
	t.Helper()
	installPuppet(t)
	installed(t, debianModules+"/apache/tasks/init.rb", "puppet-module-puppetlabs-apache", "puppet-module-puppetlabs-postgresql")
	w := &world{ca: dalangtest.NewAuthority(t), pcp: dalangtest.FreeAddress(t), code: t.TempDir(), service: newService(t), database: startDatabase(t)}
	writeCode(t, w.code)
	w.cert, w.key = w.ca.Issue(t, operator)
	return w
}

func (w *world) startServer(t *testing.T, args ...string) {
	t.Helper()
	allowed := w.ca.Path("operators")
	require.NoError(t, os.WriteFile(w.knownHosts(), nil, 0o600))
	require.NoError(t, os.WriteFile(allowed, []byte(operator+"\n"), 0o600))
	w.server = startServer(t, w.ca, append([]string{"--pcp-listen", w.pcp, "--set", "rbac.certificate-allowlist=" + allowed,
		"--set", "orchestrator.ssh-known-hosts=" + w.knownHosts(), "--set", "orchestrator.environmentpath=" + filepath.Join(w.code, "environments")}, args...)...)
}

// knownHosts is a file of keys of hosts.
func (w *world) knownHosts() string { return w.ca.Path("known_hosts") }

func (w *world) startAgents(t *testing.T) {
	t.Helper()
	for _, name := range nodes() {
		w.startAgent(t, name)
	}
}

// cli is `dalang` with some arguments, as the operator: what it prints, and its
// exit status.
func (w *world) cli(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), w.server.Binary(), append(append([]string{}, args...),
		"--server", w.server.tls, "--cert", w.cert, "--key", w.key, "--ca", w.ca.Path("ca.pem"))...)
	out, err := cmd.CombinedOutput()
	require.NotNil(t, cmd.ProcessState, "%v", err)
	t.Logf("dalang %v: status %d\n%s", args, cmd.ProcessState.ExitCode(), out)
	return string(out), cmd.ProcessState.ExitCode()
}

func port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// startAgent makes a node with its own Puppet and runs its agent.
func (w *world) startAgent(t *testing.T, certname string) {
	t.Helper()
	n := newNode(t, w.ca, certname, "https://localhost:1")
	noop := certname == "looks.example.com"
	n.write(t, "puppet.conf", fmt.Sprintf(`[main]
certname = %[1]s
server = localhost
serverport = %[3]s
vardir = %[2]s/var
ssldir = %[2]s/ssl
rundir = %[2]s/run
logdir = %[2]s/log
[agent]
noop = %[4]v
`, certname, n.dir, port(w.compile), noop))
	wrapper := filepath.Join(n.dir, "puppet")
	require.NoError(t, os.WriteFile(wrapper, []byte(fmt.Sprintf("#!/bin/sh\nexport HOME=%[1]s LC_ALL=C.UTF-8\nexec /usr/bin/puppet \"$@\" --confdir %[1]s\n", n.dir)), 0o700))
	args := []string{"agent", "--set", "brokers=wss://localhost:" + port(w.pcp) + "/pcp2/", "--set", "data=" + filepath.Join(n.dir, "agent"),
		"--set", "puppet=" + wrapper, "--set", "puppet-conf=" + filepath.Join(n.dir, "puppet.conf")}
	if w.compile == "" {
		args = append(args, "--set", "primary-uris="+w.server.tls)
	}
	dalangtest.Process(t, w.server.Binary(), args...)
}

// startPuppetServer runs Debian's Puppet Server on a port, with a configuration
// of its own, until the test ends. Certificates are our authority's.
func (w *world) startPuppetServer(t *testing.T) {
	t.Helper()
	const certname = "puppet.example.com"
	at := port(w.compile)
	n := newNode(t, w.ca, certname, "https://localhost:"+port(w.server.tls))
	n.write(t, "puppet.conf", fmt.Sprintf(`[main]
certname = %[1]s
ssldir = %[2]s/ssl
codedir = %[3]s
[server]
storeconfigs = true
storeconfigs_backend = puppetdb
reports = puppetdb
environmentpath = %[3]s/environments
`, certname, n.dir, w.code))
	n.write(t, "routes.yaml", "---\nserver:\n  facts:\n    terminus: puppetdb\n    cache: yaml\n")
	auth, err := os.ReadFile("/etc/puppet/puppetserver/conf.d/auth.conf")
	require.NoError(t, err)
	n.write(t, "conf.d/auth.conf", string(auth))
	n.write(t, "conf.d/webserver.conf", fmt.Sprintf(`webserver: {
  client-auth: want, ssl-host: 127.0.0.1, ssl-port: %[1]s
  ssl-cert: "%[2]s/ssl/certs/%[3]s.pem", ssl-key: "%[2]s/ssl/private_keys/%[3]s.pem"
  ssl-ca-cert: "%[2]s/ssl/certs/ca.pem", ssl-crl-path: "%[2]s/ssl/crl.pem"
}
`, at, n.dir, certname))
	n.write(t, "conf.d/puppetserver.conf", fmt.Sprintf(`jruby-puppet: {
  ruby-load-path: [/usr/lib/puppetserver/ruby/vendor_ruby], gem-home: "%[1]s/gems"
  gem-path: ["%[1]s/gems", "/usr/lib/puppetserver/vendored-jruby-gems"]
  server-conf-dir: "%[1]s", server-code-dir: "%[2]s", server-var-dir: "%[1]s/var", server-run-dir: "%[1]s/run", server-log-dir: "%[1]s/log"
  max-active-instances: 2
}
`, n.dir, w.code))
	n.write(t, "conf.d/global.conf", "global: { logging-config: /etc/puppet/puppetserver/logback.xml }\n")
	n.write(t, "conf.d/metrics.conf", "metrics: { server-id: localhost }\n")
	routes, err := os.ReadFile("/etc/puppet/puppetserver/conf.d/web-routes.conf")
	require.NoError(t, err)
	n.write(t, "conf.d/web-routes.conf", string(routes))
	services, err := os.ReadFile("/etc/puppet/puppetserver/services.d/bootstrap.cfg")
	require.NoError(t, err)
	n.write(t, "services.d/bootstrap.cfg", string(services)+
		"puppetlabs.services.ca.certificate-authority-disabled-service/certificate-authority-disabled-service\n"+
		"puppetlabs.trapperkeeper.services.watcher.filesystem-watch-service/filesystem-watch-service\n")
	dalangtest.Process(t, "/usr/bin/java", "-Xms512m", "-Xmx768m", "--add-opens", "java.base/sun.nio.ch=ALL-UNNAMED", "--add-opens", "java.base/java.io=ALL-UNNAMED",
		"-Djruby.lib=/usr/share/jruby/lib", "-Djruby.logger.class=com.puppetlabs.jruby_utils.jruby.Slf4jLogger", "-Dlogappender=STDOUT",
		"-jar", "/usr/share/puppetserver/puppetserver.jar", "--config", filepath.Join(n.dir, "conf.d"), "--bootstrap-config", filepath.Join(n.dir, "services.d"))
	client := w.ca.Client(t, "")
	require.Eventually(t, func() bool {
		res, err := client.Get("https://localhost:" + at + "/status/v1/simple")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK
	}, 8*time.Minute, 500*time.Millisecond, "Puppet Server does not come up")
}
