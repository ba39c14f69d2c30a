package orch_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/content"
	"dalang/orchestrator/job"
	"dalang/orchestrator/plan"
	"dalang/orchestrator/planjob"
	"dalang/server/orch"
)

const (
	planRunPath  = "/orchestrator/v1/command/plan_run"
	typedRunPath = "/orchestrator/v1/command/environment_plan_run"
	stopPlanPath = "/orchestrator/v1/command/stop_plan"
)

// stage is everything behind the API of plans: it remembers what it was told.
type stage struct {
	started, registered []planjob.Request
	stopped             []int64
	tasks               []job.Task
	finished            []string
	filter              job.PlanFilter
	err                 error
}

func (s *stage) Start(_ context.Context, who orch.Subject, r planjob.Request) (int64, error) {
	if err := planjob.MayRun(who, r.Plan); err != nil {
		return 0, err
	}
	s.started = append(s.started, r)
	return 1234, s.err
}

func (s *stage) Stop(_ context.Context, _ orch.Subject, id int64) error {
	s.stopped = append(s.stopped, id)
	_, err := s.PlanJob(context.Background(), id)
	return err
}

func (s *stage) Register(_ context.Context, _ orch.Subject, r planjob.Request) (int64, error) {
	s.registered = append(s.registered, r)
	return 7, nil
}

func (s *stage) Task(_ context.Context, _ orch.Subject, t job.Task) (int64, error) {
	s.tasks = append(s.tasks, t)
	if t.PlanJob == 8 {
		return 0, job.PlanFinished(8)
	}
	return 81, nil
}

func (s *stage) Finish(_ context.Context, _ orch.Subject, id int64, state job.PlanState, result json.RawMessage) error {
	s.finished = append(s.finished, string(state)+" "+string(result))
	if id == 8 {
		return job.PlanFinished(8)
	}
	return nil
}

func (s *stage) Plans(_ context.Context, environment string) ([]content.Entry, error) {
	if environment != "production" {
		return nil, job.UnknownEnvironment(environment)
	}
	return []content.Entry{{Name: "canary"}, {Name: "profile::deep::er", Private: true}}, nil
}

func (s *stage) Describe(ctx context.Context, environment, name string) (*planjob.Description, error) {
	if _, err := s.Plans(ctx, environment); err != nil {
		return nil, err
	}
	switch name {
	case "canary":
		p, err := plan.Parse(name, []byte("description: First one, then all\nparameters:\n  nodes: {type: TargetSpec, description: where}\n"+
			"  canary: {type: Integer, default: 1}\n  key: {type: 'Sensitive[String]'}\n  more: {type: 'Array[Sensitive[String]]', default: [hush]}\n  any:\nsteps: []\n"))
		return &planjob.Description{Name: name, Description: p.Description, Parameters: p.Parameters, Runnable: true}, err
	case "profile::deep::er":
		return &planjob.Description{Name: name, Puppet: true}, nil
	}
	return nil, job.UnknownPlan(environment, name)
}

// planJob is one that ended, and made job 81.
func planJob() job.PlanJob {
	return job.PlanJob{ID: 1234, State: job.PlanSuccess, Plan: "canary", Environment: "production", Owner: somebody{}.Owner(), OwnerLogin: "brian",
		Options: json.RawMessage(`{"description":"","plan_name":"canary","parameters":{"canary":1},"sensitive":["key"],"environment":"production","scheduled_job_id":null}`),
		Result:  json.RawMessage(`["node1"]`), Timestamp: noon.Add(time.Minute), Created: noon, Started: noon, Finished: noon.Add(time.Minute),
		Steps: map[int64][]job.Span{81: {{State: job.New, Enter: noon, Exit: noon}, {State: job.Ready, Enter: noon}}}}
}

func (s *stage) PlanJobs(_ context.Context, f job.PlanFilter) ([]job.PlanJob, int, error) {
	s.filter = f
	p := planJob()
	if f.NoResults {
		p.Result = nil
	}
	return []job.PlanJob{p, {ID: 1233, State: job.PlanPending, Options: p.Options, Created: noon, Timestamp: noon}}, 2, nil
}

func (s *stage) PlanJob(_ context.Context, id int64) (*job.PlanJob, error) {
	if id != 1234 {
		return nil, job.UnknownPlanJob(id)
	}
	p := planJob()
	return &p, nil
}

