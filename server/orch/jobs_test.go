package orch_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
	"dalang/server/orch"
)

func echo(t *testing.T, d job.Deploy) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(d)
	require.NoError(t, err)
	return text
}

// sample is a job that has ended.
func sample(t *testing.T) job.Job {
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	target := "Forge['production']"
	return job.Job{
		ID: 1234, Type: job.TypeDeploy, State: job.Finished, Environment: "production", Description: "why",
		Options: echo(t, job.Deploy{Environment: "production", EnforceEnvironment: true, Target: &target, Userdata: json.RawMessage(`{"a":1}`)}),
		Owner:   somebody{}.Owner(), Userdata: json.RawMessage(`{"a":1}`), Timestamp: at(61), Created: at(0), Started: at(1), Finished: at(61).Add(500 * time.Millisecond),
		Spans: []job.Span{
			{State: job.New, Enter: at(0), Exit: at(0)}, {State: job.Ready, Enter: at(0), Exit: at(1)},
			{State: job.Running, Enter: at(1), Exit: at(61)}, {State: job.Finished, Enter: at(61)},
		},
		NodeCount: 2, Nodes: job.Counts{job.Finished: 2},
	}
}

func TestJob(t *testing.T) {
	a := newAPI(t, nil)
	a.jobs = []job.Job{sample(t)}
	for _, path := range []string{"/orchestrator/v1/jobs/1234", "/orchestrator/v1/jobs/1234/"} {
		text := a.get(t, path)
		strict[clientJob](t, text)
		require.JSONEq(t, `{
			"id":"`+rootURL+`/jobs/1234", "name":"1234", "state":"finished", "command":"deploy", "type":"deploy",
			"options":{"environment":"production","enforce_environment":true,"scope":{},"target":"Forge['production']","noop":false,"no_noop":false,
				"concurrency":null,"description":"","debug":false,"trace":false,"evaltrace":false,"filetimeout":null,"http_connect_timeout":null,
				"http_keepalive_timeout":null,"http_read_timeout":null,"ordering":null,"tags":null,"skip_tags":null,"use_cached_catalog":null,
				"usecacheonfailure":null,"timeout":null,"userdata":{"a":1}},
			"owner":{"id":"751a8f7e-b53a-4ccd-9f4f-e93db6aa38ec","login":"brian","email":"","display_name":"Brian","is_superuser":false,
				"is_remote":false,"is_revoked":false,"is_group":false,"last_login":null,"role_ids":[2],"inherited_role_ids":[],"group_ids":[]},
			"description":"why", "timestamp":"2026-05-20T12:01:01Z", "created_timestamp":"2026-05-20T12:00:00Z",
			"started_timestamp":"2026-05-20T12:00:01Z", "finished_timestamp":"2026-05-20T12:01:01Z", "duration":60.5,
			"environment":{"name":"production"}, "node_count":2, "node_states":{"finished":2},
			"status":[
				{"state":"new","enter_time":"2026-05-20T12:00:00Z","exit_time":"2026-05-20T12:00:00Z"},
				{"state":"ready","enter_time":"2026-05-20T12:00:00Z","exit_time":"2026-05-20T12:00:01Z"},
				{"state":"running","enter_time":"2026-05-20T12:00:01Z","exit_time":"2026-05-20T12:01:01Z"},
				{"state":"finished","enter_time":"2026-05-20T12:01:01Z","exit_time":null}],
			"nodes":{"id":"`+rootURL+`/jobs/1234/nodes"}, "report":{"id":"`+rootURL+`/jobs/1234/report"},
			"events":{"id":"`+rootURL+`/jobs/1234/events"}, "userdata":{"a":1}}`, string(text))
	}
	// Before it runs, what is not there is null.
	a.jobs[0].Started, a.jobs[0].Finished, a.jobs[0].NodeCount, a.jobs[0].Nodes = time.Time{}, time.Time{}, 0, nil
	j := strict[clientJob](t, a.get(t, "/orchestrator/v1/jobs/1234"))
	require.Nil(t, j.StartedTimestamp)
	require.Nil(t, j.FinishedTimestamp)
	require.Nil(t, j.Duration)
	require.Nil(t, j.NodeStates)
}

// TestJobErrors: the documented errors of every route below a job.
func TestJobErrors(t *testing.T) {
	a := newAPI(t, nil)
	for _, below := range []string{"", "/nodes", "/report", "/events"} {
		for _, bad := range []string{"x", "1.5", "1x", "%20"} {
			a.refused(t, http.MethodGet, "/orchestrator/v1/jobs/"+bad+below, "", http.StatusBadRequest, "validation-error")
		}
		for _, unknown := range []string{"1", "-1", "99999999999999999999"} {
			e := a.refused(t, http.MethodGet, "/orchestrator/v1/jobs/"+unknown+below, "", http.StatusNotFound, "unknown-job")
			require.Equal(t, unknown, e.Details["job"])
		}
	}
}

