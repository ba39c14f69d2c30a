package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/agentconfig"
	"dalang/orchestrator/broker/brokertest"
)

// checkedNode is a node on which an agent can work: its files, a puppet, and
// the configuration that names them.
func checkedNode(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	writeNode(t, brokertest.NewCA(t), dir+"/ssl")
	require.NoError(t, os.WriteFile(dir+"/puppet", []byte("#!/bin/sh\n"), 0o755))
	require.NoError(t, os.WriteFile(dir+"/puppet.conf", nil, 0o600))
	require.NoError(t, os.WriteFile(dir+"/agent.ini", []byte("[agent]\nssldir = "+dir+"/ssl\ncertname = node.example.com\ndata = "+dir+"/data/below\n"+
		"puppet = "+dir+"/puppet\npuppet-conf = "+dir+"/puppet.conf\nbrokers = wss://localhost:8142\n"), 0o600))
	return dir
}

// agentCheck runs `dalang agent check`.
func agentCheck(dir string, set ...string) (string, error) {
	args := []string{"agent", "check", "-c", dir + "/agent.ini"}
	for _, s := range set {
		args = append(args, "--set", s)
	}
	root := newRootCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs(args)
	err := root.Execute()
	return out.String(), err
}

// TestAgentCheckShows: every setting, as it is in effect.
func TestAgentCheckShows(t *testing.T) {
	dir := checkedNode(t)
	out, err := agentCheck(dir, "kill-grace=1500ms", "keep=36h", "interpreters=.sh=/bin/sh")
	require.NoError(t, err)
	shown := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		name, value, _ := strings.Cut(line, " ")
		shown[name] = strings.TrimSpace(value)
	}
	for _, k := range agentconfig.Keys() {
		require.NotEmpty(t, shown[k.Name], k.Name)
	}
	require.Len(t, shown, len(agentconfig.Keys()))
	for name, want := range map[string]string{
		"certname": "node.example.com", "puppet": dir + "/puppet", "brokers": "wss://localhost:8142/pcp2/agent", "timeout": "what the request says, else 1h", "kill-grace": "1500ms",
		"keep": "1d12h", "max-runs": "32", "max-output": "16.0 MiB", "interpreters": ".sh=/bin/sh", "controllers": "all that the broker lets",
		"modules": "apply, command, file, pxp-module-puppet, script, task", "ssl-crl": dir + "/ssl/crl.pem (not there: nothing counts as revoked)",
	} {
		require.Equal(t, want, shown[name], name)
	}
	require.NoDirExists(t, dir+"/data", "it changes nothing")
}

// TestAgentCheckFinds: what is missing is told, each once, with its setting.
func TestAgentCheckFinds(t *testing.T) {
	dir := checkedNode(t)
	other := checkedNode(t)
	for name, c := range map[string]struct {
		set  []string
		want []string
	}{
		"no puppet":              {[]string{"puppet=/nonexist/puppet"}, []string{"puppet: "}},
		"puppet is no program":   {[]string{"puppet=" + dir + "/puppet.conf"}, []string{"puppet: "}},
		"no interpreter":         {[]string{"interpreters=.rb=/nonexist/ruby, .sh=/bin/sh"}, []string{"interpreters: .rb: "}},
		"data below a file":      {[]string{"data=" + dir + "/puppet/data"}, []string{"data: "}},
		"data is a file":         {[]string{"data=" + dir + "/puppet"}, []string{"data: " + dir + "/puppet is no directory"}},
		"no certificate":         {[]string{"certname=none"}, []string{"ssl-cert: open " + dir + "/ssl/certs/none.pem", "ssl-key: open " + dir + "/ssl/private_keys/none.pem"}},
		"no key":                 {[]string{"ssl-key=/nonexist/key"}, []string{"ssl-key: open /nonexist/key"}},
		"no CA":                  {[]string{"ssl-ca-cert=/nonexist/ca"}, []string{"ssl-ca-cert: open /nonexist/ca"}},
		"another node's key":     {[]string{"ssl-key=" + other + "/ssl/private_keys/node.example.com.pem"}, []string{"certificate of this node: "}},
		"a CA that is none":      {[]string{"ssl-ca-cert=" + dir + "/puppet"}, []string{"certificate of the CA: "}},
		"two things at a time":   {[]string{"puppet=/nonexist/puppet", "ssl-key=/nonexist/key"}, []string{"ssl-key: ", "puppet: "}},
		"modules need no puppet": {[]string{"puppet=/nonexist/puppet", "modules=task"}, nil},
	} {
		out, err := agentCheck(dir, c.set...)
		require.Contains(t, out, "data            ", name, "the settings are shown all the same")
		if c.want == nil {
			require.NoError(t, err, name)
			continue
		}
		require.Error(t, err, name)
		require.Equal(t, 1, exitStatus(err), name)
		lines := strings.Split(err.Error(), "\n")
		require.Len(t, lines, len(c.want), "%s: %s", name, err)
		for i, want := range c.want {
			require.True(t, strings.HasPrefix(lines[i], want), "%s: %s", name, err)
		}
	}
	if os.Getuid() != 0 { // whom nothing stops
		locked := filepath.Join(dir, "locked")
		require.NoError(t, os.Mkdir(locked, 0o500))
		_, err := agentCheck(dir, "data="+locked+"/data")
		require.ErrorContains(t, err, "data: "+locked+" cannot be written")
	}
}
