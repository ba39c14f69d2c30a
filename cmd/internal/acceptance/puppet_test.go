//go:build acceptance

package acceptance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/dalangtest"
)

// installPuppet makes sure that Debian's agent and termini are there.
func installPuppet(t *testing.T) {
	t.Helper()
	installed(t, "/usr/lib/ruby/vendor_ruby/puppet/reports/puppetdb.rb", "puppet-agent", "puppet-terminus-puppetdb")
}

// installed installs packages unless a file of theirs is there.
func installed(t *testing.T, file string, packages ...string) {
	t.Helper()
	if _, err := os.Stat(file); err == nil {
		return
	}
	for _, args := range [][]string{{"update", "-q"}, append([]string{"install", "-qy", "--no-install-recommends"}, packages...)} {
		cmd := exec.Command("apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "apt-get %v:\n%s", args, out)
	}
}

// node is one Puppet node: a certname with its own configuration directory.
type node struct {
	certname string
	dir      string
}

// newNode writes the configuration of a node that compiles its own catalogs
// and keeps facts, catalogs, reports and exported resources in the server.
func newNode(t *testing.T, ca *dalangtest.Authority, certname, serverURL string) *node {
	t.Helper()
	n := &node{certname, t.TempDir()}
	cert, key := ca.Issue(t, certname)
	for to, from := range map[string]string{
		"ssl/certs/ca.pem":                      ca.Path("ca.pem"),
		"ssl/crl.pem":                           ca.Path("crl.pem"),
		"ssl/certs/" + certname + ".pem":        cert,
		"ssl/private_keys/" + certname + ".pem": key,
	} {
		content, err := os.ReadFile(from)
		require.NoError(t, err)
		n.write(t, to, string(content))
	}
	n.write(t, "puppet.conf", fmt.Sprintf(`[main]
certname = %s
vardir = %[2]s/var
ssldir = %[2]s/ssl
rundir = %[2]s/run
logdir = %[2]s/log
storeconfigs = true
storeconfigs_backend = puppetdb
reports = puppetdb
report = true
usecacheonfailure = false
`, certname, n.dir))
	n.write(t, "routes.yaml", `---
apply:
  facts:
    terminus: facter
    cache: puppetdb_apply
`)
	n.write(t, "puppetdb.conf", fmt.Sprintf("[main]\nserver_urls = %s\nsoft_write_failure = false\n", serverURL))
	return n
}

func (n *node) write(t *testing.T, name, content string) {
	t.Helper()
	path := filepath.Join(n.dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

// apply runs the manifest as `puppet apply` does and returns what it printed.
// The run must succeed: with soft_write_failure off, a refused command fails it.
func (n *node) apply(t *testing.T, manifest string) string {
	t.Helper()
	n.write(t, "site.pp", manifest)
	out, code := n.puppet(t, "apply", "--detailed-exitcodes", filepath.Join(n.dir, "site.pp"))
	require.Contains(t, []int{0, 2}, code, "puppet apply on %s:\n%s", n.certname, out)
	for line := range strings.Lines(out) { // Facter grumbles about what it may not read on some machines
		require.False(t, strings.HasPrefix(line, "Error:") && !strings.HasPrefix(line, "Error: Facter:"), "puppet apply on %s: %s", n.certname, line)
	}
	return out
}

// puppet runs any subcommand with the node's configuration.
func (n *node) puppet(t *testing.T, subcommand string, args ...string) (out string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	args = append([]string{subcommand, "--confdir", n.dir, "--color", "false"}, args...)
	cmd := exec.CommandContext(ctx, "puppet", args...)
	cmd.Env = append(os.Environ(), "HOME="+n.dir, "LC_ALL=C.UTF-8")
	content, err := cmd.CombinedOutput()
	require.NotNil(t, cmd.ProcessState, "puppet did not start: %v", err)
	t.Logf("%s: puppet %v: exit %d\n%s", n.certname, args, cmd.ProcessState.ExitCode(), content)
	return string(content), cmd.ProcessState.ExitCode()
}
