package action

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/apply"
)

// catalogOf makes params as the server does.
func catalogOf(t *testing.T, noop bool, resources ...apply.Resource) map[string]any {
	t.Helper()
	require.NoError(t, apply.Check(resources))
	text, err := json.Marshal(apply.Params("production", "plan job 7", resources, noop))
	require.NoError(t, err)
	named, err := apply.For(text, "web1")
	require.NoError(t, err)
	var params map[string]any
	require.NoError(t, json.Unmarshal(named, &params))
	return params
}

func TestCheckApply(t *testing.T) {
	const catalog = `"catalog":{"environment":"production","resources":[{"type":"Notify"}]}`
	for params, wrong := range map[string]string{
		`{` + catalog + `,"apply_options":{}}`:                                          "",
		`{` + catalog + `,"apply_options":{"noop":true,"show_diff":false},"timeout":3}`: "",
		`[]`:                   "params must be an object",
		`{"apply_options":{}}`: "catalog: params must be an object",
		`{` + catalog + `}`:    "apply_options must be an object",
		`{` + catalog + `,"apply_options":{"noop":"yes"}}`:                       "apply_options: noop must be true or false",
		`{` + catalog + `,"apply_options":{"noop":null}}`:                        "apply_options: noop must be true or false",
		`{` + catalog + `,"apply_options":{"vardir":"/x"}}`:                      `apply_options: "vardir" is not one that is permitted`,
		`{` + catalog + `,"apply_options":{},"timeout":-1}`:                      "timeout",
		`{"catalog":{"resources":[{}]},"apply_options":{}}`:                      `environment: "" is not the name of one`,
		`{"catalog":{"environment":"../x","resources":[{}]},"apply_options":{}}`: `environment: "../x"`,
		`{"catalog":{"environment":"x","resources":[]},"apply_options":{}}`:      "it has no resources",
		`{"catalog":{"environment":"x","resources":{}},"apply_options":{}}`:      "cannot unmarshal",
	} {
		err := checkApply(json.RawMessage(params))
		if wrong == "" {
			require.NoError(t, err, params)
		} else {
			require.ErrorContains(t, err, wrong, params)
		}
	}
}

// applyingPuppet is a puppet that keeps the catalog that it gets, does what
// behave says, and may leave a report with its status by report STATUS.
func applyingPuppet(t *testing.T, behave string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	write(t, filepath.Join(dir, "puppet"), `#!/bin/sh
dir=`+dir+`
case "$*" in *--configprint*)
  echo "agent_catalog_run_lockfile = $dir/state/lock"; echo "agent_disabled_lockfile = $dir/disabled"; echo "lastrunreport = $dir/report.yaml"; exit 0;;
esac
echo "$*" >> $dir/runs
while [ "$1" != --lastrunreport ]; do shift; done
report() {
  { sed -e "s/^status: .*/status: $1/" `+dir+`/template.yaml; } > "$path"
}
path=$2
cat > $dir/catalog
cat $dir/state/lock > $dir/locked; echo " $$" >> $dir/locked
`+behave+"\n")
	template, err := os.ReadFile(filepath.Join("testdata", "report-apply.yaml"))
	require.NoError(t, err)
	write(t, filepath.Join(dir, "template.yaml"), string(template))
	return dir
}

// applied runs an application and gives what it wrote to its output.
func applied(t *testing.T, dir string, params map[string]any, change func(*Order)) (Result, map[string]any) {
	t.Helper()
	o := order(t, "apply", "apply", params)
	o.Settings.Puppet = filepath.Join(dir, "puppet")
	if change != nil {
		change(o)
	}
	spool := t.TempDir()
	r := Run(context.Background(), spool, o)
	left, err := os.ReadDir(spool)
	require.NoError(t, err)
	require.Empty(t, left, "nothing stays")
	require.NoFileExists(t, filepath.Join(dir, "state/lock"))
	var document map[string]any
	if r.Stdout != "" {
		require.NoError(t, json.Unmarshal([]byte(r.Stdout), &document))
	}
	return r, document
}

