package agent

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/pcp"
)

// scriptedPuppet counts its runs, waits for the file go, and reports.
func scriptedPuppet(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	script := `#!/bin/sh
dir=` + dir + `
case "$*" in *--configprint*)
  echo "agent_catalog_run_lockfile = $dir/lock"; echo "agent_disabled_lockfile = $dir/disabled"; echo "lastrunreport = $dir/report.yaml"; exit 0;;
esac
echo "$*" >> $dir/runs
while [ ! -e $dir/go ]; do sleep 0.01; done
for job; do :; done
printf '%s\n' "time: '2026-03-01T07:40:03Z'" "transaction_uuid: 7dfc1cc8-e33b-4b6d-8f03-310f0dfaaaf6" "status: changed" "environment: production" "job_id: '$job'" \
  metrics: "  resources:" "    values:" "    - - total" "      - Total" "      - 8" > $dir/tmp
mv $dir/tmp $dir/report.yaml
`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "puppet"), []byte(script), 0o755))
	return dir
}

// agentProcess is an agent that can be killed.
type agentProcess struct {
	t    *testing.T
	path string // of its configuration
	cmd  *exec.Cmd
}

func (s *setting) process(t *testing.T, cfg Config) *agentProcess {
	cfg.Logger = nil
	text, err := json.Marshal(map[string]any{"Brokers": cfg.Brokers, "Data": cfg.Data, "Settings": cfg.Settings, "Pause": cfg.Pause, "MaxPause": cfg.MaxPause})
	require.NoError(t, err)
	p := &agentProcess{t: t, path: filepath.Join(t.TempDir(), "config.json")}
	require.NoError(t, os.WriteFile(p.path, text, 0o600))
	t.Cleanup(p.kill)
	return p
}

func (p *agentProcess) start() {
	log, err := os.OpenFile(p.path+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(p.t, err)
	p.cmd = exec.Command(os.Args[0], "agent", "serve", p.path)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Stderr = log // a file: workers keep it open after the agent's end
	require.NoError(p.t, p.cmd.Start())
	require.NoError(p.t, log.Close())
}

func (p *agentProcess) kill() { p.end(syscall.SIGKILL) }

func (p *agentProcess) end(s syscall.Signal) {
	if p.cmd == nil {
		return
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, s) // with all that stays in its group
	_ = p.cmd.Wait()
	p.cmd = nil
}

func puppetRequest(tx string) map[string]any {
	return map[string]any{"transaction_id": tx, "notify_outcome": true, "module": "pxp-module-puppet", "action": "run",
		"params": map[string]any{"flags": []string{"--noop"}, "job": "81"}}
}

func lines(t *testing.T, path string) []string {
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// TestKilledInARun: the agent is killed in the middle of a Puppet run, which
// goes on and ends, before or after the next agent starts. Puppet ran once, and
// its outcome is told once.
func TestKilledInARun(t *testing.T) {
	for name, c := range map[string]struct {
		signal   syscall.Signal
		endFirst bool // the run ends while there is no agent
	}{
		"killed, ends before":      {syscall.SIGKILL, true},
		"killed, ends afterwards":  {syscall.SIGKILL, false},
		"stopped, ends before":     {syscall.SIGTERM, true},
		"stopped, ends afterwards": {syscall.SIGTERM, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, dir := set(t), scriptedPuppet(t)
			cfg := s.config(t)
			cfg.Settings.Puppet = filepath.Join(dir, "puppet")
			p := s.process(t, cfg)
			p.start()
			s.broker.join()
			tx := uuid.NewString()
			s.broker.send(pcp.NonBlockingRequest, puppetRequest(tx))
			s.broker.next(pcp.ProvisionalResponse)
			require.Eventually(t, func() bool { return len(lines(t, dir+"/runs")) == 1 }, 20*time.Second, 5*time.Millisecond)
			p.end(c.signal)

			result := filepath.Join(cfg.Data, "spool", tx, resultFile)
			proceed := func() { require.NoError(t, os.WriteFile(dir+"/go", nil, 0o600)) }
			if c.endFirst {
				proceed()
				require.Eventually(t, func() bool { _, err := os.Stat(result); return err == nil }, 20*time.Second, 5*time.Millisecond)
			}
			p.start()
			s.broker.join()
			if !c.endFirst {
				require.Equal(t, "running", s.broker.status(tx)["status"])
				proceed()
			}
			m := s.broker.next(pcp.NonBlockingResponse)
			want := `{"time":"2026-03-01T07:40:03Z","transaction_uuid":"7dfc1cc8-e33b-4b6d-8f03-310f0dfaaaf6","environment":"production",
				"status":"changed","metrics":{"total":8},"exitcode":0,"version":1}`
			require.JSONEq(t, `{"transaction_id":"`+tx+`","results":`+want+`}`, string(m.Data))
			status := s.broker.status(tx)
			require.Equal(t, "success", status["status"])
			require.JSONEq(t, want, status["stdout"].(string))

			told := filepath.Join(cfg.Data, "spool", tx, toldFile) // it is written after the message
			require.Eventually(t, func() bool { _, err := os.Stat(told); return err == nil }, 20*time.Second, time.Millisecond)
			// The same request again, and another agent after this one.
			s.broker.send(pcp.NonBlockingRequest, puppetRequest(tx))
			s.broker.next(pcp.ProvisionalResponse)
			p.end(syscall.SIGKILL)
			p.start()
			s.broker.join()
			s.broker.quiet()
			require.Equal(t, []string{"agent --noop --onetime --no-daemonize --verbose --job-id 81"}, lines(t, dir+"/runs"))
		})
	}
}

// TestKilledInAnApplication: the same of a catalog. The worker and its Puppet go
// on, Puppet's lock with them, and the next agent tells how it ended.
func TestKilledInAnApplication(t *testing.T) {
	s, dir := set(t), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "puppet"), []byte(`#!/bin/sh
dir=`+dir+`
case "$*" in *--configprint*) echo "agent_catalog_run_lockfile = $dir/lock"; echo "lastrunreport = $dir/report.yaml"; exit 0;; esac
while [ "$1" != --lastrunreport ]; do shift; done
cat >> $dir/catalogs
while [ ! -e $dir/go ]; do sleep 0.01; done
printf '%s\n' "status: changed" "metrics: {}" "resource_statuses: {}" > "$2"
`), 0o755))
	cfg := s.config(t)
	cfg.Settings.Puppet = filepath.Join(dir, "puppet")
	p := s.process(t, cfg)
	p.start()
	s.broker.join()
	tx := uuid.NewString()
	const catalog = `{"environment":"production","resources":[{"parameters":{"content":"hush-hush"},"sensitive_parameters":["content"],"title":"x","type":"File"}]}`
	request := map[string]any{"transaction_id": tx, "notify_outcome": true, "module": "apply", "action": "apply",
		"params": map[string]any{"catalog": json.RawMessage(catalog), "apply_options": map[string]any{"noop": false}}}
	s.broker.send(pcp.NonBlockingRequest, request)
	s.broker.next(pcp.ProvisionalResponse)
	require.Eventually(t, func() bool { return slices.Equal(lines(t, dir+"/catalogs"), []string{catalog}) }, 20*time.Second, 5*time.Millisecond)
	p.kill()
	require.NoError(t, filepath.WalkDir(cfg.Data, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NotContains(t, string(text), "hush", path)
		}
		return err
	}), "a catalog is never on the disk")
	p.start()
	s.broker.join()
	require.Equal(t, "running", s.broker.status(tx)["status"])
	s.broker.send(pcp.NonBlockingRequest, request)
	s.broker.next(pcp.ProvisionalResponse)
	require.FileExists(t, dir+"/lock")
	require.NoError(t, os.WriteFile(dir+"/go", nil, 0o600))
	m := s.broker.next(pcp.NonBlockingResponse)
	require.JSONEq(t, `{"transaction_id":"`+tx+`","results":{"exitcode":0,"stdout":"{\"metrics\":{},\"resource_statuses\":{},\"status\":\"changed\"}"}}`, string(m.Data))
	require.NoFileExists(t, dir+"/lock")
	require.Equal(t, []string{catalog}, lines(t, dir+"/catalogs"), "once")
}

