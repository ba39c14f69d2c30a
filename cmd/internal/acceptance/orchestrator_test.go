//go:build acceptance

package acceptance

import (
	"encoding/json"
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

// operator is whose certificate may do everything.
const operator = "operator.example.com"

// manifest says what becomes of the three nodes.
const manifest = `
node 'changes.example.com' { notify { 'hello': } }
node 'fails.example.com'   { exec { '/bin/false': } notify { 'after': require => Exec['/bin/false'] } notify { 'beside': } }
node 'looks.example.com'   { notify { 'would say hello': } }
`

// TestOrchestrator is the whole loop with real Puppet: `dalang job run` has the
// agents of three nodes run Puppet, Puppet Server compiles their catalogs and
// sends their reports to the same program, and the job shows what they say.
func TestOrchestrator(t *testing.T) {
	installPuppet(t)
	installed(t, "/usr/share/puppetserver/puppetserver.jar", "puppetserver")
	ca := dalangtest.NewAuthority(t)
	pcp, compile := dalangtest.FreeAddress(t), dalangtest.FreeAddress(t)
	allowed := ca.Path("operators")
	require.NoError(t, os.WriteFile(allowed, []byte(operator+"\n"), 0o600))
	operatorCert, operatorKey := ca.Issue(t, operator)
	server := startServer(t, ca, "--pcp-listen", pcp, "--set", "rbac.certificate-allowlist="+allowed,
		"--set", "orchestrator.puppetserver=https://localhost:"+port(compile))
	startPuppetServer(t, ca, port(compile), "https://localhost:"+port(server.tls))
	binary := server.Binary()
	names := []string{"changes.example.com", "fails.example.com", "looks.example.com"}
	for _, name := range names {
		startAgent(t, ca, binary, name, port(compile), port(pcp))
	}
	job := func(args ...string) (string, int) {
		cmd := exec.CommandContext(t.Context(), binary, append(append([]string{"job"}, args...),
			"--server", "https://localhost:"+port(server.tls), "--cert", operatorCert, "--key", operatorKey, "--ca", ca.Path("ca.pem"))...)
		out, err := cmd.CombinedOutput()
		require.NotNil(t, cmd.ProcessState, "%v", err)
		t.Logf("dalang job %v: status %d\n%s", args, cmd.ProcessState.ExitCode(), out)
		return string(out), cmd.ProcessState.ExitCode()
	}

	// The first time nothing is known of the nodes: they are named.
	_, status := job("run", "--nodes", strings.Join(names, ","), "--environment", "production")
	require.Equal(t, 3, status, "one of them fails")
	server.Drain(t)
	// Now they can be found.
	out, status := job("run", "--query", `nodes[certname]{ certname ~ "example.com" order by certname }`, "--environment", "production")
	require.Equal(t, 3, status)
	for _, line := range []string{
		`(?m)^changes\.example\.com  finished +[\d.]+m?s +1 +0 +0 +\d+`,
		`(?m)^fails\.example\.com +failed +[\d.]+m?s +1 +1 +1 +\d+`,
		`(?m)^looks\.example\.com +finished \(noop\) +[\d.]+m?s +0 +0 +0 +\d+`,
	} {
		require.Regexp(t, line, out)
	}
	joined(t, ca, server)
	e := get[struct{ Items []struct{ Name string } }](t, ca, server, "/orchestrator/v1/environments")
	require.Equal(t, "production", e.Items[0].Name)
	_, status = job("run", "--nodes", "changes.example.com", "--environment", "unheard_of")
	require.Equal(t, 2, status, "Puppet Server does not know the environment")
}

// joined looks at job 2 and follows its links.
func joined(t *testing.T, ca *dalangtest.Authority, server *dalang) {
	t.Helper()
	type nodeDoc struct {
		Name, State string
		Transaction string `json:"transaction_uuid"`
		Details     struct {
			ReportURL string `json:"report-url"`
			Metrics   map[string]int
		}
	}
	list := get[struct{ Items []nodeDoc }](t, ca, server, "/orchestrator/v1/jobs/2/nodes")
	require.Len(t, list.Items, 3)
	for _, n := range list.Items {
		require.NotEmpty(t, n.Details.ReportURL, n.Name)
		reports := get[[]struct {
			Certname, Status string
			JobID            string `json:"job_id"`
			Transaction      string `json:"transaction_uuid"`
			Noop             bool
			Metrics          struct {
				Data []struct {
					Category, Name string
					Value          float64
				}
			}
		}](t, ca, server, strings.TrimPrefix(n.Details.ReportURL, server.tls))
		require.Len(t, reports, 1)
		r := reports[0]
		require.Equal(t, []string{n.Name, "2", n.Transaction}, []string{r.Certname, r.JobID, r.Transaction})
		require.Equal(t, map[string]string{"changes.example.com": "changed", "fails.example.com": "failed", "looks.example.com": "unchanged"}[n.Name], r.Status)
		require.Equal(t, n.Name == "looks.example.com", r.Noop)
		for _, m := range r.Metrics.Data {
			if m.Category == "resources" {
				require.Equal(t, int(m.Value), n.Details.Metrics[m.Name], "%s: %s", n.Name, m.Name)
			}
		}
	}
}

// get reads a document over TLS.
func get[T any](t *testing.T, ca *dalangtest.Authority, server *dalang, path string) (v T) {
	t.Helper()
	res, err := ca.Client(t, operator).Get(server.tls + path)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode, path)
	require.NoError(t, json.NewDecoder(res.Body).Decode(&v))
	return v
}