func secretFile() apply.Resource {
	return apply.Resource{Type: "file", Title: "/x", Params: map[string]any{"content": "hush-hush"}, Secrets: []string{"content"}}
}

func TestApply(t *testing.T) {
	dir := applyingPuppet(t, `report changed`)
	params := catalogOf(t, false, secretFile())
	r, report := applied(t, dir, params, nil)
	require.Empty(t, r.Error)
	require.Zero(t, r.ExitCode)
	require.Equal(t, "changed", report["status"])
	require.Equal(t, "web1", report["host"])
	status := report["resource_statuses"].(map[string]any)["File[/x]"].(map[string]any)
	require.Equal(t, true, status["changed"])
	require.NotContains(t, status, "tags")
	event := status["events"].([]any)[0].(map[string]any)
	require.Equal(t, "content changed [redacted] to [redacted]", event["message"], "Puppet does not hide all")
	require.Equal(t, "created", event["name"])
	require.Nil(t, event["previous_value"])
	require.NotContains(t, r.Stdout, "hush")
	result, failed := apply.Result(orderParams(t, params), "web1", []byte(r.Stdout), nil, r.ExitCode)
	require.False(t, failed, "%s", result)
	require.Contains(t, string(result), `"_output":"changed: 1, failed: 0, unchanged: 7 skipped: 0, noop: 0"`)

	text, err := os.ReadFile(filepath.Join(dir, "catalog"))
	require.NoError(t, err)
	require.JSONEq(t, string(mustJSON(params["catalog"])), string(text), "it comes by standard input")
	require.Len(t, runs(t, dir), 1)
	own := filepath.Join("DIR", "apply")
	got := strings.ReplaceAll(runs(t, dir)[0], flagValue(t, runs(t, dir)[0], "--statedir"), own+"/state")
	got = strings.ReplaceAll(got, filepath.Dir(flagValue(t, runs(t, dir)[0], "--statedir")), own)
	require.Equal(t, "apply --catalog - --no-noop --statedir "+own+"/state --lastrunfile "+own+"/state/last_run_summary.yaml --lastrunreport "+own+
		"/state/last_run_report.yaml --environmentpath "+own+"/environments --environment production --default_file_terminus rest --route_file "+own+"/routes.yaml --node_terminus plain --no-storeconfigs --report --reports none --color false", got)
	locked, err := os.ReadFile(filepath.Join(dir, "locked"))
	require.NoError(t, err)
	pids := strings.Fields(string(locked))
	require.Len(t, pids, 2)
	require.Equal(t, pids[0], pids[1], "Puppet's lock is of the Puppet that runs")

	_, _ = applied(t, dir, catalogOf(t, true, secretFile()), nil)
	require.Contains(t, runs(t, dir)[1], "apply --catalog - --noop --statedir")
}

func orderParams(t *testing.T, params map[string]any) json.RawMessage {
	return order(t, "", "", params).Params
}

// flagValue is what follows a flag.
func flagValue(t *testing.T, line, flag string) string {
	t.Helper()
	_, rest, there := strings.Cut(line, flag+" ")
	require.True(t, there)
	value, _, _ := strings.Cut(rest, " ")
	return value
}

