package orch_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
	"dalang/server"
	"dalang/server/orch"
	"dalang/server/pdb"
)

// noon is the clock of these tests.
var noon = time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)

// fake is everything behind the API: it remembers what it was told and answers
// what it was given.
type fake struct {
	deploys []job.Deploy
	tasks   []job.Task
	targets []job.TaskTarget
	usage   []job.Usage
	between [2]time.Time // of the last question for usage
	stops   []bool       // force, of each stop
	err     error        // of Deploy and Stop
	jobs    []job.Job
	nodes   []job.Node
	events  []job.Event
	filter  job.Filter
	nodesBy job.NodeFilter

	connections  []orch.Connection
	broken       error
	environments []orch.Environment
	unknown      error // of Known
	components   []job.Component
}

func (f *fake) Deploy(_ context.Context, s orch.Subject, d job.Deploy) (int64, error) {
	if f.err != nil {
		return 0, f.err
	}
	options, err := json.Marshal(d)
	if err != nil {
		return 0, err
	}
	f.deploys = append(f.deploys, d)
	f.jobs = append(f.jobs, job.Job{
		ID: int64(len(f.jobs) + 1), Type: job.TypeDeploy, State: job.Ready, Environment: d.Environment, Options: options, Owner: s.Owner(),
		Description: d.Description, Userdata: d.Userdata, Timestamp: noon, Created: noon, NodeCount: 1, Nodes: job.Counts{job.New: 1},
		Spans: []job.Span{{State: job.New, Enter: noon, Exit: noon}, {State: job.Ready, Enter: noon}},
	})
	return int64(len(f.jobs)), nil
}

func (f *fake) Task(_ context.Context, s orch.Subject, t job.Task) (int64, error) {
	if f.err != nil {
		return 0, f.err
	}
	f.tasks = append(f.tasks, t)
	f.jobs = append(f.jobs, job.Job{ID: int64(len(f.jobs) + 1), Type: job.TypeTask, State: job.Ready, Owner: s.Owner()})
	return int64(len(f.jobs)), nil
}

func (f *fake) MayRun(_ context.Context, s orch.Subject) (func(string) bool, error) {
	return func(task string) bool { return s.May("tasks", "run", task) }, f.err
}

func (f *fake) AddTaskTarget(_ context.Context, t *job.TaskTarget) (int64, error) {
	added := *t
	added.ID = int64(len(f.targets) + 1)
	f.targets = append(f.targets, added)
	return added.ID, nil
}

func (f *fake) TaskTargets(context.Context) ([]job.TaskTarget, error) { return f.targets, nil }

func (f *fake) DeleteTaskTarget(_ context.Context, id int64) (bool, error) {
	before := len(f.targets)
	f.targets = slices.DeleteFunc(f.targets, func(t job.TaskTarget) bool { return t.ID == id })
	return len(f.targets) < before, nil
}

func (f *fake) Usage(_ context.Context, first, last time.Time) ([]job.Usage, error) {
	f.between = [2]time.Time{first, last}
	return f.usage, nil
}

func (f *fake) Stop(ctx context.Context, id int64, force bool) (job.Counts, error) {
	if f.err != nil {
		return nil, f.err
	}
	f.stops = append(f.stops, force)
	j, err := f.Job(ctx, id)
	if err != nil {
		return nil, err
	}
	return j.Nodes, nil
}

func (f *fake) Jobs(_ context.Context, by job.Filter) ([]job.Job, int, error) {
	f.filter = by
	list := slices.Clone(f.jobs)
	slices.SortFunc(list, func(a, b job.Job) int { return cmp.Compare(b.ID, a.ID) })
	if by.Limit > 0 && by.Limit < len(list) {
		list = list[:by.Limit]
	}
	return list, len(f.jobs), nil
}

func (f *fake) Job(_ context.Context, id int64) (*job.Job, error) {
	for i := range f.jobs {
		if f.jobs[i].ID == id {
			return &f.jobs[i], nil
		}
	}
	return nil, job.UnknownJob(id)
}

func (f *fake) JobNodes(ctx context.Context, id int64, by job.NodeFilter) ([]job.Node, int, int64, error) {
	f.nodesBy = by
	_, err := f.Job(ctx, id)
	return f.nodes, len(f.nodes), int64(len(f.events) + 1), err
}

func (f *fake) JobEvents(ctx context.Context, id, start int64, _ int) (out []job.Event, err error) {
	for _, e := range f.events {
		if e.ID >= start {
			out = append(out, e)
		}
	}
	_, err = f.Job(ctx, id)
	return out, err
}

func (f *fake) Connections(context.Context) ([]orch.Connection, error) {
	return f.connections, f.broken
}