// TestJobList: parameters reach the store, and the answer tells them.
func TestJobList(t *testing.T) {
	limit := 20
	for query, want := range map[string]struct {
		filter job.Filter
		page   clientPagination
	}{
		"":                         {job.Filter{}, clientPagination{Order: "desc", OrderBy: "name"}},
		"?limit=20":                {job.Filter{Limit: 20}, clientPagination{Limit: &limit, Order: "desc", OrderBy: "name"}},
		"?limit=20&offset=5":       {job.Filter{Limit: 20, Offset: 5}, clientPagination{Limit: &limit, Offset: 5, Order: "desc", OrderBy: "name"}},
		"?order_by=owner":          {job.Filter{OrderBy: "owner"}, clientPagination{Order: "asc", OrderBy: "owner"}},
		"?order=desc":              {job.Filter{OrderBy: "timestamp", Desc: true}, clientPagination{Order: "desc", OrderBy: "timestamp"}},
		"?order=asc&order_by=name": {job.Filter{OrderBy: "name"}, clientPagination{Order: "asc", OrderBy: "name"}},
		"?type=deploy":             {job.Filter{Type: job.TypeDeploy}, clientPagination{Order: "desc", OrderBy: "name", Type: "deploy"}},
		"?type=task&task=pack":     {job.Filter{Type: job.TypeTask, Task: "pack"}, clientPagination{Order: "desc", OrderBy: "name", Type: "task"}},
		"?task=pack":               {job.Filter{Task: "pack"}, clientPagination{Order: "desc", OrderBy: "name"}},
		"?min_finish_timestamp=2026-05-20T12:00:00Z&max_finish_timestamp=2026-05-20T12:00:00Z": {
			job.Filter{MinFinished: noon, MaxFinished: noon.Add(999 * time.Millisecond)}, clientPagination{Order: "desc", OrderBy: "name"}},
		"?min_finish_timestamp=2026-05-20T14:00:00%2B02:00": {job.Filter{MinFinished: noon}, clientPagination{Order: "desc", OrderBy: "name"}},
	} {
		a := newAPI(t, nil)
		a.jobs = []job.Job{sample(t)}
		list := strict[clientJobs](t, a.get(t, "/orchestrator/v1/jobs"+query))
		require.Equal(t, want.filter, a.filter, query)
		want.page.Total = 1
		require.Equal(t, want.page, list.Pagination, query)
		require.Equal(t, "1234", list.Items[0].Name)
	}
	a := newAPI(t, nil)
	require.JSONEq(t, `{"items":[],"pagination":{"limit":null,"offset":0,"order":"desc","order_by":"name","total":0}}`, string(a.get(t, "/orchestrator/v1/jobs")))
	for _, query := range []string{
		"limit=x", "limit=", "limit=0", "limit=-1", "limit=1.5", "offset=-1", "offset=x", "order=up", "order_by=id", "type=run", "type=",
		"type=deploy&task=x", "min_finish_timestamp=yesterday", "max_finish_timestamp=2026-13-01",
	} {
		e := a.refused(t, http.MethodGet, "/orchestrator/v1/jobs?"+query, "", http.StatusBadRequest, "validation-error")
		require.Contains(t, query, e.Details["key"], query)
	}
}