func (s *stage) PlanEvents(ctx context.Context, id, start int64, _ int) (list []job.PlanEvent, err error) {
	if _, err := s.PlanJob(ctx, id); err != nil {
		return nil, err
	}
	for _, e := range []job.PlanEvent{
		{ID: 5, PlanJob: 1234, Type: "task_start", At: noon, Details: json.RawMessage(`{"job-id":"81"}`), Message: "Job 81"},
		{ID: 9, PlanJob: 1234, Type: "plan_finished", At: noon, Details: json.RawMessage(`{"plan-id":"1234","result":["node1"]}`), Message: "Done"},
	} {
		if e.ID >= start {
			list = append(list, e)
		}
	}
	return list, nil
}

// planAPI serves a stage.
func planAPI(t *testing.T) (*api, *stage) {
	t.Helper()
	s := &stage{}
	return newAPI(t, func(c *orch.Config) { c.Plans, c.PlanJobs, c.Tasks = s, s, library{} }), s
}

// What a client may rely on; see double_test.go.

type clientPlanName struct {
	Name string `json:"name"`
}

type clientPlans struct {
	Environment clientEnvironmentCode `json:"environment"`
	Items       []struct {
		clientRef
		Permitted bool `json:"permitted"`
	} `json:"items"`
}

type clientPlan struct {
	clientRef
	Permitted   bool                  `json:"permitted"`
	Environment clientEnvironmentCode `json:"environment"`
	Metadata    struct {
		Description string `json:"description"`
		Private     bool   `json:"private,omitempty"`
		Parameters  map[string]struct {
			Type        string          `json:"type"`
			Description string          `json:"description,omitempty"`
			Default     json.RawMessage `json:"default_value,omitempty"`
			Sensitive   bool            `json:"sensitive,omitempty"`
		} `json:"parameters"`
	} `json:"metadata"`
}

type clientPlanJob struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	State   string `json:"state"`
	Options struct {
		Description    string         `json:"description"`
		PlanName       string         `json:"plan_name"`
		Parameters     map[string]any `json:"parameters"`
		Sensitive      []string       `json:"sensitive"`
		Environment    string         `json:"environment"`
		ScheduledJobID *string        `json:"scheduled_job_id"`
	} `json:"options"`
	Result            any                     `json:"result"`
	Owner             map[string]any          `json:"owner"`
	Timestamp         string                  `json:"timestamp"`
	CreatedTimestamp  string                  `json:"created_timestamp"`
	FinishedTimestamp *string                 `json:"finished_timestamp"`
	Duration          *float64                `json:"duration"`
	Events            clientID                `json:"events"`
	Status            map[string][]clientSpan `json:"status"`
	Userdata          map[string]any          `json:"userdata"`
}

type clientPlanJobs struct {
	Items      []clientPlanJob `json:"items"`
	Pagination struct {
		Limit   *int   `json:"limit"`
		Offset  int    `json:"offset"`
		Order   string `json:"order"`
		OrderBy string `json:"order_by"`
		Total   int    `json:"total"`
	} `json:"pagination"`
}

type clientPlanEvent struct {
	ID        string         `json:"id"`
	Type      string         `json:"type"`
	Timestamp string         `json:"timestamp"`
	Details   map[string]any `json:"details"`
	Message   string         `json:"message"`
}

type clientPlanEvents struct {
	Next struct {
		ID    string `json:"id"`
		Event string `json:"event"`
	} `json:"next-events"`
	Items []clientPlanEvent `json:"items"`
}

