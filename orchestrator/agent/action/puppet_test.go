package action

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestArguments(t *testing.T) {
	const always = " --onetime --no-daemonize --verbose"
	for name, c := range map[string]struct {
		flags []string
		job   string
		want  string // joined; or
		wrong string
	}{
		"none":            {flags: []string{}, want: "--onetime --no-daemonize --verbose"},
		"job":             {flags: []string{}, job: "81", want: "--onetime --no-daemonize --verbose --job-id 81"},
		"order":           {flags: []string{"--noop", "--environment", "production"}, want: "--noop --environment production" + always},
		"given defaults":  {flags: []string{"--verbose", "--onetime"}, want: "--verbose --onetime --no-daemonize"},
		"equal values":    {flags: []string{"--http_connect_timeout", "30", "--http_read_timeout", "30"}, want: "--http_connect_timeout 30 --http_read_timeout 30" + always},
		"negated":         {flags: []string{"--no-noop", "--no-use_cached_catalog", "--no-color"}, want: "--no-noop --no-use_cached_catalog --no-color" + always},
		"tags":            {flags: []string{"--tags", "a,b::c", "--skip_tags", "d-e.f"}, want: "--tags a,b::c --skip_tags d-e.f" + always},
		"spaces around":   {flags: []string{" --noop "}, want: "--noop" + always},
		"unknown":         {flags: []string{"--server", "evil"}, wrong: "--server is not permitted"},
		"job as flag":     {flags: []string{"--job-id", "3"}, wrong: "--job-id is not permitted"},
		"no- unknown":     {flags: []string{"--no-lock"}, wrong: "--no-lock is not permitted"},
		"contradiction":   {flags: []string{"--no-onetime"}, wrong: "--no-onetime contradicts"},
		"daemonize":       {flags: []string{"--daemonize"}, wrong: "--daemonize contradicts"},
		"short":           {flags: []string{"-t"}, wrong: "-t is neither"},
		"bare word":       {flags: []string{"--noop", "true"}, wrong: "true is neither"},
		"no value":        {flags: []string{"--tags"}, wrong: "--tags needs a value"},
		"flag as value":   {flags: []string{"--tags", "--noop"}, wrong: "--tags needs a value, and --noop follows"},
		"characters":      {flags: []string{"--tags", "a;b"}, wrong: "characters that no flag has"},
		"equals":          {flags: []string{"--tags=a"}, wrong: "characters that no flag has"},
		"empty":           {flags: []string{""}, wrong: "characters that no flag has"},
		"newline":         {flags: []string{"--tags", "a\nb"}, wrong: "characters that no flag has"},
		"job like a flag": {flags: []string{}, job: "--noop", wrong: "job:"},
		"job with spaces": {flags: []string{}, job: "8 1", wrong: "job:"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := puppetParams{c.flags, c.job}.arguments()
			if c.wrong != "" {
				require.ErrorContains(t, err, c.wrong)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, strings.Join(got, " "))
		})
	}
}

// FuzzArguments: whatever comes in, only permitted names reach Puppet, and each
// run ends by itself.
func FuzzArguments(f *testing.F) {
	f.Add("--noop --environment production", "81")
	f.Add("--tags a --tags --onetime", "")
	f.Add("-t --no-onetime", "-x")
	f.Fuzz(func(t *testing.T, flags, job string) {
		args, err := puppetParams{strings.Split(flags, " "), job}.arguments()
		if err != nil {
			return
		}
		for _, a := range args {
			name, isFlag := strings.CutPrefix(a, "--")
			if !isFlag {
				require.False(t, strings.HasPrefix(a, "-"))
				continue
			}
			if a != "--job-id" {
				_, err := checkFlag(a, name)
				require.NoError(t, err)
			}
		}
		for _, always := range []string{"--onetime", "--no-daemonize"} {
			require.Contains(t, args, always)
			require.NotContains(t, args, "--no-"+strings.TrimPrefix(always, "--"))
		}
	})
}

