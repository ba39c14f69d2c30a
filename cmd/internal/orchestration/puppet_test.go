package orchestration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/dalangtest"
)

// node is a node with a puppet that does what it is told, and sends its report
// to the server as Puppet Server would.
type node struct {
	Certname string
	Dir      string
	PuppetDB string // plain URL of the server
	Broker   string // wss URL of the server
	Files    string // https URL of the server, for files of tasks
	Data     string // of the agent
	Cert     string
	Key      string
	CA       string

	Status string        // of its reports: changed, unchanged, failed
	Noop   bool          // its own configuration says noop
	Takes  time.Duration // a run
	Silent bool          // its reports do not reach the server
	Breaks bool          // a run ends without a report
}

// newNode makes a node of the world; change may say how it behaves.
func (w *world) newNode(t *testing.T, certname string, change func(*node)) *node {
	t.Helper()
	n := &node{Certname: certname, Dir: t.TempDir(), PuppetDB: w.URL(""), Broker: "wss://" + w.pcp + "/pcp2/", Files: "https://" + w.pcp, Status: "changed", CA: w.ca.Path("ca.pem")}
	n.Cert, n.Key = w.ca.Issue(t, certname)
	n.Data = filepath.Join(n.Dir, "agent")
	n.change(t, func(n *node) {
		if change != nil {
			change(n)
		}
	})
	self, err := os.Executable()
	require.NoError(t, err)
	script := fmt.Sprintf("#!/bin/sh\n%s='%s' exec '%s' \"$@\"\n", puppetOf, n.Dir, self)
	require.NoError(t, os.WriteFile(n.file("puppet"), []byte(script), 0o700))
	return n
}

// change changes how the node behaves from now on.
func (n *node) change(t *testing.T, how func(*node)) {
	t.Helper()
	how(n)
	text, err := json.Marshal(n)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(n.file("node.json"), text, 0o600))
}

func (n *node) file(name string) string { return filepath.Join(n.Dir, name) }

// runs are the command lines with which puppet ran.
func (n *node) runs(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(n.file("runs"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	require.NoError(t, err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// agentFlags are the settings of the node's agent.
func (n *node) agentFlags() []string {
	var flags []string
	for _, pair := range []string{"brokers=" + n.Broker, "data=" + n.Data, "puppet=" + n.file("puppet"),
		"ssl-cert=" + n.Cert, "ssl-key=" + n.Key, "ssl-ca-cert=" + n.CA, "primary-uris=" + n.Files} {
		flags = append(flags, "--set", pair)
	}
	return flags
}

// start runs the node's agent until the test ends, with more settings.
func (n *node) start(t *testing.T, settings ...string) {
	t.Helper()
	flags := n.agentFlags()
	for _, pair := range settings {
		flags = append(flags, "--set", pair)
	}
	dalangtest.Process(t, binary(t), append([]string{"agent"}, flags...)...)
}

// runPuppet is the puppet of the node in dir.
func runPuppet(dir string, args []string) error {
	text, err := os.ReadFile(filepath.Join(dir, "node.json"))
	if err != nil {
		return err
	}
	var n node
	if err := json.Unmarshal(text, &n); err != nil {
		return err
	}
	if slices.Contains(args, "--configprint") {
		fmt.Printf("agent_catalog_run_lockfile = %[1]s/lock\nagent_disabled_lockfile = %[1]s/disabled\nlastrunreport = %[1]s/report.yaml\n", dir)
		return nil
	}
	if args[0] == "apply" {
		return n.apply(args)
	}
	if err := appendLine(n.file("runs"), strings.Join(args, " ")); err != nil {
		return err
	}
	time.Sleep(n.Takes)
	if n.Breaks {
		return errors.New("Could not retrieve catalog from remote server")
	}
	return n.report(args)
}

func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(line + "\n"); err != nil {
		return err
	}
	return f.Close()
}

// counters are what a node's report says of its resources.
func (n *node) counters(noop bool) map[string]int {
	c := map[string]int{"total": 80, "changed": 0, "failed": 0, "skipped": 0, "restarted": 0, "failed_to_restart": 0, "scheduled": 0, "out_of_sync": 0, "corrective_change": 0}
	switch {
	case noop:
		c["out_of_sync"] = 3
	case n.Status == "changed":
		c["changed"], c["out_of_sync"], c["restarted"] = 3, 3, 1
	case n.Status == "failed":
		c["failed"], c["skipped"], c["out_of_sync"] = 1, 2, 1
	}
	return c
}

// report sends a report to PuppetDB and leaves it where the agent looks.
func (n *node) report(args []string) error {
	option := func(name string) string {
		if i := slices.Index(args, name); i >= 0 && i+1 < len(args) {
			return args[i+1]
		}
		return ""
	}
	noop := n.Noop && !slices.Contains(args, "--no-noop") || slices.Contains(args, "--noop")
	status := n.Status
	if noop && status == "changed" {
		status = "unchanged"
	}
	job, transaction := option("--job-id"), uuid.NewString()
	environment := option("--environment")
	if environment == "" {
		environment = "own"
	}
	if err := n.submit(job, transaction, environment, status, noop); err != nil {
		return err
	}
	var y strings.Builder
	fmt.Fprintf(&y, "--- !ruby/object:Puppet::Transaction::Report\ntime: '%s'\ntransaction_uuid: %s\nstatus: %s\nenvironment: %s\njob_id: '%s'\nmetrics:\n  resources:\n    values:\n",
		time.Now().UTC().Format(time.RFC3339Nano), transaction, status, environment, job)
	for name, value := range n.counters(noop) {
		fmt.Fprintf(&y, "    - - %s\n      - %s\n      - %d\n", name, name, value)
	}
	if err := os.WriteFile(n.file("report.tmp"), []byte(y.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(n.file("report.tmp"), n.file("report.yaml"))
}

// submit sends the report, until the server takes it: it may be starting anew.
func (n *node) submit(job, transaction, environment, status string, noop bool) error {
	if n.Silent {
		return nil
	}
	now := time.Now().UTC()
	stamp := now.Format(time.RFC3339Nano)
	metrics := []map[string]any{}
	for name, value := range n.counters(noop) {
		metrics = append(metrics, map[string]any{"category": "resources", "name": name, "value": float64(value)})
	}
	body, err := json.Marshal(map[string]any{
		"certname": n.Certname, "environment": environment, "puppet_version": "7.23.0", "report_format": 12, "configuration_version": "rev-1",
		"start_time": now.Add(-n.Takes).Format(time.RFC3339Nano), "end_time": stamp, "producer_timestamp": stamp, "producer": "puppet.example.com",
		"transaction_uuid": transaction, "catalog_uuid": nil, "code_id": nil, "job_id": job, "cached_catalog_status": "not_used", "status": status,
		"noop": noop, "noop_pending": noop, "corrective_change": false, "metrics": metrics, "logs": []any{}, "resources": []any{},
	})
	if err != nil {
		return err
	}
	q := url.Values{"command": {"store_report"}, "version": {"8"}, "certname": {n.Certname}, "producer-timestamp": {stamp}}
	for end := now.Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		res, err := http.Post(n.PuppetDB+"/pdb/cmd/v1?"+q.Encode(), "application/json", bytes.NewReader(body))
		if err == nil {
			err = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return err
			}
		}
		if time.Now().After(end) {
			return errors.New("PuppetDB did not take the report")
		}
	}
}
