//go:build acceptance

package acceptance

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// stepsPlan has a step of each kind, and a return that is made of all results.
const stepsPlan = `
description: A task, a command, a file there and back, and a script
parameters:
  targets: {type: TargetSpec, description: where}
  service: {type: 'String[1]', description: what to reload}
  into: {type: 'String[1]', description: where to put a file}
  log: {type: 'String[1]', description: what the service writes}
steps:
- message: "reloading ${service} on ${targets.join(', ')}"
- {name: reloaded, task: apache, targets: $targets, parameters: {action: reload, service_name: $service}}
- {name: looked, command: "id -un; wc -l < '${log}'", targets: $targets}
- upload: acceptance/motd
  destination: $into
  targets: $targets[0]
- name: checked
  script: acceptance/check.sh
  arguments: ['the file', $into]
  targets: $targets[0]
- name: back
  download: $into
  destination: motd
  targets: $targets[0]
return:
  statuses: $reloaded.map |$r| { $r['status'] }
  users: $looked.map |$r| { $r['stdout'] }
  checked: $checked.first['stdout']
  back: $back.first['path']
`

// whoPlan runs the same as three users.
const whoPlan = `
parameters: {targets: {type: TargetSpec}}
steps:
- {name: self, command: id -un, targets: $targets}
- {name: root, command: id -un, targets: $targets, run_as: root}
- {name: other, script: acceptance/who.sh, targets: $targets, run_as: postgres}
return: "${self.first['stdout'].chomp}, ${root.first['stdout'].chomp}, ${other.first['stdout'].chomp}"
`

// planJob is a plan job as the API shows it.
type planJob struct {
	State  string
	Result json.RawMessage
	Status map[string][]struct{ State string }
}

// testPlan: a YAML plan with a task of Debian's, a command, an upload and a
// script, on two agents, by the command line.
func (w *world) testPlan(t *testing.T) {
	out, status := w.cli(t, "plan", "list")
	require.Equal(t, 0, status)
	require.Regexp(t, `(?m)^acceptance::steps +yes$`, out)
	out, _ = w.cli(t, "plan", "show", "acceptance::steps")
	require.Regexp(t, `(?m)^targets +TargetSpec +\(required\) +where$`, out)

	before := len(w.service.reloads(t))
	into := filepath.Join(t.TempDir(), "motd")
	args := []string{"service=" + w.service.name, "into=" + into, "log=" + w.service.log}
	out, status = w.cli(t, append([]string{"plan", "run", "acceptance::steps", "--nodes", "changes.example.com,looks.example.com"}, args...)...)
	require.Equal(t, 0, status)
	require.Len(t, w.service.reloads(t)[before:], 2)
	content, err := os.ReadFile(into)
	require.NoError(t, err)
	require.Equal(t, "from a module\n", string(content))
	name := regexp.MustCompile(`(?m)^Plan (\d+): `).FindStringSubmatch(out)[1]
	p := get[planJob](t, w.ca, w.server, "/orchestrator/v1/plan_jobs/"+name)
	require.Equal(t, "success", p.State)
	var result struct {
		Statuses, Users []string
		Checked, Back   string
	}
	require.NoError(t, json.Unmarshal(p.Result, &result))
	require.Equal(t, []string{"reload successful", "reload successful"}, result.Statuses)
	require.Len(t, result.Users, 2)
	require.Regexp(t, `\Aroot\n\d+\n\z`, result.Users[0])
	require.Equal(t, "the file is 1 lines\n", result.Checked)
	content, err = os.ReadFile(result.Back)
	require.NoError(t, err)
	require.Equal(t, "from a module\n", string(content))

	type event struct {
		Type    string
		Details struct {
			Job string `json:"job-id"`
		}
	}
	var types, made []string
	for _, e := range get[struct{ Items []event }](t, w.ca, w.server, "/orchestrator/v1/plan_jobs/"+name+"/events").Items {
		types = append(types, e.Type)
		if e.Details.Job != "" {
			made = append(made, e.Details.Job)
		}
	}
	require.Equal(t, []string{"out_message", "task_start", "command_start", "upload_start", "script_start", "command_start", "plan_finished"}, types)
	require.ElementsMatch(t, made, slices.Collect(maps.Keys(p.Status)))
	for i, kind := range []string{"plan_task", "plan_command", "plan_upload", "plan_script", "plan_command"} {
		j := get[struct {
			Type, State string
			Plan        map[string]any `json:"plan"`
		}](t, w.ca, w.server, "/orchestrator/v1/jobs/"+made[i])
		require.Equal(t, []string{kind, "finished"}, []string{j.Type, j.State})
		states := p.Status[made[i]]
		require.Equal(t, "finished", states[len(states)-1].State)
	}
	w.cli(t, "plan", "show", name)
	w.cli(t, "plan", "jobs")
	w.cli(t, "job", "list")
	w.cli(t, "job", "show", made[0])

	out, status = w.cli(t, "plan", "run", "acceptance::steps", "--nodes", "changes.example.com", "service=no-such-service", args[1], args[2])
	require.Equal(t, 3, status)
	require.Contains(t, out, "run_task 'apache' failed on 1 target")
}