func TestCheckPuppet(t *testing.T) {
	for params, wrong := range map[string]string{
		`{"flags":[]}`:                  "",
		`{"flags":["--noop"],"env":[]}`: "",
		`{}`:                            "flags is missing",
		`{"flags":"--noop"}`:            "cannot unmarshal",
		`{"flags":[1]}`:                 "cannot unmarshal",
		`{"flags":[],"job":81}`:         "cannot unmarshal",
		`[]`:                            "must be an object",
		``:                              "must be an object",
	} {
		err := checkPuppet(json.RawMessage(params))
		if wrong == "" {
			require.NoError(t, err, params)
		} else {
			require.ErrorContains(t, err, wrong, params)
		}
	}
}

func TestReadReport(t *testing.T) {
	const want = `{"changed":1,"failed":0,"total":8}`
	for _, name := range []string{"plain", "tagged", "alias", "flow"} {
		t.Run(name, func(t *testing.T) {
			r, err := readReport(filepath.Join("testdata", "report-"+name+".yaml"))
			require.NoError(t, err)
			require.Equal(t, "changed", r.Status)
			require.Equal(t, "production", r.Environment)
			require.Equal(t, "7dfc1cc8-e33b-4b6d-8f03-310f0dfaaaf6", r.TransactionUUID)
			require.Equal(t, "2026-03-01T07:40:03.805377322+00:00", r.Time)
			require.Equal(t, "81", r.JobID)
			got, err := json.Marshal(r.counters())
			require.NoError(t, err)
			require.JSONEq(t, want, string(got))
		})
	}
	for text, wrong := range map[string]string{
		"":                     "no status",
		"--- []\n":             "cannot unmarshal",
		"status: changed\n":    "no transaction_uuid",
		"a: [\n":               "yaml",
		"--- foo\n":            "cannot unmarshal",
		"transaction_uuid: x ": "no status",
	} {
		_, err := readReport(write(t, filepath.Join(t.TempDir(), "r"), text))
		require.ErrorContains(t, err, wrong, text)
	}
}

func FuzzReport(f *testing.F) {
	for _, name := range []string{"plain", "tagged", "alias", "flow"} {
		text, err := os.ReadFile(filepath.Join("testdata", "report-"+name+".yaml"))
		require.NoError(f, err)
		f.Add(text)
	}
	path := filepath.Join(f.TempDir(), "report")
	f.Fuzz(func(t *testing.T, text []byte) {
		require.NoError(t, os.WriteFile(path, text, 0o600))
		if r, err := readReport(path); err == nil {
			require.NotEmpty(t, r.Status)
			require.True(t, json.Valid(mustJSON(r.result(0))))
		}
	})
}

// fakePuppet is a puppet that does what the shell script behave says, which may
// call report STATUS JOB. It keeps the command lines of its runs.
func fakePuppet(t *testing.T, behave string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	write(t, filepath.Join(dir, "puppet"), `#!/bin/sh
dir=`+dir+`
case "$*" in *--configprint*)
  echo "agent_catalog_run_lockfile = $dir/lock"; echo "agent_disabled_lockfile = $dir/disabled"; echo "lastrunreport = $dir/report.yaml"; exit 0;;
esac
report() {
  printf '%s\n' "--- !ruby/object:Puppet::Transaction::Report" "time: '2026-03-01T07:40:03.805377322+00:00'" "transaction_uuid: u-$2" \
    "status: $1" "environment: production" "job_id: '$2'" metrics: "  resources:" "    values:" "    - - total" "      - Total" "      - 8" > $dir/tmp.yaml
  mv $dir/tmp.yaml $dir/report.yaml
}
echo "$*" >> $dir/runs
`+behave+"\n")
	return dir
}