// TestPlanRunDecoding: what plans are started with. The first bodies are the seed's examples.
func TestPlanRunDecoding(t *testing.T) {
	plain := planjob.Request{Plan: "canary", Environment: "production", Params: map[string]any{}, Userdata: json.RawMessage("{}")}
	with := func(change func(*planjob.Request)) planjob.Request { r := plain; change(&r); return r }
	nodes := []any{"node1.example.com", "node2.example.com"}
	for body, want := range map[string]planjob.Request{
		`{"plan_name" : "canary", "description" : "Start the canary plan on node1 and node2", "params" : { "nodes" : ["node1.example.com", "node2.example.com"], "command" : "whoami", "canary" : 1}}`: with(func(r *planjob.Request) {
			r.Description, r.Params = "Start the canary plan on node1 and node2", map[string]any{"nodes": nodes, "command": "whoami", "canary": json.Number("1")}
		}),
		`{"plan_name":"canary"}`: plain,
		`{"plan_name":"canary","params":null,"environment":null,"description":null,"timeout":null,"userdata":null}`: plain,
		`{"plan_name":"a::b::c_1","params":{"f":1.0,"n":null},"environment":"test","timeout":60,"userdata":{"t":1}}`: {
			Plan: "a::b::c_1", Environment: "test", Params: map[string]any{"f": json.Number("1.0"), "n": nil}, Timeout: time.Minute, Userdata: json.RawMessage(`{"t":1}`)},
	} {
		a, s := planAPI(t)
		status, text, _ := a.ask(t, http.MethodPost, planRunPath, body)
		require.Equal(t, http.StatusAccepted, status, "%s", text)
		require.Equal(t, clientPlanName{"1234"}, strict[clientPlanName](t, text))
		require.Equal(t, []planjob.Request{want}, s.started, body)
	}
	const group = "00000000-0000-4000-8000-00000000000a"
	a, s := planAPI(t)
	status, text, _ := a.ask(t, http.MethodPost, typedRunPath, `{"plan_name" : "example_plan",
		"description" : "Output 'message' on the targets contained in 'targets' and 'more targets'",
		"params": {"message": {"value": "hello"}, "example_object_param": {"value": {"value": "xyz"}},
		"targets": {"type": "query", "value": "nodes[certname] { }"}, "more_targets": {"type": "node_group", "value": "`+group+`"},
		"ast": {"type": "query", "value": ["from", "nodes"]}, "nothing": {"value": null, "type": null}}}`)
	require.Equal(t, http.StatusAccepted, status, "%s", text)
	require.Equal(t, clientPlanName{"1234"}, strict[clientPlanName](t, text))
	require.Equal(t, []planjob.Request{{Plan: "example_plan", Environment: "production", Userdata: json.RawMessage("{}"),
		Description: "Output 'message' on the targets contained in 'targets' and 'more targets'",
		Params:      map[string]any{"message": "hello", "example_object_param": map[string]any{"value": "xyz"}, "nothing": nil},
		Find: map[string]job.Scope{"targets": {Query: json.RawMessage(`"nodes[certname] { }"`)}, "more_targets": {NodeGroup: group},
			"ast": {Query: json.RawMessage(`["from", "nodes"]`)}}}}, s.started)
}

