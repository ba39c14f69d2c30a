package orchestrator_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator"
	"dalang/orchestrator/download"
	"dalang/orchestrator/job"
)

// TestDownload: a node's file is kept, also when the server was killed meanwhile,
// and nothing of it is in the database.
func TestDownload(t *testing.T) {
	const content = "t0ps3cret-and-long"
	source := filepath.Join(t.TempDir(), "motd")
	require.NoError(t, os.WriteFile(source, []byte(content), 0o600))
	command := download.Command(source)
	sent, err := exec.Command("sh", "-c", command).Output()
	require.NoError(t, err)
	kept := filepath.Join(t.TempDir(), "downloads")
	inWorld(t, "a b c", func(t *testing.T, w *world) {
		w.agents["a"].answers, w.agents["b"].answers, w.agents["c"].answers = string(sent), string(sent), "cannot\n"
		w.agents["b"].mute = true
		keeping := func(c *orchestrator.Config) {
			k, err := download.New(download.Config{Dir: kept, Limits: download.Limits{Spare: 1}})
			require.NoError(t, err)
			c.Tasking.Downloads = k
		}
		l := w.start(keeping)
		params, err := json.Marshal(map[string]any{"command": command, "download": job.Download{Source: source, Destination: "d"}})
		require.NoError(t, err)
		id, err := l.engine.Step(t.Context(), nil, job.Step{Type: job.TypePlanCommand, PlanJob: 7, Environment: "production",
			Scope: job.Scope{Nodes: []string{"a", "b", "c"}}, Params: params, Options: json.RawMessage(`{"download":"x"}`)})
		require.NoError(t, err)
		pass(90 * time.Second)
		require.Equal(t, "a finished, b running, c failed: running", w.states(id))
		for _, r := range w.agents["a"].asked {
			require.Equal(t, "command run", r.Module+" "+r.Action)
			asked, err := json.Marshal(map[string]string{"command": command})
			require.NoError(t, err)
			require.JSONEq(t, string(asked), string(r.Params))
		}
		l.kill()
		<-l.over
		l = w.start(keeping)
		defer l.stop()
		pass(time.Second)
		require.Equal(t, "a finished, b finished, c failed: failed", w.states(id))
		for _, certname := range []string{"a", "b"} {
			path := filepath.Join(kept, "7/d", certname, "motd")
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, content, string(text))
			n := w.node(id, certname)
			require.JSONEq(t, fmt.Sprintf(`{"path":%q,"_output":"Downloaded '%s:%s' to '%s'"}`, path, certname, source, filepath.Dir(path)), string(n.Result))
			require.Equal(t, "Finished download on "+certname+" - Success!", n.Message)
		}
		require.Contains(t, string(w.node(id, "c").Result), `"issue_code":"READ_ERROR"`)
		require.NotContains(t, string(w.node(id, "c").Result), "cannot\\n", "what a command wrote may be of the file")
		require.False(t, w.onDisk(content))
		require.False(t, w.onDisk(string(sent[len(sent)-60:len(sent)-2])))
		require.False(t, w.onDisk(source[:len(source)-1]+"d\"}}"), "what its nodes are asked is sealed")
	})
}

// TestNoDownloads: a server that keeps none.
func TestNoDownloads(t *testing.T) {
	inWorld(t, "a", func(t *testing.T, w *world) {
		l := w.start(nil)
		defer l.stop()
		id, err := l.engine.Step(t.Context(), nil, job.Step{Type: job.TypePlanCommand, PlanJob: 7, Environment: "production", Scope: job.Scope{Nodes: []string{"a"}},
			Params: json.RawMessage(`{"command":"x","download":{"source":"/x","destination":"d"}}`), Options: json.RawMessage(`{}`)})
		require.NoError(t, err)
		pass(time.Second)
		require.Equal(t, "a errored: failed", w.states(id))
		require.Contains(t, w.node(id, "a").Message, "keeps no files of nodes")
	})
}
