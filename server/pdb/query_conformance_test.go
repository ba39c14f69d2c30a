package pdb_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/dlclark/regexp2"
	"github.com/gorilla/mux"
	"github.com/stretchr/testify/require"

	"dalang/commands/outcome"
	"dalang/server/pdb"
	"dalang/store"
	"dalang/store/query"
	"dalang/store/query/conformance"
	"dalang/wireformat"
)

var showSoft = flag.Bool("soft", false, "log differences of error texts as well")

const testdata = "../../testdata"

// command is a recorded command.
type command struct {
	Command  string          `json:"command"`
	Version  int             `json:"version"`
	Certname string          `json:"certname"`
	Body     json.RawMessage `json:"body"` // a string, or the payload itself
}

func (c command) payload(t testing.TB) []byte {
	var s string
	if json.Unmarshal(c.Body, &s) == nil {
		return []byte(s)
	}
	return c.Body
}

// server is a store with the query API in front of it.
type server struct {
	store   *store.Store
	handler http.Handler
	clock   time.Time
}

func newServer(t testing.TB, purgeTTL time.Duration) *server {
	st, err := store.Open(context.Background(), store.Config{Path: filepath.Join(t.TempDir(), "store.db"),
		NodePurgeTTL: purgeTTL, ReportTTL: 15000 * 24 * time.Hour})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	t.Cleanup(regexp2.StopTimeoutClock) // its goroutine outlives a query by a second
	engine, err := query.New(query.Config{DB: st, NodePurgeTTL: purgeTTL})
	require.NoError(t, err)
	return &server{st, handler(pdb.NewQueries(pdb.QueryConfig{Engine: engine})), time.Now().UTC().Truncate(time.Second)}
}

// handler mounts routes as package server does.
func handler(q *pdb.Queries) http.Handler {
	m := mux.NewRouter().UseEncodedPath().SkipClean(true)
	for _, r := range q.Routes() {
		m.HandleFunc(r.Path, func(w http.ResponseWriter, req *http.Request) {
			err := r.Handle(w, req)
			var p *pdb.Problem
			switch {
			case err == nil:
			case errors.As(err, &p) && p.Shape == pdb.JSON:
				_ = pdb.WriteJSON(w, p.Status, map[string]string{"error": p.Message})
			case errors.As(err, &p) && p.Shape == pdb.Kind:
				_ = pdb.WriteCompact(w, p.Status, map[string]string{"kind": p.Kind, "msg": p.Message})
			case errors.As(err, &p):
				_ = pdb.WriteText(w, p.Status, p.Message)
			default:
				_ = pdb.WriteText(w, http.StatusInternalServerError, err.Error())
			}
		})
	}
	m.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", pdb.TypeHTML)
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte("Not Found"))
	})
	return m
}

func (s *server) apply(t testing.TB, list []command) {
	for _, c := range list {
		s.clock = s.clock.Add(time.Millisecond) // every command has a time of its own
		now := s.clock
		payload, err := wireformat.Decode(wireformat.Command(strings.ReplaceAll(c.Command, "_", " ")), c.Version, now, c.payload(t))
		require.NoError(t, err, "%s of %s", c.Command, c.Certname)
		res, err := s.store.Apply(context.Background(), []outcome.Change{{Payload: payload, Received: now}})
		require.NoError(t, err)
		require.NoError(t, res[0].Err, "%s of %s", c.Command, c.Certname)
	}
}

// expectations is a list of cases that do not pass yet, with the reasons.
func expectations(t testing.TB, file string) map[string]string {
	b, err := os.ReadFile(filepath.Join("testdata", file))
	require.NoError(t, err)
	out := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if id, why, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok && id[0] != '#' {
			out[id] = why
		}
	}
	return out
}

// tally compares outcomes with expectations: a regression and an unexpected
// pass both fail.
type tally struct {
	t        *testing.T
	expected map[string]string
	counts   map[string][3]int // passed, failed, soft
}

