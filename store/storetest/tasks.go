package storetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/commands/outcome"
	"dalang/orchestrator/job"
)

func testTasks(t *testing.T, open Open) {
	t.Run("secrets end with what they are for", func(t *testing.T) { testSecrets(t, start(t, open, nil)) })
	t.Run("task-targets", func(t *testing.T) { testTaskTargets(t, start(t, open, nil)) })
	t.Run("connections", func(t *testing.T) { testConnections(t, start(t, open, nil)) })
	t.Run("usage", func(t *testing.T) { testUsage(t, start(t, open, nil)) })
}

// newTask stores a task on a and b, which are reached in the ways that are given.
func (b *bench) newTask(connections map[string][]byte) *job.Job {
	b.t.Helper()
	d := &job.Draft{Job: job.Job{Type: job.TypeTask, Task: "facts", Sealed: []byte("request"), Timeout: time.Hour}, Connections: connections}
	for _, n := range []string{"a", "b"} {
		transport := "pcp"
		if connections[n] != nil {
			transport = "ssh"
		}
		d.Nodes = append(d.Nodes, job.Node{Certname: n, Transport: transport})
	}
	j, err := b.CreateJob(b.t.Context(), d)
	require.NoError(b.t, err)
	return j
}

// secrets are what is sealed of a job: request, a, b.
func (b *bench) secrets(id int64) [3]string {
	b.t.Helper()
	var all [3]string
	j, _, _, err := b.WholeJob(b.t.Context(), id)
	require.NoError(b.t, err)
	all[0] = string(j.Sealed)
	for i, n := range []string{"a", "b"} {
		sealed, err := b.JobConnection(b.t.Context(), id, n)
		require.NoError(b.t, err)
		all[i+1] = string(sealed)
	}
	return all
}

func testSecrets(t *testing.T, b *bench) {
	connections := map[string][]byte{"a": []byte("to a"), "b": []byte("to b")}
	j := b.newTask(connections)
	require.Equal(t, "request", string(j.Sealed))
	require.Equal(t, [3]string{"request", "to a", "to b"}, b.secrets(j.ID))
	require.Nil(t, b.job(j.ID).Sealed, "only who runs it is told")
	b.walk(j.ID, "a", job.New, job.Ready, job.Running, job.Finished)
	require.Equal(t, [3]string{"request", "", "to b"}, b.secrets(j.ID))
	b.walk(j.ID, "b", job.New, job.Ready, job.Running, job.Failed)
	require.Equal(t, [3]string{}, b.secrets(j.ID))

	stopped := b.newTask(connections)
	b.changeJobs(job.Batch{Stop: []int64{stopped.ID}, Nodes: []job.NodeMove{moveOf(stopped.ID, "a", job.New, job.Stopped)}})
	require.Equal(t, [3]string{"request", "", "to b"}, b.secrets(stopped.ID))
	b.changeJobs(job.Batch{Nodes: []job.NodeMove{moveOf(stopped.ID, "b", job.New, job.Stopped)}})
	require.Equal(t, [3]string{}, b.secrets(stopped.ID))

	aborted := b.newTask(connections)
	b.changeJobs(job.Batch{Abort: []job.Abort{{JobID: aborted.ID, Why: "x"}}})
	require.Equal(t, [3]string{}, b.secrets(aborted.ID))
}

func testTaskTargets(t *testing.T, b *bench) {
	first := job.TaskTarget{DisplayName: "x", Tasks: []string{"a", "b"}, Nodes: []string{"n"}, NodeGroups: []string{}, PQL: "nodes[certname] {}"}
	second := job.TaskTarget{DisplayName: "x", AllTasks: true, Tasks: []string{}, Nodes: []string{}, NodeGroups: []string{"g"}}
	for i, target := range []*job.TaskTarget{&first, &second} {
		id, err := b.AddTaskTarget(t.Context(), target)
		require.NoError(t, err)
		require.Equal(t, int64(i+1), id)
		target.ID = id
	}
	all, err := b.TaskTargets(t.Context())
	require.NoError(t, err)
	require.Equal(t, []job.TaskTarget{first, second}, all)
	found, err := b.DeleteTaskTarget(t.Context(), 2)
	require.NoError(t, err)
	require.True(t, found)
	found, err = b.DeleteTaskTarget(t.Context(), 2)
	require.NoError(t, err)
	require.False(t, found)
	id, err := b.AddTaskTarget(t.Context(), &job.TaskTarget{DisplayName: "y"})
	require.NoError(t, err)
	require.Equal(t, int64(3), id, "no id is used again")
}