func TestApplyFailures(t *testing.T) {
	for name, c := range map[string]struct {
		behave    string
		params    map[string]any
		change    func(*Order)
		wrong     string // Result.Error
		kind, msg string // or _error
	}{
		"failed, which is a result": {behave: `report failed`},
		"no report": {behave: `printf '\033[1;31mError: Parameter ensure failed on File[/x]: hush-hush\033[0m\nBye\n'; exit 1`, kind: apply.KindError,
			msg: "Puppet ended with status 1 and left no report: Error: Parameter ensure failed on File[/x]: [redacted]"},
		"a bad report": {behave: `echo 'status: [' > $path`, kind: apply.KindError, msg: "Puppet's report could not be loaded"},
		"no status":    {behave: `echo 'a: 1' > $path`, kind: apply.KindError, msg: "it is no map, or has no status"},
		"no Puppet": {change: func(o *Order) { o.Settings.Puppet += "-not" }, kind: apply.KindError,
			msg: "Puppet is not installed on this node"},
		"no answer": {change: func(o *Order) { o.Settings.Puppet = "/bin/false" }, kind: apply.KindError, msg: "could not find the location of Puppet's lock"},
		"deaf":      {behave: `exec 0<&-; report changed`},
		"too long":  {behave: `sleep 600`, change: func(o *Order) { o.Settings.Timeout = 300 * time.Millisecond }, wrong: "it ran longer than 300ms and was killed"},
		"bad input": {params: map[string]any{"catalog": 1}, wrong: "invalid input: catalog: params must be an object"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.params == nil {
				c.params = catalogOf(t, false, secretFile())
			}
			r, document := applied(t, applyingPuppet(t, c.behave), c.params, c.change)
			require.Contains(t, r.Error, c.wrong)
			require.Equal(t, c.wrong != "", r.Error != "", r.Error)
			require.NotContains(t, r.Stdout, "hush")
			own, _ := document["_error"].(map[string]any)
			if c.kind == "" {
				require.Nil(t, own, r.Stdout)
				return
			}
			require.Equal(t, 1, r.ExitCode)
			require.Equal(t, c.kind, own["kind"])
			require.Contains(t, own["msg"], c.msg)
		})
	}
}

// TestApplyLock: nothing is applied while Puppet runs; what is left of a run that
// was killed is in nobody's way.
func TestApplyLock(t *testing.T) {
	dir := applyingPuppet(t, `report changed`)
	lock := filepath.Join(dir, "state/lock")
	params := catalogOf(t, false, secretFile())
	program := write(t, filepath.Join(dir, "other-puppet"), "#!/bin/sh\nread x\n")
	hold := func() (pid string) {
		other := exec.Command(program)
		in, err := other.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, other.Start())
		t.Cleanup(func() { _ = in.Close(); _ = other.Wait() }) // it may have been killed
		write(t, lock, fmt.Sprint(other.Process.Pid))
		require.Eventually(t, func() bool { return puppetHolds(lock) }, 10*time.Second, 5*time.Millisecond)
		return fmt.Sprint(other.Process.Pid)
	}
	hold()
	o := order(t, "apply", "apply", params)
	o.Settings.Puppet, o.Settings.LockWait = filepath.Join(dir, "puppet"), time.Millisecond
	r := do(t, o)
	require.Contains(t, r.Stdout, `"msg":"another Puppet run did not end in time"`)
	shown, err := os.ReadFile(filepath.Join(dir, "catalog"))
	require.True(t, err != nil || len(shown) == 0, "nobody gets it")
	require.FileExists(t, lock)

	pid := hold() // what is killed takes all of this process's children along
	began := len(runs(t, dir))
	o.Settings.LockWait = time.Minute
	done := make(chan Result)
	go func() { done <- do(t, o) }()
	require.Eventually(t, func() bool { return len(runs(t, dir)) > began }, 20*time.Second, 5*time.Millisecond)
	content, err := os.ReadFile(lock)
	require.NoError(t, err)
	require.Equal(t, pid, string(content))
	require.NoError(t, os.Remove(lock))
	require.Contains(t, (<-done).Stdout, `"status":"changed"`)
	require.NoFileExists(t, lock)

	for _, stale := range []string{"", "x", "0", "4194304000", fmt.Sprint(os.Getpid())} {
		write(t, lock, stale)
		r, _ := applied(t, dir, params, nil)
		require.Contains(t, r.Stdout, `"status":"changed"`, stale)
	}
}