// everyState is a node in each state, as a store has it.
func everyState() []job.Node {
	report := "3c8e3c0f-5f5c-4f3a-8a57-5c0f1d1f1b11"
	metrics := `{"total":82,"failed":0,"changed":51,"skipped":0,"restarted":2,"scheduled":0,"out_of_sync":51,"failed_to_restart":0,"corrective_change":0}`
	result := `{"hash":"a15bf509dd7c40705e4e1c24d0935e2e8a1591df","transaction_uuid":"` + report + `","noop":{"noop":false,"no_noop":false},"status":"changed",
		"metrics":` + metrics + `,"environment":"production","configuration_version":"1"}`
	began := noon.Add(-30 * time.Second)
	node := func(state job.State, message, details string) job.Node {
		n := job.Node{JobID: 1, Certname: string(state) + ".example.com", State: state, Transport: "pcp", Timestamp: noon, Message: message, Details: json.RawMessage(details)}
		if message != "" {
			n.LatestEvent = 13
		}
		return n
	}
	list := []job.Node{
		node(job.New, "", `{}`), node(job.Ready, "", `{}`), node(job.Running, "Started puppet run on running.example.com ...", `{}`),
		node(job.Finished, "Finished puppet run on finished.example.com - Success!", `{"metrics":`+metrics+`}`),
		node(job.Failed, "Finished puppet run on failed.example.com - Failed!", `{"metrics":`+metrics+`}`),
		node(job.Errored, "Error running puppet on errored.example.com: not connected", `{"detail":{"kind":"puppetlabs.orchestrator/execution-failure","msg":"not connected"}}`),
		node(job.Skipped, "Skipped puppet run on skipped.example.com: failed.example.com failed", `{"detail":{"kind":"puppetlabs.orchestrator/dependency-failed","msg":"failed.example.com failed"}}`),
		node(job.Stopped, "Skipped puppet run on stopped.example.com: job stopped", `{"detail":{"msg":"job stopped"}}`),
	}
	for i := range list {
		switch n := &list[i]; n.State {
		case job.Running:
			n.Started = began
		case job.Finished, job.Failed:
			n.Started, n.Finished, n.TransactionUUID, n.Result = began, noon, report, json.RawMessage(result)
			n.ReportHash = "a15bf509dd7c40705e4e1c24d0935e2e8a1591df"
		case job.Errored:
			n.Finished, n.Result = noon, json.RawMessage(`{"kind":"puppetlabs.orchestrator/execution-failure","msg":"not connected","details":{"node":"errored.example.com"}}`)
		}
	}
	return list
}

func TestNodes(t *testing.T) {
	a := newAPI(t, func(c *orch.Config) { c.ReportURL = "https://peconsole.example.com/#/cm/report/{hash}" })
	a.jobs, a.nodes, a.events = []job.Job{sample(t)}, everyState(), make([]job.Event, 12)
	list := strict[clientNodes](t, a.get(t, "/orchestrator/v1/jobs/1234/nodes"))
	require.Equal(t, clientNext{rootURL + "/jobs/1234/events?start=13", "13"}, list.NextEvents)
	by := map[string]clientNode{}
	for _, n := range list.Items {
		by[n.State] = n
		require.Equal(t, n.Details.Message, n.Message, n.State)
	}
	for _, state := range []string{"new", "ready"} {
		require.Zero(t, by[state].Details, state)
		require.Zero(t, by[state].LatestEventID)
		require.Nil(t, by[state].Duration)
		require.Nil(t, by[state].Result)
	}
	require.Equal(t, 30, *by["running"].Details.RunTime)
	require.InDelta(t, 30, *by["running"].Duration, 0)
	for _, state := range []string{"finished", "failed"} {
		n := by[state]
		require.Equal(t, "https://peconsole.example.com/#/cm/report/a15bf509dd7c40705e4e1c24d0935e2e8a1591df", n.Details.ReportURL)
		require.Equal(t, 51, n.Details.Metrics.Changed)
		require.Equal(t, "3c8e3c0f-5f5c-4f3a-8a57-5c0f1d1f1b11", *n.TransactionUUID)
		require.Equal(t, "2026-05-20T12:00:00Z", *n.FinishTimestamp)
		require.Equal(t, map[string]any{"noop": false, "no_noop": false}, n.Result["noop"]) // an object: trap 11
		require.Nil(t, n.Details.RunTime)
	}
	for _, state := range []string{"errored", "skipped", "stopped"} {
		require.NotEmpty(t, (*by[state].Details.Detail)["msg"], state)
		require.Nil(t, by[state].TransactionUUID)
		require.Nil(t, by[state].Duration)
	}
	a = newAPI(t, nil)
	a.jobs, a.nodes = []job.Job{sample(t)}, everyState()[3:4]
	n := strict[clientNodes](t, a.get(t, "/orchestrator/v1/jobs/1234/nodes?state=finished&order_by=duration&limit=7&offset=1")).Items[0]
	require.Equal(t, job.NodeFilter{State: job.Finished, OrderBy: "duration", Limit: 7, Offset: 1, Now: noon}, a.nodesBy)
	require.Equal(t, `https://orchestrator.example.com:8143/pdb/query/v4/reports?query=%5B%22%3D%22%2C%22hash%22%2C%22a15bf509dd7c40705e4e1c24d0935e2e8a1591df%22%5D`,
		n.Details.ReportURL)
	for _, query := range []string{"state=done", "order_by=certname", "limit=0", "order=x"} {
		a.refused(t, http.MethodGet, "/orchestrator/v1/jobs/1234/nodes?"+query, "", http.StatusBadRequest, "validation-error")
	}
}