func runs(t *testing.T, dir string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "runs"))
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func TestPuppetRun(t *testing.T) {
	for name, c := range map[string]struct {
		behave string
		prior  string // status of a report that is there already
		want   puppetResult
		text   string // in the error
		runs   int
		exit   int
	}{
		"changed":        {behave: `report changed 81`, want: puppetResult{Status: "changed", TransactionUUID: "u-81"}, runs: 1},
		"with a prior":   {behave: `report unchanged 81`, prior: "old", want: puppetResult{Status: "unchanged", TransactionUUID: "u-81"}, runs: 1},
		"resources fail": {behave: `report failed 81`, want: puppetResult{Status: "failed", TransactionUUID: "u-81"}, runs: 1},
		"run fails": {behave: `report failed 81; exit 1`, runs: 1, exit: 1, text: "non 0 exitcode",
			want: puppetResult{Status: "failed", TransactionUUID: "u-81", ExitCode: 1, ErrorType: nonZeroExit}},
		"no report": {behave: `exit 0`, prior: "old", runs: 1, exit: 1, text: "no report of its own",
			want: puppetResult{Status: unknown, TransactionUUID: unknown, ErrorType: noReport}},
		"no report and a failure": {behave: `printf '\033[1;31mError: Could not request certificate\033[0m\nExiting\n'; exit 1`, runs: 1, exit: 1,
			text: "unexpected way: Error: Could not request certificate",
			want: puppetResult{Status: unknown, TransactionUUID: unknown, ExitCode: 1, ErrorType: noReport}},
		"disabled": {behave: `touch $dir/disabled; exit 1`, runs: 1, exit: 1, text: "disabled",
			want: puppetResult{Status: unknown, TransactionUUID: unknown, ExitCode: 1, ErrorType: agentDisabled}},
		"invalid report": {behave: `echo 'status: [' > $dir/report.yaml`, runs: 1, exit: 1, text: "could not be loaded",
			want: puppetResult{Status: unknown, TransactionUUID: unknown, ErrorType: invalidReport}},
		// The other run, of another job, ends while ours is being skipped.
		"skipped, then free": {behave: `if [ ! -e $dir/again ]; then touch $dir/again; report changed 7; exit 1; fi; report changed 81`, runs: 2,
			want: puppetResult{Status: "changed", TransactionUUID: "u-81"}},
		"skipped by its words": {behave: `if [ ! -e $dir/again ]; then touch $dir/again; echo 'Run of Puppet configuration client already in progress; skipping'; exit 1; fi
			report changed 81`, runs: 2, want: puppetResult{Status: "changed", TransactionUUID: "u-81"}},
		// Ours fails, and another one begins at once: ours took place.
		"failed, then another": {behave: `report failed 81; echo $PPID > $dir/lock; exit 1`, runs: 1, exit: 1, text: "non 0 exitcode",
			want: puppetResult{Status: "failed", TransactionUUID: "u-81", ExitCode: 1, ErrorType: nonZeroExit}},
		"stale lock": {behave: `echo 999999999 > $dir/lock; exit 1`, runs: 1, exit: 1, text: "it printed nothing",
			want: puppetResult{Status: unknown, TransactionUUID: unknown, ExitCode: 1, ErrorType: noReport}},
		"killed": {behave: `kill -9 $$`, runs: 1, exit: 1, text: "unexpected way",
			want: puppetResult{Status: unknown, TransactionUUID: unknown, ExitCode: 137, ErrorType: noReport}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := fakePuppet(t, c.behave)
			if c.prior != "" {
				write(t, filepath.Join(dir, "report.yaml"), "status: "+c.prior+"\ntransaction_uuid: u\n")
			}
			o := order(t, "pxp-module-puppet", "run", puppetParams{[]string{"--noop"}, "81"})
			o.Settings.Puppet = filepath.Join(dir, "puppet")
			r := do(t, o)
			require.Empty(t, r.Error)
			require.True(t, r.Document)
			require.Equal(t, c.exit, r.ExitCode)
			var got puppetResult
			require.NoError(t, json.Unmarshal([]byte(r.Stdout), &got))
			if c.text != "" {
				require.Contains(t, got.Error, c.text)
			} else {
				require.Empty(t, got.Error)
				require.Equal(t, json.RawMessage("8"), got.Metrics["total"])
				require.Equal(t, "production", got.Environment)
			}
			require.Equal(t, 1, got.Version)
			got.Error, got.Metrics, got.Version, got.Environment, got.Time = "", nil, 0, "", ""
			require.Equal(t, c.want, got)
			require.Len(t, runs(t, dir), c.runs)
			require.Equal(t, "agent --noop --onetime --no-daemonize --verbose --job-id 81", runs(t, dir)[0])
		})
	}
}

