//go:build acceptance

package acceptance

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scheduled is a scheduled job as the API shows it.
type scheduled struct {
	NextRun *struct{ Time time.Time } `json:"next_run"`
	LastRun *struct {
		Time time.Time
		Job  struct{ ID, Name string }
	} `json:"last_run"`
}

// testSchedule: a task that comes due while the server is down runs when it is
// up again, once, also after one more restart; one that comes due after a
// restart runs then.
func (w *world) testSchedule(t *testing.T) {
	number := regexp.MustCompile(`^Scheduled job (\d+): `)
	order := func(in string, more ...string) string {
		out, status := w.cli(t, append([]string{"schedule", "create", "--in", in, "--task", "apache", "action=reload", "service_name=" + w.service.name,
			"--nodes", "changes.example.com"}, more...)...)
		require.Equal(t, 0, status)
		return number.FindStringSubmatch(out)[1]
	}
	look := func(name string) scheduled {
		return get[scheduled](t, w.ca, w.server, "/orchestrator/v1/scheduled_jobs/environment_jobs/"+name)
	}
	// done waits until a scheduled job has run, and its job is over.
	done := func(name string) string {
		var job string
		require.Eventually(t, func() bool {
			s := look(name)
			if s.LastRun == nil {
				return false
			}
			job = s.LastRun.Job.Name
			n := w.jobResults(t, job)["changes.example.com"]
			return n.State == "finished"
		}, 2*time.Minute, 200*time.Millisecond)
		return job
	}
	before := len(w.service.reloads(t))
	missed := order("4s", "--description", "while the server is down")
	due := look(missed).NextRun.Time
	require.Nil(t, look(missed).LastRun)
	w.server.Stop(t)
	<-time.After(time.Until(due.Add(time.Second)))
	require.Len(t, w.service.reloads(t), before)
	w.server.Start(t)
	job := done(missed)
	require.Len(t, w.service.reloads(t), before+1)
	require.Nil(t, look(missed).NextRun)

	later := order("8s", "--every", "1h", "--description", "after a restart")
	due = look(later).NextRun.Time
	w.server.Stop(t)
	w.server.Start(t)
	require.True(t, time.Now().Before(due), "it is due after the restart")
	require.NotEqual(t, job, done(later))
	require.False(t, look(later).LastRun.Time.Before(due))
	require.Equal(t, due.Add(time.Hour), look(later).NextRun.Time)
	require.Len(t, w.service.reloads(t), before+2, "what was missed did not run again")
	require.Equal(t, job, look(missed).LastRun.Job.Name)
	w.cli(t, "schedule", "list")
	w.cli(t, "schedule", "show", later)
	out, status := w.cli(t, "schedule", "disable", later)
	require.Equal(t, 0, status)
	require.Equal(t, "Scheduled job "+later+" was disabled.\n", out)
	require.Nil(t, look(later).NextRun)
}