func TestEvents(t *testing.T) {
	a := newAPI(t, nil)
	a.jobs, a.nodes = []job.Job{sample(t)}, everyState()[2:4]
	a.events = []job.Event{
		{ID: 1267, JobID: 1234, Type: job.NodeRunning, Certname: "finished.example.com", At: noon, Message: "Started puppet run on finished.example.com ...",
			Details: json.RawMessage(`{"node":"finished.example.com","detail":{"noop":false}}`)},
		{ID: 1270, JobID: 1234, Type: job.JobFinished, At: noon, Message: "Job finished", Details: json.RawMessage(`{"state":"finished","job":"1234"}`)},
	}
	const path = "/orchestrator/v1/jobs/1234/events"
	events := strict[clientEvents](t, a.get(t, path))
	require.Equal(t, clientNext{rootURL + "/jobs/1234/events?start=1271", "1271"}, events.NextEvents)
	require.Equal(t, []string{"1267", "1270"}, []string{events.Items[0].ID, events.Items[1].ID})
	require.Equal(t, "finished.example.com", events.Items[0].Details.Node)
	require.Len(t, strict[clientEvents](t, a.get(t, path+"?start=1268")).Items, 1)
	// Nothing new: go on where you were.
	none := strict[clientEvents](t, a.get(t, path+"?start=1271"))
	require.Equal(t, "1271", none.NextEvents.Event)
	require.Empty(t, none.Items)
	for _, start := range []string{"x", "", "1.5"} {
		e := a.refused(t, http.MethodGet, path+"?start="+start, "", http.StatusBadRequest, "validation-error")
		require.Equal(t, "an integer", e.Details["expected"])
	}

	report := strict[clientReport](t, a.get(t, "/orchestrator/v1/jobs/1234/report"))
	require.Equal(t, "running.example.com", report.Items[0].Node)
	require.Empty(t, report.Items[0].Events)
	require.Equal(t, "1267", report.Items[1].Events[0].ID)
}