func newTally(t *testing.T, file string) *tally {
	return &tally{t, expectations(t, file), map[string][3]int{}}
}

func (y *tally) add(group, id string, hard, soft []string) {
	n := y.counts[group]
	why, expected := y.expected[id]
	switch {
	case len(hard) > 0 && !expected:
		y.t.Errorf("%s: %s", id, strings.Join(hard, "\n  "))
	case len(hard) == 0 && expected:
		y.t.Errorf("%s passes now; it was expected to fail: %s", id, why)
	}
	if len(hard) > 0 {
		n[1]++
	} else {
		n[0]++
	}
	if len(soft) > 0 {
		n[2]++
		if *showSoft {
			y.t.Logf("soft %s: %s", id, strings.Join(soft, "\n  "))
		}
	}
	y.counts[group] = n
}

func (y *tally) report() {
	var groups []string
	for g := range y.counts {
		groups = append(groups, g)
	}
	sort.Strings(groups)
	for _, g := range groups {
		n := y.counts[g]
		y.t.Logf("%-32s %4d passed %3d failed %3d other texts", g, n[0], n[1], n[2])
	}
}

func TestRecordedQueries(t *testing.T) {
	s := newServer(t, 0)
	for _, file := range []string{"agents.jsonl", "edge.jsonl"} {
		list, err := conformance.Lines[command](filepath.Join(testdata, "corpus", file))
		require.NoError(t, err)
		s.apply(t, list)
	}
	files, err := filepath.Glob(filepath.Join(testdata, "conformance", "cases-*.jsonl"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	y := newTally(t, "cases.txt")
	for _, f := range files {
		cases, err := conformance.Lines[conformance.Case](f)
		require.NoError(t, err)
		for _, c := range cases {
			if c.Last || len(c.Setup) > 0 || !strings.HasPrefix(c.Path, "/pdb/query/") {
				continue
			}
			hard, soft := c.Run(s.handler, nil)
			y.add(c.Group, c.ID, hard, soft)
		}
	}
	y.report()
}

// scenario is one of upstream's own tests.
type scenario struct {
	Scenario string `json:"scenario"`
	Steps    []struct {
		Command *command                   `json:"command"`
		Let     map[string]json.RawMessage `json:"let"`
		Request *conformance.Case          `json:"request"`
	} `json:"steps"`
}

func TestUpstreamScenarios(t *testing.T) {
	if testing.Short() {
		t.Skip("119 stores")
	}
	files, err := filepath.Glob(filepath.Join(testdata, "conformance", "upstream", "*.jsonl"))
	require.NoError(t, err)
	y := newTally(t, "upstream.txt")
	for _, f := range files {
		list, err := conformance.Lines[scenario](f)
		require.NoError(t, err)
		for _, sc := range list {
			s := newServer(t, 14*24*time.Hour)
			env := map[string]string{}
			for _, st := range sc.Steps {
				switch {
				case st.Command != nil:
					s.apply(t, []command{*st.Command})
				case st.Let != nil:
					s.let(t, st.Let, env)
				case st.Request != nil && !st.Request.FOSS:
					st.Request.AnyCorrective = !st.Request.PE
					hard, soft := st.Request.Run(s.handler, env)
					y.add(filepath.Base(f), st.Request.ID, hard, soft)
				}
			}
		}
	}
	y.report()
}

func (s *server) let(t testing.TB, spec map[string]json.RawMessage, env map[string]string) {
	for name, raw := range spec {
		var parts []json.RawMessage
		require.NoError(t, json.Unmarshal(raw, &parts))
		var path, at string
		require.NoError(t, json.Unmarshal(parts[0], &path))
		require.NoError(t, json.Unmarshal(parts[2], &at))
		a, err := conformance.Request{Path: path, Params: parts[1]}.Send(s.handler, env)
		require.NoError(t, err)
		env[name], err = conformance.Pick(a.Body, at)
		require.NoError(t, err)
	}
}
