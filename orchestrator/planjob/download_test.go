package planjob_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/download"
	"dalang/orchestrator/job"
	"dalang/orchestrator/planjob"
)

// downloads are of plan jobs, by their ids. Those that are pruned go.
type downloads chan map[int64]bool

func (d downloads) Prune(ctx context.Context, known func(context.Context, int64) (bool, error)) (n int, err error) {
	all := <-d
	defer func() { d <- all }()
	for id := range all {
		there, err := known(ctx, id)
		if err != nil {
			return n, err
		}
		if !there {
			delete(all, id)
			n++
		}
	}
	return n, nil
}

// TestDownload: a step that downloads is a command, whose result says where the
// file is.
func TestDownload(t *testing.T) {
	w := newWorld(t, plans())
	kept := make(downloads, 1)
	kept <- map[int64]bool{}
	w.start(func(c *planjob.Config) { c.Downloads = kept })
	w.results = func(name string) (job.State, string) {
		return job.Finished, fmt.Sprintf(`{"path":"/d/%s/x","_output":"Downloaded"}`, name)
	}
	p := w.run("m::down", `{}`)
	require.Equal(t, job.PlanSuccess, p.State, "%s", p.Result)
	require.JSONEq(t, `[{"target":"a","action":"download","object":"/etc/x","status":"success","value":{"path":"/d/a/x","_output":"Downloaded"}},
		{"target":"b","action":"download","object":"/etc/x","status":"success","value":{"path":"/d/b/x","_output":"Downloaded"}}]`, string(p.Result))
	s := w.steps[0]
	require.Equal(t, job.TypePlanCommand, s.Type)
	require.Equal(t, "root", s.RunAs)
	var params struct {
		Command  string
		Download job.Download
	}
	require.NoError(t, json.Unmarshal(s.Params, &params))
	require.Equal(t, download.Command("/etc/x"), params.Command)
	require.Equal(t, job.Download{Source: "/etc/x", Destination: "y"}, params.Download)
	require.JSONEq(t, fmt.Sprintf(`{"download":"/etc/x","destination":"y","description":"","environment":"production","noop":false,"plan_job":"%d","run_as":"root","scope":{"nodes":["a","b"]}}`, p.ID), string(s.Options))
	events, err := w.store.PlanEvents(t.Context(), p.ID, 0, 0)
	require.NoError(t, err)
	require.Equal(t, job.EventCommand, events[0].Type)
	require.Equal(t, "Job 1: download /etc/x", events[0].Message)

	w.results = func(string) (job.State, string) {
		return job.Failed, `{"_error":{"kind":"puppetlabs.tasks/task_file_error","issue_code":"READ_ERROR","msg":"no such file","details":{}}}`
	}
	p = w.run("m::down", `{}`)
	require.Contains(t, string(p.Result), "download_file '/etc/x' failed on 2 targets")
	p = w.run("m::down", `{"to":"../up"}`)
	require.JSONEq(t, `{"kind":"bolt/validation-error","msg":"download '/etc/x': the destination '../up' must not have . or .. in it","details":{}}`, string(p.Result))

	w.end()
	w.start(nil)
	require.Contains(t, string(w.run("m::down", `{}`).Result), `"kind":"bolt/action-refused","msg":"Files cannot be downloaded`)
}

// TestDownloadsPruned: the files of plan jobs go with them.
func TestDownloadsPruned(t *testing.T) {
	w := newWorld(t, plans()).start(nil)
	p := w.run("m", `{}`)
	w.end()
	kept := make(downloads, 1)
	kept <- map[int64]bool{p.ID: true, 1000: true}
	w.start(func(c *planjob.Config) { c.Downloads = kept })
	left := func() map[int64]bool {
		all := <-kept
		defer func() { kept <- all }()
		now := map[int64]bool{}
		for id := range all {
			now[id] = true
		}
		return now
	}
	require.Eventually(t, func() bool { return len(left()) == 1 }, 10*time.Second, time.Millisecond)
	require.True(t, left()[p.ID], "1000 is of no plan job")
	w.end()
	w.start(func(c *planjob.Config) {
		c.Downloads, c.Now = kept, func() time.Time { return time.Now().AddDate(0, 2, 0) }
	})
	require.Eventually(t, func() bool { return len(left()) == 0 }, 10*time.Second, time.Millisecond)
}