// TestWholeReport: reports of all ages, and none that fills the memory.
func TestWholeReport(t *testing.T) {
	same := func(s string) string { return s }
	for _, name := range []string{"plain", "tagged", "alias", "flow", "apply"} {
		r, err := wholeReport(filepath.Join("testdata", "report-"+name+".yaml"), same)
		require.NoError(t, err)
		require.Equal(t, "changed", r["status"])
		require.IsType(t, map[string]any{}, r["metrics"])
		_, err = json.Marshal(r)
		require.NoError(t, err)
	}
	bomb := "status: changed\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := range 8 {
		bomb += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d,", i), 9), i)
	}
	_, err := wholeReport(write(t, filepath.Join(t.TempDir(), "r"), bomb), same)
	require.Error(t, err)
}

// TestSecretsOf: what the catalog calls a secret is hidden, as a whole and as it
// is printed.
func TestSecretsOf(t *testing.T) {
	c := &applyCatalog{}
	require.NoError(t, json.Unmarshal([]byte(`{"resources":[{"sensitive_parameters":["a","b","c","d","e"],"parameters":{"a":"pass","b":"password1",
		"c":"token-abc\n","d":["BEGIN KEY\nmiddle\n\n} \nEND KEY\n",123456],"e":{"user-x":{"pin":7}},"f":"public"}}]}`), c))
	hide := secretsOf(c)
	for given, want := range map[string]string{
		"is password1":            "is [redacted]",
		"Error: token-abc failed": "Error: [redacted] failed",
		"out: BEGIN KEY":          "out: [redacted]", "out: middle": "out: [redacted]", "} ": "} ",
		"BEGIN KEY\nmiddle\n\n} \nEND KEY\n": "[redacted]",
		"pin 123456, 7":                      "pin [redacted], 7",
		"user-x of public":                   "[redacted] of public",
	} {
		require.Equal(t, want, hide.Replace(given))
	}
}

// TestSecretIsAWordOfPuppet: how an application ended is told whatever the secrets are.
func TestSecretIsAWordOfPuppet(t *testing.T) {
	dir := applyingPuppet(t, `report failed`)
	file := secretFile()
	file.Params["content"] = "failed\ntotal\nresources\nstatus\nsuccess\n/x\nhush-hush\n"
	r, report := applied(t, dir, catalogOf(t, false, file), nil)
	require.Empty(t, r.Error)
	require.Equal(t, "failed", report["status"])
	status := report["resource_statuses"].(map[string]any)["File[/x]"].(map[string]any)
	require.Equal(t, "success", status["events"].([]any)[0].(map[string]any)["status"])
	result, failed := apply.Result(orderParams(t, catalogOf(t, false, file)), "web1", []byte(r.Stdout), nil, r.ExitCode)
	require.True(t, failed)
	require.Contains(t, string(result), `"_output":"changed: 1, failed: 0, unchanged: 7 skipped: 0, noop: 0"`)
}

// TestStaleLock: many that find a stale lock at the same time: one gets it.
func TestStaleLock(t *testing.T) {
	dir := t.TempDir()
	other := exec.Command(write(t, filepath.Join(dir, "some-puppet"), "#!/bin/sh\nread x\n"))
	in, err := other.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, other.Start())
	defer func() { require.NoError(t, in.Close()); _ = other.Wait() }()
	path := filepath.Join(dir, "lock")
	write(t, path, fmt.Sprint(other.Process.Pid))
	require.Eventually(t, func() bool { return puppetHolds(path) }, 10*time.Second, 5*time.Millisecond)
	for range 50 {
		write(t, path, "stale")
		results := make(chan error)
		for range 8 {
			go func() { results <- (&puppetLock{path: path}).take(t.Context(), other.Process.Pid, 0) }()
		}
		got := 0
		for range 8 {
			err := <-results
			if err == nil {
				got++
			} else {
				require.ErrorIs(t, err, errLocked)
			}
		}
		require.Equal(t, 1, got)
	}
}