func testConnections(t *testing.T, b *bench) {
	made := func(certname, user string) job.StoredConnection {
		return job.StoredConnection{Certname: certname, ID: uuid.NewSHA1(uuid.NameSpaceDNS, []byte(user)), Type: "ssh",
			Parameters: json.RawMessage(`{"user":"` + user + `"}`), Sealed: []byte(user)}
	}
	add := func(replace bool, list ...job.StoredConnection) []string {
		duplicates, err := b.AddConnections(t.Context(), list, replace)
		require.NoError(t, err)
		return duplicates
	}
	names := func(certnames []string) (users []string) {
		list, err := b.Connections(t.Context(), certnames)
		require.NoError(t, err)
		for _, c := range list {
			users = append(users, c.Certname+" "+string(c.Sealed))
		}
		return users
	}
	require.Empty(t, add(false, made("b", "x"), made("a", "x")))
	require.Equal(t, []string{"b"}, add(false, made("c", "y"), made("b", "y")))
	require.Equal(t, []string{"a x", "b x"}, names(nil), "nothing was stored")
	require.Empty(t, add(true, made("c", "y"), made("b", "y")))
	require.Equal(t, []string{"a x", "b y", "c y"}, names(nil))
	require.Equal(t, []string{"b y"}, names([]string{"b", "nobody"}))
	require.Empty(t, names([]string{}))
	list, err := b.Connections(t.Context(), []string{"a"})
	require.NoError(t, err)
	require.Equal(t, []job.StoredConnection{made("a", "x")}, list)
	require.NoError(t, b.DeleteConnections(t.Context(), []string{"a", "nobody", "c"}))
	require.Equal(t, []string{"b y"}, names(nil))
}

func testUsage(t *testing.T, b *bench) {
	usage := func(first, last time.Time) []job.Usage {
		days, err := b.Usage(t.Context(), first, last)
		require.NoError(t, err)
		return days
	}
	note := func() { require.NoError(t, b.NoteUsage(t.Context(), b.now)) }
	name := func(n int) string { return Day(n).Format("2006-01-02") }
	require.Empty(t, usage(time.Time{}, time.Time{}))
	for _, certname := range []string{"x", "y"} {
		b.facts(outcome.Processed, certname, b.now, "")
	}
	note()
	require.Equal(t, []job.Usage{{Day: name(today), WithAgent: 2}}, usage(time.Time{}, time.Time{}))
	b.facts(outcome.Processed, "z", b.now, "")
	for range 2 { // two jobs, one node
		j := b.newTask(map[string][]byte{"a": []byte("x")})
		b.walk(j.ID, "a", job.New, job.Ready, job.Running)
		b.walk(j.ID, "b", job.New, job.Ready, job.Running)
	}
	for _, plan := range []int64{7, 7, 8} { // two plans; the first has two steps
		d := &job.Draft{Job: job.Job{Type: job.TypePlanCommand, PlanJob: plan, Sealed: []byte("request"), Timeout: time.Hour}}
		for _, n := range []string{"a", "b"} {
			d.Nodes = append(d.Nodes, job.Node{Certname: n, Transport: "pcp"})
		}
		j, err := b.CreateJob(t.Context(), d)
		require.NoError(t, err)
		b.walk(j.ID, "a", job.New, job.Ready, job.Running)
	}
	b.walk(b.newJob("a b").ID, "a", job.New, job.Ready, job.Running) // Puppet is neither
	event := func(property, status, corrective string) string {
		return fmt.Sprintf(`{"status":%q,"timestamp":%q,"corrective_change":%s,"name":null,"property":%q,"message":null,"new_value":null,"old_value":null}`, status, stamp(b.now), corrective, property)
	}
	b.report(outcome.Processed, "x", b.now, map[string]string{"resources": `[{"resource_type":"File","resource_title":"/x","file":null,"line":null,"containment_path":[],
		"skipped":false,"corrective_change":true,"timestamp":"` + stamp(b.now) + `","events":[` + strings.Join([]string{event("a", "success", "false"), event("b", "success", "null"),
		event("c", "success", "true"), event("d", "noop", "true"), event("e", "failure", "false")}, ",") + `]}]`})
	b.now = Day(today).Add(30 * time.Hour)
	note()
	note()
	all := []job.Usage{{Day: name(today + 1), WithAgent: 3}, {Day: name(today), WithAgent: 2, WithoutAgent: 1, Intentional: 2, Corrective: 1, TaskNodes: 4, PlanNodes: 2}}
	require.Equal(t, all, usage(time.Time{}, time.Time{}), "agents are counted when the day begins, others as they are used")
	require.Equal(t, all[1:], usage(Day(today), Day(today)))
	require.Equal(t, all[:1], usage(Day(today+1), time.Time{}))
}