func (f *fake) Connection(_ context.Context, certname string) (*orch.Connection, error) {
	for i := range f.connections {
		if f.connections[i].Certname == certname {
			return &f.connections[i], f.broken
		}
	}
	return nil, f.broken
}

func (f *fake) List(context.Context) ([]orch.Environment, error) { return f.environments, nil }

func (f *fake) Known(_ context.Context, name string) (bool, error) {
	return slices.ContainsFunc(f.environments, func(e orch.Environment) bool { return e.Name == name && name != "gone" }), f.unknown
}

func (f *fake) Components(context.Context, string) ([]job.Component, error) { return f.components, nil }

// somebody is a subject with permissions such as "puppet_agent:run:*".
type somebody []string

func (s somebody) May(objectType, action, instance string) bool {
	return slices.Contains(s, objectType+":"+action+":"+instance) || slices.Contains(s, "*")
}

func (s somebody) Owner() json.RawMessage {
	return json.RawMessage(`{"id":"751a8f7e-b53a-4ccd-9f4f-e93db6aa38ec","login":"brian","email":"","display_name":"Brian","is_superuser":false,
		"is_remote":false,"is_revoked":false,"is_group":false,"last_login":null,"role_ids":[2],"inherited_role_ids":[],"group_ids":[]}`)
}

// other is a subject with another id.
type other struct{ somebody }

func (o other) Owner() json.RawMessage {
	return bytes.Replace(o.somebody.Owner(), []byte("751a8f7e"), []byte("851a8f7e"), 1)
}

// authenticate knows the tokens all, viewer, other and nobody.
func authenticate(r *http.Request) (orch.Subject, error) {
	switch r.Header.Get("X-Authentication") {
	case "all":
		return somebody{"*"}, nil
	case "runner":
		return somebody{"orchestrator:view:*", "tasks:run:facts"}, nil
	case "viewer":
		return somebody{"orchestrator:view:*"}, nil
	case "other":
		return other{somebody{"orchestrator:view:*", "puppet_agent:run:*"}}, nil
	case "nobody":
		return somebody{}, nil
	}
	return nil, &job.Error{Kind: "puppetlabs.rbac/user-unauthenticated", Msg: "Route requires authentication", Status: http.StatusUnauthorized}
}

// api serves a fake behind the whole front end.
type api struct {
	*fake
	handler http.Handler
	token   string
}

func newAPI(t *testing.T, change func(*orch.Config)) *api {
	t.Helper()
	f := &fake{}
	cfg := orch.Config{
		Engine: f, Jobs: f, Inventory: f, Environments: f, Tasks: library{}, TaskTargets: f, Usage: f, Authenticate: authenticate, Version: "1.0",
		Now: func() time.Time { return noon },
	}
	if change != nil {
		change(&cfg)
	}
	a, err := orch.New(cfg)
	require.NoError(t, err)
	s, err := server.New(server.Config{
		Listen: "127.0.0.1:0", Handlers: server.Handlers{Orchestrator: []server.Companion{a}}, Maintenance: &pdb.Maintenance{},
	})
	require.NoError(t, err)
	return &api{fake: f, handler: s.Handler(), token: "all"}
}

// ask sends a request; the URL's host is orchestrator.example.com:8143.
func (a *api) ask(t *testing.T, method, path, body string) (int, []byte, http.Header) {
	t.Helper()
	r := httptest.NewRequest(method, "https://orchestrator.example.com:8143"+path, strings.NewReader(body))
	if a.token != "" {
		r.Header.Set("X-Authentication", a.token)
	}
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	text, err := io.ReadAll(w.Body)
	require.NoError(t, err)
	if method != http.MethodHead && w.Code != http.StatusNoContent {
		require.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"), "%s", text)
	}
	return w.Code, text, w.Header()
}

// get is a GET that must succeed.
func (a *api) get(t *testing.T, path string) []byte {
	t.Helper()
	status, text, _ := a.ask(t, http.MethodGet, path, "")
	require.Equal(t, http.StatusOK, status, "%s", text)
	return text
}

// refused asks for something that must fail.
func (a *api) refused(t *testing.T, method, path, body string, status int, kind string) clientError {
	t.Helper()
	got, text, _ := a.ask(t, method, path, body)
	require.Equal(t, status, got, "%s: %s", body, text)
	e := strict[clientError](t, text)
	require.Equal(t, "puppetlabs.orchestrator/"+kind, e.Kind, "%s", text)
	require.NotEmpty(t, e.Msg)
	return e
}

const rootURL = "https://orchestrator.example.com:8143/orchestrator/v1"
