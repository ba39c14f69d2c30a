//go:build acceptance

package acceptance

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// applyPlan applies resources, and then some that fail.
const applyPlan = `
parameters:
  targets: {type: TargetSpec}
  into: {type: 'String[1]', description: a directory}
  content: {type: 'Optional[Sensitive[String]]', default: ~}
  source: {type: 'Optional[String]', default: ~}
  noop: {type: Boolean, default: false}
steps:
- name: first
  targets: $targets
  noop: $noop
  resources:
  - {file: $into, parameters: {ensure: directory}}
  - type: file
    title: "${into}/motd"
    parameters: {content: $content, source: $source, mode: '0640', notify: 'Exec[count]'}
  - type: exec
    title: count
    parameters: {command: "wc -l < '${into}/motd' > '${into}/lines'", provider: shell, path: '/usr/bin:/bin', refreshonly: true}
- name: second
  targets: $targets
  noop: $noop
  catch_errors: true
  resources:
  - exec: /bin/false
  - {file: "${into}/never", parameters: {ensure: file}}
return:
  first: $first.first.message
  second: $second.first.message
  error: $second.error_set.map |$r| { $r.error.message }
`

// testResources: a plan's resources with real Puppet: with noop, with a secret,
// again, and, where there is a Puppet Server, with a file of that. The node's
// own noop, which is of its agent, does not count, and nobody gets a report.
func (w *world) testResources(t *testing.T) {
	const secret = "s3cret content of a file\n"
	into := filepath.Join(t.TempDir(), "in")
	type reports []struct{ Hash string }
	before := len(get[reports](t, w.ca, w.server, "/pdb/query/v4/reports"))
	run := func(args ...string) (result struct{ First, Second, Error any }) {
		out, status := w.cli(t, append([]string{"plan", "run", "acceptance::apply", "--nodes", "looks.example.com", "into=" + into}, args...)...)
		require.Equal(t, 0, status)
		name := regexp.MustCompile(`(?m)^Plan (\d+): `).FindStringSubmatch(out)[1]
		p := get[planJob](t, w.ca, w.server, "/orchestrator/v1/plan_jobs/"+name)
		require.Equal(t, "success", p.State)
		require.NoError(t, json.Unmarshal(p.Result, &result))
		for step := range p.Status {
			j := get[struct{ Type string }](t, w.ca, w.server, "/orchestrator/v1/jobs/"+step)
			require.Equal(t, "plan_apply", j.Type)
			text := get[json.RawMessage](t, w.ca, w.server, "/orchestrator/v1/jobs/"+step+"/nodes")
			require.NotContains(t, string(text), "s3cret")
		}
		return result
	}
	r := run("content="+secret, "noop=true")
	require.Equal(t, "changed: 0, failed: 0, unchanged: 3 skipped: 0, noop: 2", r.First)
	require.NoDirExists(t, into)
	r = run("content=" + secret)
	require.Equal(t, "changed: 3, failed: 0, unchanged: 0 skipped: 0, noop: 0", r.First)
	require.Equal(t, "changed: 0, failed: 1, unchanged: 0 skipped: 1, noop: 0", r.Second)
	require.Len(t, r.Error, 1)
	require.Contains(t, r.Error.([]any)[0], "Resources failed to apply for looks.example.com\n  Exec[/bin/false]: ")
	content, err := os.ReadFile(filepath.Join(into, "motd"))
	require.NoError(t, err)
	require.Equal(t, secret, string(content))
	lines, err := os.ReadFile(filepath.Join(into, "lines"))
	require.NoError(t, err)
	require.Equal(t, "1\n", string(lines))
	require.NoFileExists(t, filepath.Join(into, "never"))
	if w.compile != "" {
		require.Equal(t, "changed: 2, failed: 0, unchanged: 1 skipped: 0, noop: 0", run("source=puppet:///modules/acceptance/motd").First)
		content, err := os.ReadFile(filepath.Join(into, "motd"))
		require.NoError(t, err)
		require.Equal(t, "from a module\n", string(content))
	}
	w.server.Drain(t)
	require.Len(t, get[reports](t, w.ca, w.server, "/pdb/query/v4/reports"), before)
}