// TestKilledAnyTime: the agent is killed at moments around the start of a run.
// The server asks for the status and sends the request again while it is
// unknown, as ours does; however that falls, the command runs exactly once.
func TestKilledAnyTime(t *testing.T) {
	s := set(t)
	cfg := s.config(t)
	p := s.process(t, cfg)
	p.start()
	s.broker.join()
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	for i := range rounds {
		tx, mark := uuid.NewString(), filepath.Join(t.TempDir(), "ran")
		s.broker.command(tx, "echo x >> "+mark)
		time.Sleep(time.Duration(i*i) * 300 * time.Microsecond) // where it strikes is the point
		p.kill()
		p.start()
		s.broker.join()
		require.Eventually(t, func() bool {
			s.drain()
			switch status := s.status(tx); status {
			case "unknown":
				s.broker.command(tx, "echo x >> "+mark)
				return false
			default:
				return status == "success"
			}
		}, 20*time.Second, 20*time.Millisecond)
		log, err := os.ReadFile(p.path + ".log")
		require.NoError(t, err)
		require.Equal(t, []string{"x"}, lines(t, mark), fmt.Sprintf("round %d: %s\n%s", i, tx, log))
	}
}

// status asks as status does, and skips what else comes.
func (s *setting) status(tx string) string {
	own := uuid.NewString()
	s.broker.send(pcp.BlockingRequest, map[string]any{"transaction_id": own, "module": "status", "action": "query", "params": map[string]any{"transaction_id": tx}})
	for {
		m := <-s.broker.came
		var w struct {
			Transaction string         `json:"transaction_id"`
			Results     map[string]any `json:"results"`
		}
		if m.Type == pcp.BlockingResponse && json.Unmarshal(m.Data, &w) == nil && w.Transaction == own {
			return w.Results["status"].(string)
		}
	}
}

func (s *setting) drain() {
	for {
		select {
		case <-s.broker.came:
		default:
			return
		}
	}
}