func port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// startAgent makes a node with its own Puppet and runs its agent.
func startAgent(t *testing.T, ca *dalangtest.Authority, binary, certname, compile, pcp string) {
	t.Helper()
	n := newNode(t, ca, certname, "https://localhost:1")
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
`, certname, n.dir, compile, noop))
	wrapper := filepath.Join(n.dir, "puppet")
	require.NoError(t, os.WriteFile(wrapper, []byte(fmt.Sprintf("#!/bin/sh\nexport HOME=%[1]s LC_ALL=C.UTF-8\nexec /usr/bin/puppet \"$@\" --confdir %[1]s\n", n.dir)), 0o700))
	dalangtest.Process(t, binary, "agent", "--set", "brokers=wss://localhost:"+pcp+"/pcp2/", "--set", "data="+filepath.Join(n.dir, "agent"),
		"--set", "puppet="+wrapper, "--set", "puppet-conf="+filepath.Join(n.dir, "puppet.conf"))
}

// startPuppetServer runs Debian's Puppet Server on a port, with a configuration
// of its own, until the test ends. Certificates are our authority's.
func startPuppetServer(t *testing.T, ca *dalangtest.Authority, port, puppetdb string) {
	t.Helper()
	const certname = "puppet.example.com"
	n := newNode(t, ca, certname, puppetdb)
	n.write(t, "puppet.conf", fmt.Sprintf(`[main]
certname = %[1]s
ssldir = %[2]s/ssl
codedir = %[2]s/code
[server]
storeconfigs = true
storeconfigs_backend = puppetdb
reports = puppetdb
environmentpath = %[2]s/code/environments
`, certname, n.dir))
	n.write(t, "routes.yaml", "---\nserver:\n  facts:\n    terminus: puppetdb\n    cache: yaml\n")
	n.write(t, "code/environments/production/manifests/site.pp", manifest)
	auth, err := os.ReadFile("/etc/puppet/puppetserver/conf.d/auth.conf")
	require.NoError(t, err)
	n.write(t, "conf.d/auth.conf", string(auth))
	n.write(t, "conf.d/webserver.conf", fmt.Sprintf(`webserver: {
  client-auth: want, ssl-host: 127.0.0.1, ssl-port: %[1]s
  ssl-cert: "%[2]s/ssl/certs/%[3]s.pem", ssl-key: "%[2]s/ssl/private_keys/%[3]s.pem"
  ssl-ca-cert: "%[2]s/ssl/certs/ca.pem", ssl-crl-path: "%[2]s/ssl/crl.pem"
}
`, port, n.dir, certname))
	n.write(t, "conf.d/puppetserver.conf", fmt.Sprintf(`jruby-puppet: {
  ruby-load-path: [/usr/lib/puppetserver/ruby/vendor_ruby], gem-home: "%[1]s/gems"
  gem-path: ["%[1]s/gems", "/usr/lib/puppetserver/vendored-jruby-gems"]
  server-conf-dir: "%[1]s", server-code-dir: "%[1]s/code", server-var-dir: "%[1]s/var", server-run-dir: "%[1]s/run", server-log-dir: "%[1]s/log"
  max-active-instances: 2
}
`, n.dir))
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
	client := ca.Client(t, "")
	require.Eventually(t, func() bool {
		res, err := client.Get("https://localhost:" + port + "/status/v1/simple")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK
	}, 8*time.Minute, 500*time.Millisecond, "Puppet Server does not come up")
}