// TestPlanCommandsRefused: each documented error, and each mistake with its key.
func TestPlanCommandsRefused(t *testing.T) {
	for _, c := range []struct{ path, body, key, expected, got string }{
		{planRunPath, `{}`, "plan_name", "the name of a plan", "missing"},
		{planRunPath, `{"plan_name":7}`, "plan_name", "a string", "a number"},
		{planRunPath, `{"plan_name":"Canary"}`, "plan_name", "the name of a plan: ", `"Canary"`},
		{planRunPath, `{"plan_name":"a b"}`, "plan_name", "the name of a plan: ", `"a b"`},
		{planRunPath, `{"plan_name":"a","params":[]}`, "params", "an object", "an array"},
		{planRunPath, `{"plan_name":"a","params":"x"}`, "params", "an object", "a string"},
		{planRunPath, `{"plan_name":"a","timeout":0}`, "timeout", "an integer from 1", "0"},
		{planRunPath, `{"plan_name":"a","environment":"--b"}`, "environment", job.EnvironmentName, `"--b"`},
		{planRunPath, `{"plan_name":"a","parameters":{}}`, "parameters", "one of ", "an unknown key"},
		{typedRunPath, `{"plan_name":"a"}`, "params", "an object of objects with a value", "missing"},
		{typedRunPath, `{"plan_name":"a","params":[]}`, "params", "an object of objects with a value", "an array"},
		{typedRunPath, `{"plan_name":"a","params":{"p":"x"}}`, "params.p", "an object with a value", "a string"},
		{typedRunPath, `{"plan_name":"a","params":{"p":{"type":"query"}}}`, "params.p.value", "there", "missing"},
		{typedRunPath, `{"plan_name":"a","params":{"p":{}}}`, "params.p.value", "there", "missing"},
		{typedRunPath, `{"plan_name":"a","params":{"p":null}}`, "params.p", "an object with a value", "null"},
		{typedRunPath, `{"plan_name":"a","params":{"p":{"value":1,"type":"nodes"}}}`, "params.p.type", "one of query, node_group", `"nodes"`},
		{typedRunPath, `{"plan_name":"a","params":{"p":{"value":1,"typ":"query"}}}`, "params.p.typ", "one of type, value", "an unknown key"},
		{typedRunPath, `{"plan_name":"a","params":{"p":{"value":1,"type":"query"}}}`, "params.p.value", "a PQL string or an AST array", "a number"},
		{typedRunPath, `{"plan_name":"a","params":{"p":{"value":null,"type":"query"}}}`, "params.p.value", "a PQL string or an AST array", "null"},
		{typedRunPath, `{"plan_name":"a","params":{"p":{"value":"all","type":"node_group"}}}`, "params.p.value", "the UUID of a node group", "a string"},
		{stopPlanPath, `{}`, "plan_job", "the name of a plan job: a string of digits", "nothing"},
		{stopPlanPath, `{"plan_job":"x"}`, "plan_job", "the name of a plan job: a string of digits", `"x"`},
		{stopPlanPath, `{"plan_job":"-1"}`, "plan_job", "the name of a plan job: a string of digits", `"-1"`},
		{stopPlanPath, `{"plan_job":[1]}`, "plan_job", "the name of a plan job: a string of digits", "an array"},
		{stopPlanPath, `{"plan_job":"1234","force":true}`, "force", "one of plan_job", "an unknown key"},
		{"/orchestrator/v1/command/plan_start", `{}`, "plan_name", "the name of a plan", "missing"},
		{"/orchestrator/v1/command/plan_start", `{"plan_name":"a","sensitive":"b"}`, "sensitive", "an array of", "a string"},
		{"/orchestrator/v1/command/plan_start", `{"plan_name":" "}`, "plan_name", "the name of a plan", `" "`},
		{"/orchestrator/v1/command/plan_task", `{"task":"facts","params":{},"scope":{"nodes":["a"]}}`, "plan_job", "the name of a plan job", "nothing"},
		{"/orchestrator/v1/command/plan_task", `{"plan_job":"7","params":{},"scope":{"nodes":["a"]}}`, "task", "the name of a task", "missing"},
		{"/orchestrator/v1/command/plan_finish", `{"plan_job":"7"}`, "status", "success or failure", "missing"},
		{"/orchestrator/v1/command/plan_finish", `{"plan_job":"7","status":"done"}`, "status", "one of success, failure", `"done"`},
	} {
		a, s := planAPI(t)
		e := a.refused(t, http.MethodPost, c.path, c.body, http.StatusBadRequest, "validation-error")
		require.Equal(t, c.key, e.Details["key"], "%s: %v", c.body, e)
		require.True(t, strings.HasPrefix(e.Details["expected"].(string), c.expected), "%s: %v", c.body, e)
		require.Equal(t, c.got, e.Details["got"], c.body)
		require.Empty(t, s.started)
		require.Empty(t, s.stopped)
	}
	a, _ := planAPI(t)
	a.refused(t, http.MethodPost, stopPlanPath, `{"plan_job":"1"}`, http.StatusNotFound, "unknown-job")
	a.refused(t, http.MethodPost, stopPlanPath, `{"plan_job":"99999999999999999999"}`, http.StatusNotFound, "unknown-job")
	a.token = "viewer"
	e := a.refused(t, http.MethodPost, planRunPath, `{"plan_name":"canary"}`, http.StatusForbidden, "not-permitted")
	require.Equal(t, map[string]any{"object_type": "plans", "action": "run", "instance": "canary"}, e.Details)
	a.refused(t, http.MethodPost, typedRunPath, `{"plan_name":"canary","params":{}}`, http.StatusForbidden, "not-permitted")
	a.token = "nobody"
	for _, path := range []string{planRunPath, typedRunPath, stopPlanPath} {
		a.refused(t, http.MethodPost, path, `{}`, http.StatusForbidden, "not-permitted")
	}
}

func TestStopPlan(t *testing.T) {
	a, s := planAPI(t)
	for _, body := range []string{`{"plan_job": "1234"}`, `{"plan_job":1234}`, `{"plan_job":"1234"}`} {
		status, text, _ := a.ask(t, http.MethodPost, stopPlanPath, body)
		require.Equal(t, http.StatusAccepted, status, "%s", text)
		require.Equal(t, clientPlanName{"1234"}, strict[clientPlanName](t, text))
	}
	require.Equal(t, []int64{1234, 1234, 1234}, s.stopped)
}

