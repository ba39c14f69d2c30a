package job_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
)

// TestMoves: no state that is terminal is left, every other one can be, and
// what Settle and the events say is in the table.
func TestMoves(t *testing.T) {
	leaves := map[job.Subject]map[job.State]bool{job.OfJob: {}, job.OfNode: {}}
	seen := map[string]bool{}
	for _, m := range job.Moves() {
		require.False(t, m.From.Terminal(), "%v", m)
		require.NotEmpty(t, m.When)
		row := fmt.Sprint(m.Of, m.From, m.To, m.Event)
		require.False(t, seen[row], "%v is there twice", m)
		seen[row] = true
		leaves[m.Of][m.From] = true
		require.True(t, job.Allowed(m.Of, m.From, m.To, m.Event))
	}
	for subject, states := range map[job.Subject][]job.State{job.OfJob: job.JobStates(), job.OfNode: job.NodeStates()} {
		for _, s := range states {
			require.Equal(t, !s.Terminal(), leaves[subject][s], "%s %s", subject, s)
		}
	}
	require.False(t, job.Allowed(job.OfNode, job.New, job.Finished, job.NodeFinished))
}

// TestSettle tries every job of up to three nodes: it ends exactly when they
// have, by moves of the table.
func TestSettle(t *testing.T) {
	states := job.NodeStates()
	for _, a := range states {
		for _, b := range states {
			for _, c := range states {
				counts := job.Counts{}
				for _, s := range []job.State{a, b, c} {
					counts[s]++
				}
				for _, from := range []job.State{job.Ready, job.Running, job.Stopping} {
					state := from
					for next := job.Settle(state, counts); next != state; next = job.Settle(state, counts) {
						require.True(t, job.Allowed(job.OfJob, state, next, job.JobEvent(state, next)), "%s to %s", state, next)
						state = next
					}
					require.Equal(t, counts.Open() == 0, state.Terminal(), "%s with %v", from, counts)
					switch {
					case !state.Terminal():
					case from == job.Stopping:
						require.Equal(t, job.Stopped, state)
					case counts[job.Finished] == 3:
						require.Equal(t, job.Finished, state)
					default:
						require.Equal(t, job.Failed, state)
					}
				}
			}
		}
	}
}

func TestConcurrency(t *testing.T) {
	for text, want := range map[string]int{
		"null": 0, "1": 1, "8": 8, "8.0": 8, "[1,8]": 8, "[2, 2]": 2, `{"min":1,"max":4}`: 4, `"1-10"`: 10, `" 2 - 3 "`: 3,
	} {
		var c job.Concurrency
		require.NoError(t, json.Unmarshal([]byte(text), &c), text)
		require.Equal(t, want, c.Max, text)
		echo, err := json.Marshal(c)
		require.NoError(t, err)
		require.JSONEq(t, text, string(echo))
	}
	for _, text := range []string{"0", "-1", "1.5", `""`, `"8"`, `"a-b"`, `"3-2"`, "[1]", "[0,3]", "[3,1]", `{"min":1}`, `{"max":3,"x":1}`, "true", "{}", "[]", "1e300"} {
		var c job.Concurrency
		require.ErrorContains(t, json.Unmarshal([]byte(text), &c), "concurrency must be", text)
	}
}

func FuzzConcurrency(f *testing.F) {
	for _, seed := range []string{"1", "[1,8]", `{"min":1,"max":4}`, `"1-10"`, "null"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var c, again job.Concurrency
		if json.Unmarshal(text, &c) != nil {
			return
		}
		require.GreaterOrEqual(t, c.Max, 0)
		echo, err := json.Marshal(c)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(echo, &again))
		require.Equal(t, c.Max, again.Max)
	})
}

// TestOptions: what a deploy's options echo is what a later start reads.
func TestOptions(t *testing.T) {
	echo, err := json.Marshal(job.Deploy{Environment: "production", Userdata: json.RawMessage("{}")})
	require.NoError(t, err)
	require.JSONEq(t, `{"environment":"production","enforce_environment":false,"scope":{},"target":null,"noop":false,"no_noop":false,
		"concurrency":null,"description":"","debug":false,"trace":false,"evaltrace":false,"filetimeout":null,"http_connect_timeout":null,
		"http_keepalive_timeout":null,"http_read_timeout":null,"ordering":null,"tags":null,"skip_tags":null,"use_cached_catalog":null,
		"usecacheonfailure":null,"timeout":null,"userdata":{}}`, string(echo))
	var back job.Deploy
	require.NoError(t, json.Unmarshal(echo, &back))
	require.True(t, back.Scope.Empty())
	again, err := json.Marshal(back)
	require.NoError(t, err)
	require.JSONEq(t, string(echo), string(again))
}

// TestDependencyCycle: the message is for people.
func TestDependencyCycle(t *testing.T) {
	require.Equal(t, "The nodes of the application depend on each other in a circle: a, b, a", job.DependencyCycle([]string{"a", "b", "a"}).Msg)
}
