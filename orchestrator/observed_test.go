package orchestrator_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator"
	"dalang/orchestrator/job"
)

// diary is a log handler that keeps what is said of jobs.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (*diary) Enabled(context.Context, slog.Level) bool { return true }
func (d *diary) WithAttrs([]slog.Attr) slog.Handler     { return d }
func (d *diary) WithGroup(string) slog.Handler          { return d }

func (d *diary) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "certname", "from", "to":
			line += " " + a.Value.String()
		}
		return true
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
	return nil
}

func (d *diary) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	lines := d.lines
	d.lines = nil
	return lines
}

// TestObserved: each transition is one event of the log, and metrics count it.
func TestObserved(t *testing.T) {
	inWorld(t, "a b c", func(t *testing.T, w *world) {
		w.agents["b"].ends = job.Failed
		log, registry := &diary{}, prometheus.NewRegistry()
		l := w.start(func(c *orchestrator.Config) { c.Logger, c.Registerer, c.Compiles = slog.New(log), registry, 2 })
		defer l.stop()
		<-l.engine.Ready()
		l.deploy("a b", nil)
		pass(2 * time.Minute)
		require.Equal(t, []string{
			"job created",
			"node changed state a new ready", "node changed state b new ready", "job changed state running",
			"node changed state a ready running", "node changed state b ready running",
			"node changed state a running finished", "node changed state b running failed", "job changed state failed",
		}, log.take())

		id := l.deploy("a b c", nil)
		pass(time.Second)
		log.take()
		gauges := func(waiting string) {
			t.Helper()
			require.Equal(t, waiting, gaugesOf(t, registry, "dalang_orchestrator_waiting_nodes"))
		}
		gauges("agent 0, node 0, outcome 2, slot 1")
		_, err := l.engine.Stop(t.Context(), id, false)
		require.NoError(t, err)
		pass(2 * time.Minute)
		require.Equal(t, []string{
			"node changed state c new stopped", "job changed state stopping", "job was told to stop",
			"node changed state a running finished", "node changed state b running failed", "job changed state stopped",
		}, log.take())
		gauges("agent 0, node 0, outcome 0, slot 0")

		counted := map[string]float64{}
		families, err := registry.Gather()
		require.NoError(t, err)
		for _, f := range families {
			for _, m := range f.GetMetric() {
				name := f.GetName()
				for _, label := range m.GetLabel() {
					name += fmt.Sprintf(" %s", label.GetValue())
				}
				switch {
				case m.GetCounter() != nil:
					counted[name] = m.GetCounter().GetValue()
				case m.GetHistogram() != nil:
					counted[name] = float64(m.GetHistogram().GetSampleCount())
				}
			}
		}
		for name, want := range map[string]float64{
			"dalang_orchestrator_jobs_ended_total failed": 1, "dalang_orchestrator_jobs_ended_total stopped": 1,
			"dalang_orchestrator_nodes_total ready": 4, "dalang_orchestrator_nodes_total running": 4, "dalang_orchestrator_nodes_total finished": 2,
			"dalang_orchestrator_nodes_total failed": 2, "dalang_orchestrator_nodes_total stopped": 1, "dalang_orchestrator_run_seconds deploy": 4,
		} {
			require.InDelta(t, want, counted[name], 0, name)
		}
	})
}

// gaugesOf are the values of a metric by its label.
func gaugesOf(t *testing.T, registry *prometheus.Registry, name string) string {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	var list []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				list = append(list, fmt.Sprint(m.GetLabel()[0].GetValue(), " ", m.GetGauge().GetValue()))
			}
		}
	}
	return strings.Join(list, ", ")
}

// TestGauges: nodes are counted, not certnames; a job runs when a node of it does.
func TestGauges(t *testing.T) {
	inWorld(t, "a b c", func(t *testing.T, w *world) {
		w.agents["a"].connected = false
		registry := prometheus.NewRegistry()
		l := w.start(func(c *orchestrator.Config) { c.Registerer, c.Compiles = registry, 1 })
		defer l.stop()
		gauges := func(jobs, waiting string) {
			t.Helper()
			pass(time.Second)
			require.Equal(t, jobs, gaugesOf(t, registry, "dalang_orchestrator_jobs"))
			require.Equal(t, waiting, gaugesOf(t, registry, "dalang_orchestrator_waiting_nodes"))
		}
		l.deploy("a", nil)
		l.deploy("a", nil)
		gauges("ready 2, running 0, stopping 0", "agent 2, node 0, outcome 0, slot 0")
		id, err := l.engine.Submit(t.Context(), nil, draft("b c", job.Edge{Before: "b", After: "c"}))
		require.NoError(t, err)
		l.deploy("c", nil)
		gauges("ready 3, running 1, stopping 0", "agent 2, node 1, outcome 1, slot 1")
		_, err = l.engine.Stop(t.Context(), id, false)
		require.NoError(t, err)
		gauges("ready 3, running 0, stopping 1", "agent 2, node 0, outcome 1, slot 1")
		w.connect("a", true)
		gauges("ready 3, running 0, stopping 1", "agent 0, node 0, outcome 1, slot 3")
		pass(10 * time.Minute)
		gauges("ready 0, running 0, stopping 0", "agent 0, node 0, outcome 0, slot 0")

		// A server that starts asks agents, those that are away when they come.
		w.connect("a", false)
		l.deploy("b", nil)
		pass(time.Second)
		l.stop()
		w.mu.Lock()
		w.agents["b"].connected = false
		w.mu.Unlock()
		registry = prometheus.NewRegistry()
		l = w.start(func(c *orchestrator.Config) { c.Registerer = registry })
		gauges("ready 0, running 1, stopping 0", "agent 1, node 0, outcome 0, slot 0")
		w.connect("b", true)
		gauges("ready 0, running 1, stopping 0", "agent 0, node 0, outcome 1, slot 0")
		pass(10 * time.Minute)
		gauges("ready 0, running 0, stopping 0", "agent 0, node 0, outcome 0, slot 0")
	})
}