// TestForeignPlans: what Bolt sends with its pcp transport.
func TestForeignPlans(t *testing.T) {
	a, s := planAPI(t)
	status, text, _ := a.ask(t, http.MethodPost, "/orchestrator/v1/command/plan_start", `{"plan_name":"mine::own","description":null,"params":{"a":1},"sensitive":["password"]}`)
	require.Equal(t, http.StatusAccepted, status, "%s", text)
	require.Equal(t, clientPlanName{"7"}, strict[clientPlanName](t, text))
	require.Equal(t, "mine::own", s.registered[0].Plan)
	require.Equal(t, map[string]any{"a": json.Number("1")}, s.registered[0].Params)
	require.Equal(t, []string{"password"}, s.registered[0].Sensitive, "Bolt names the params that it leaves out")

	const body = `{"task":"facts","environment":"production","noop":null,"params":{},"scope":{"nodes":["a"]},"plan_job":"7"}`
	status, text, _ = a.ask(t, http.MethodPost, "/orchestrator/v1/command/plan_task", body)
	require.Equal(t, http.StatusAccepted, status, "%s", text)
	require.Equal(t, clientRef{rootURL + "/jobs/81", "81"}, strict[clientAccepted](t, text).Job)
	require.Equal(t, int64(7), s.tasks[0].PlanJob)
	e := a.refused(t, http.MethodPost, "/orchestrator/v1/command/plan_task", strings.Replace(body, `"7"`, `"8"`, 1), http.StatusBadRequest, "plan-already-finished")
	require.Equal(t, map[string]any{"plan_job": "8"}, e.Details)

	status, text, _ = a.ask(t, http.MethodPost, "/orchestrator/v1/command/plan_finish", `{"plan_job":"7","result":{"x":1},"status":"failure"}`)
	require.Equal(t, http.StatusAccepted, status, "%s", text)
	require.Equal(t, clientPlanName{"7"}, strict[clientPlanName](t, text))
	require.Equal(t, []string{`failure {"x":1}`}, s.finished)
	a.refused(t, http.MethodPost, "/orchestrator/v1/command/plan_finish", `{"plan_job":8,"result":"","status":"success"}`, http.StatusBadRequest, "plan-already-finished")
}

func TestPlans(t *testing.T) {
	a, _ := planAPI(t)
	list := strict[clientPlans](t, a.get(t, "/orchestrator/v1/plans"))
	require.Equal(t, "production", list.Environment.Name)
	require.Equal(t, clientRef{rootURL + "/plans/canary/init", "canary"}, list.Items[0].clientRef)
	require.Equal(t, clientRef{rootURL + "/plans/profile/deep::er", "profile::deep::er"}, list.Items[1].clientRef)
	require.True(t, list.Items[0].Permitted)
	p := strict[clientPlan](t, a.get(t, "/orchestrator/v1/plans/canary/init?environment=production"))
	require.Equal(t, "canary", p.Name)
	require.Equal(t, "First one, then all", p.Metadata.Description)
	require.Equal(t, "TargetSpec", p.Metadata.Parameters["nodes"].Type)
	require.Equal(t, "1", string(p.Metadata.Parameters["canary"].Default))
	require.True(t, p.Metadata.Parameters["key"].Sensitive)
	require.Contains(t, string(a.get(t, "/orchestrator/v1/plans/canary/init")), `"more":{"type":"Array[Sensitive[String]]","default_value":null,"sensitive":true}`)
	require.Equal(t, "Any", p.Metadata.Parameters["any"].Type)
	require.Contains(t, string(a.get(t, "/orchestrator/v1/plans/profile/deep::er")), `"metadata":{}`)
	a.refused(t, http.MethodGet, "/orchestrator/v1/plans?environment=test", "", http.StatusNotFound, "unknown-environment")
	a.refused(t, http.MethodGet, "/orchestrator/v1/plans?environment=-b", "", http.StatusBadRequest, "validation-error")
	a.refused(t, http.MethodGet, "/orchestrator/v1/plans/canary/nosuch", "", http.StatusNotFound, "unknown-plan")
	a.refused(t, http.MethodGet, "/orchestrator/v1/plans/Canary/init", "", http.StatusBadRequest, "validation-error")
	a.refused(t, http.MethodGet, "/orchestrator/v1/plans/a::b/c", "", http.StatusBadRequest, "validation-error")
	a.token = "viewer"
	require.False(t, strict[clientPlans](t, a.get(t, "/orchestrator/v1/plans")).Items[0].Permitted)
}