func TestInventory(t *testing.T) {
	a := newAPI(t, nil)
	a.connections = []orch.Connection{{Certname: "a.example.com", Broker: "pcp://orch.example.com/server", Since: noon.Add(5 * time.Millisecond)}}
	there := `{"name":"a.example.com","connected":true,"broker":"pcp://orch.example.com/server","timestamp":"2026-05-20T12:00:00.005Z"}`
	text := a.get(t, "/orchestrator/v1/inventory")
	strict[clientInventory](t, text)
	require.JSONEq(t, `{"items":[`+there+`]}`, string(text))
	require.JSONEq(t, there, string(a.get(t, "/orchestrator/v1/inventory/a.example.com")))
	require.JSONEq(t, `{"name":"b","connected":false}`, string(a.get(t, "/orchestrator/v1/inventory/b")))
	status, text, _ := a.ask(t, http.MethodPost, "/orchestrator/v1/inventory", `{"nodes":["b","a.example.com"]}`)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"items":[{"name":"b","connected":false},`+there+`]}`, string(text))
	for _, body := range []string{`{}`, `{"nodes":"a"}`, `{"nodes":[1]}`, `[]`, `{"nodes":[],"x":1}`} {
		a.refused(t, http.MethodPost, "/orchestrator/v1/inventory", body, http.StatusBadRequest, "validation-error")
	}
	a.broken = errors.New("the broker is down")
	for _, path := range []string{"/orchestrator/v1/inventory", "/orchestrator/v1/inventory/b"} {
		a.refused(t, http.MethodGet, path, "", http.StatusInternalServerError, "unknown-error")
	}
}

func TestEnvironments(t *testing.T) {
	a := newAPI(t, nil)
	a.environments = []orch.Environment{{Name: "production", Settings: json.RawMessage(`{"modulepath":["/m"]}`)}, {Name: "seen"}}
	a.components = []job.Component{
		{Type: "Shop", Title: "x", Ref: "Shop::Web[x]", Certname: "web", Consumes: []string{"Sql[x]"}},
		{Type: "Shop", Title: "x", Ref: "Shop::Db[x]", Certname: "db", Produces: []string{"Sql[x]"}},
		{Type: "Shop", Title: "y", Ref: "Shop::Db[y]", Certname: "db"},
		{Type: "Ring", Title: "r", Ref: "Part[1]", Certname: "a", Produces: []string{"P[1]"}, Consumes: []string{"P[2]"}},
		{Type: "Ring", Title: "r", Ref: "Part[2]", Certname: "b", Produces: []string{"P[2]"}, Consumes: []string{"P[1]"}},
	}
	text := a.get(t, "/orchestrator/v1/environments")
	strict[clientEnvironments](t, text)
	production := `{"id":"` + rootURL + `/environments/production","name":"production","applications":{"id":"` + rootURL + `/environments/production/applications"},
		"instances":{"id":"` + rootURL + `/environments/production/instances"},"settings":{"modulepath":["/m"]}}`
	require.JSONEq(t, `{"items":[`+production+`,{"id":"`+rootURL+`/environments/seen","name":"seen","applications":{"id":"`+rootURL+`/environments/seen/applications"},
		"instances":{"id":"`+rootURL+`/environments/seen/instances"},"settings":null}]}`, string(text))
	require.JSONEq(t, production, string(a.get(t, "/orchestrator/v1/environments/production")))
	text = a.get(t, "/orchestrator/v1/environments/production/applications")
	strict[clientApplications](t, text)
	require.JSONEq(t, `{"items":[{"name":"Shop","kind":"application","parameters":{},"file":null,"line":null},
		{"name":"Ring","kind":"application","parameters":{},"file":null,"line":null}],"instances":{"id":"`+rootURL+`/environments/production/instances"}}`, string(text))
	instances := strict[clientInstances](t, a.get(t, "/orchestrator/v1/environments/production/instances"))
	require.Len(t, instances.Items, 3)
	require.Equal(t, "db", instances.Items[0].Components[0].Node, "a producer stands before its consumer")
	require.Equal(t, "Shop::Web", instances.Items[0].Components[1].Type)
	require.Len(t, instances.Items[2].Components, 2)
	for _, below := range []string{"", "/applications", "/instances"} {
		a.refused(t, http.MethodGet, "/orchestrator/v1/environments/nope"+below, "", http.StatusNotFound, "unknown-environment")
		a.refused(t, http.MethodGet, "/orchestrator/v1/environments/-b"+below, "", http.StatusBadRequest, "validation-error")
	}
}

func TestRoot(t *testing.T) {
	a := newAPI(t, nil)
	text := a.get(t, "/orchestrator/v1")
	require.JSONEq(t, string(text), string(a.get(t, "/orchestrator")))
	root := strict[clientRoot](t, text)
	for _, name := range []string{"deploy", "stop", "task", "task_target"} {
		require.Contains(t, root.Commands, clientRef{rootURL + "/command/" + name, name})
	}
	for _, name := range []string{"jobs", "environments", "inventory", "tasks", "usage"} {
		require.Contains(t, root.Collections, clientRef{rootURL + "/" + name, name})
	}
	require.Contains(t, root.Collections, clientRef{rootURL + "/scopes/task_targets", "task_targets"})
	require.Equal(t, rootURL+"/status", root.Status.ID)
	status, _, header := a.ask(t, http.MethodGet, "/orchestrator/v1/status", "")
	require.Equal(t, http.StatusTemporaryRedirect, status)
	require.Equal(t, "https://orchestrator.example.com:8143/status/v1/services/orchestrator-service", header.Get("Location"))
}

// TestUnrouted: paths and methods that nobody serves.
func TestUnrouted(t *testing.T) {
	a := newAPI(t, nil)
	a.refused(t, http.MethodGet, "/orchestrator/v1/nothing", "", http.StatusNotFound, "not-found")
	a.refused(t, http.MethodGet, "/orchestrator/v2/jobs", "", http.StatusNotFound, "not-found")
	for path, allow := range map[string][]string{"/orchestrator/v1/jobs/": {"GET, HEAD", "GET and HEAD are"}, deployPath: {"POST", "POST is"},
		"/orchestrator/v1/inventory": {"GET, HEAD, POST", "GET, HEAD and POST are"}} {
		status, text, header := a.ask(t, http.MethodPut, path, "")
		require.Equal(t, http.StatusMethodNotAllowed, status, "%s", text)
		require.Equal(t, allow[0], header.Get("Allow"))
		require.Equal(t, "PUT is not answered here; "+allow[1], strict[clientError](t, text).Msg)
	}
	a.token = "nobody"
	a.refused(t, http.MethodGet, "/orchestrator/v1/jobs", "", http.StatusForbidden, "not-permitted")
}

func TestBaseURL(t *testing.T) {
	a := newAPI(t, func(c *orch.Config) { c.BaseURL = "https://run.example.com" })
	a.jobs = []job.Job{sample(t)}
	require.Equal(t, "https://run.example.com/orchestrator/v1/jobs/1234", strict[clientJob](t, a.get(t, "/orchestrator/v1/jobs/1234")).ID)
}

func TestNew(t *testing.T) {
	_, err := orch.New(orch.Config{})
	require.ErrorContains(t, err, "required")
}