// TestPuppetLock: another run holds the lock for a while, or for too long.
func TestPuppetLock(t *testing.T) {
	const behave = `if [ -e $dir/lock ]; then echo seen > $dir/seen; exit 1; fi; report changed 81`
	dir := fakePuppet(t, behave)
	lock := write(t, filepath.Join(dir, "lock"), fmt.Sprint(os.Getpid()))
	o := order(t, "pxp-module-puppet", "run", puppetParams{[]string{}, "81"})
	o.Settings.Puppet = filepath.Join(dir, "puppet")
	done := make(chan Result)
	go func() { done <- Run(context.Background(), dir, o) }()
	require.Eventually(t, func() bool { return exists(filepath.Join(dir, "seen")) }, 10*time.Second, 5*time.Millisecond)
	require.NoError(t, os.Remove(lock))
	require.Contains(t, (<-done).Stdout, `"status":"changed"`)
	require.Len(t, runs(t, dir), 2)

	write(t, lock, fmt.Sprint(os.Getpid()))
	o.Settings.LockWait = time.Millisecond
	r := do(t, o)
	require.Contains(t, r.Stdout, `"error_type":"agent_locked"`)
	require.Equal(t, 1, r.ExitCode)
}

func TestPuppetMissing(t *testing.T) {
	o := order(t, "pxp-module-puppet", "run", puppetParams{[]string{}, "81"})
	o.Settings.Puppet = filepath.Join(t.TempDir(), "puppet")
	require.Contains(t, do(t, o).Stdout, `"error_type":"no_puppet_bin"`)
	o.Settings.Puppet = write(t, o.Settings.Puppet, "#!/bin/sh\necho 'Error: no'; exit 1\n")
	require.Contains(t, do(t, o).Stdout, `"error":"could not find the location of the last run report: puppet agent --configprint ended with status 1: Error: no"`)
	o.Params = json.RawMessage(`{"flags":["--evil"]}`)
	r := do(t, o)
	require.Contains(t, r.Stdout, `"error_type":"invalid_json"`)
	require.Contains(t, r.Stdout, `"exitcode":-1`)
}

// TestPuppetOutput: a service that a run leaves behind with its output open
// neither holds us up nor dies of a closed pipe.
func TestPuppetOutput(t *testing.T) {
	dir := fakePuppet(t, `(while [ ! -e $dir/stop ]; do echo hello || exit; sleep 0.02; done; touch $dir/stopped) & report changed 81`)
	o := order(t, "pxp-module-puppet", "run", puppetParams{[]string{}, "81"})
	o.Settings.Puppet = filepath.Join(dir, "puppet")
	spool := t.TempDir()
	require.Contains(t, Run(context.Background(), spool, o).Stdout, `"status":"changed"`)
	left, err := os.ReadDir(spool)
	require.NoError(t, err)
	require.Empty(t, left)
	write(t, filepath.Join(dir, "stop"), "")
	require.Eventually(t, func() bool { return exists(filepath.Join(dir, "stopped")) }, 10*time.Second, 10*time.Millisecond)
}