func TestPlanJobs(t *testing.T) {
	a, s := planAPI(t)
	list := strict[clientPlanJobs](t, a.get(t, "/orchestrator/v1/plan_jobs"))
	require.Equal(t, "name desc", list.Pagination.OrderBy+" "+list.Pagination.Order)
	require.Equal(t, 2, list.Pagination.Total)
	p := list.Items[0]
	require.Equal(t, rootURL+"/plan_jobs/1234", p.ID)
	require.Equal(t, "canary", p.Options.PlanName)
	require.Equal(t, []any{"node1"}, p.Result)
	require.Equal(t, "2026-05-20T12:01:00Z", *p.FinishedTimestamp)
	require.InDelta(t, 60, *p.Duration, 0)
	require.Equal(t, rootURL+"/plan_jobs/1234/events", p.Events.ID)
	require.Equal(t, "ready", p.Status["81"][1].State)
	require.Nil(t, p.Status["81"][1].ExitTime)
	require.Nil(t, list.Items[1].Result)
	require.Nil(t, list.Items[1].Duration)
	require.Equal(t, p, strict[clientPlanJob](t, a.get(t, "/orchestrator/v1/plan_jobs/1234")))
	require.NotContains(t, string(a.get(t, "/orchestrator/v1/plan_jobs?results=exclude")), `"result"`)

	a.get(t, "/orchestrator/v1/plan_jobs?limit=1&offset=2&order_by=owner&order=desc&results=include&min_finish_timestamp=2026-01-01T00:00:00Z")
	require.Equal(t, job.PlanFilter{OrderBy: "owner", Desc: true, Limit: 1, Offset: 2, MinFinished: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, s.filter)
	for _, query := range []string{"limit=0", "order_by=plan", "order=up", "results=some", "offset=x", "max_finish_timestamp=noon"} {
		a.refused(t, http.MethodGet, "/orchestrator/v1/plan_jobs?"+query, "", http.StatusBadRequest, "validation-error")
	}
	a.refused(t, http.MethodGet, "/orchestrator/v1/plan_jobs/x", "", http.StatusBadRequest, "validation-error")
	a.refused(t, http.MethodGet, "/orchestrator/v1/plan_jobs/1", "", http.StatusNotFound, "unknown-job")
	a.refused(t, http.MethodGet, "/orchestrator/v1/plan_jobs/99999999999999999999", "", http.StatusNotFound, "unknown-job")
}

func TestPlanEvents(t *testing.T) {
	a, _ := planAPI(t)
	list := strict[clientPlanEvents](t, a.get(t, "/orchestrator/v1/plan_jobs/1234/events"))
	require.Equal(t, clientPlanEvent{"5", "task_start", "2026-05-20T12:00:00Z", map[string]any{"job-id": "81"}, "Job 81"}, list.Items[0])
	require.Equal(t, "10 "+rootURL+"/plan_jobs/1234/events?start=10", list.Next.Event+" "+list.Next.ID)
	list = strict[clientPlanEvents](t, a.get(t, "/orchestrator/v1/plan_jobs/1234/events?start=10"))
	require.Empty(t, list.Items)
	require.Equal(t, "10", list.Next.Event)
	require.Equal(t, "plan_finished", strict[clientPlanEvent](t, a.get(t, "/orchestrator/v1/plan_jobs/1234/event/9")).Type)
	for _, event := range []string{"6", "10", "99999999999999999999"} {
		a.refused(t, http.MethodGet, "/orchestrator/v1/plan_jobs/1234/event/"+event, "", http.StatusNotFound, "mismatched-job-event-id")
	}
	a.refused(t, http.MethodGet, "/orchestrator/v1/plan_jobs/1234/event/x", "", http.StatusBadRequest, "validation-error")
	a.refused(t, http.MethodGet, "/orchestrator/v1/plan_jobs/1/event/5", "", http.StatusNotFound, "unknown-job")
	a.refused(t, http.MethodGet, "/orchestrator/v1/plan_jobs/1/events", "", http.StatusNotFound, "unknown-job")
	a.refused(t, http.MethodGet, "/orchestrator/v1/plan_jobs/1234/events?start=x", "", http.StatusBadRequest, "validation-error")
	require.Contains(t, string(a.get(t, "/orchestrator/v1")), "plan_run")
}
