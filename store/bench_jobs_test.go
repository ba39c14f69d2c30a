package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
	"dalang/store"
)

const fleet = 5000

// bigJob is a job on 5,000 nodes, a tenth of which have failed; the others run.
func bigJob(b *testing.B, s *store.Store) int64 {
	b.Helper()
	d := &job.Draft{Job: job.Job{Type: job.TypeDeploy, Environment: "production", Timeout: time.Hour}}
	for i := range fleet {
		d.Nodes = append(d.Nodes, job.Node{Certname: fmt.Sprintf("node%05d.example.com", i), Transport: "pcp"})
	}
	j, err := s.CreateJob(b.Context(), d)
	require.NoError(b, err)
	for _, to := range []job.State{job.Ready, job.Running, job.Failed} {
		batch := &job.Batch{At: time.Now()}
		for i, n := range d.Nodes {
			if to == job.Failed && i%10 != 3 {
				continue
			}
			batch.Nodes = append(batch.Nodes, movesTo(j.ID, n.Certname, to))
		}
		_, err := s.ChangeJobs(b.Context(), batch)
		require.NoError(b, err)
	}
	return j.ID
}

// movesTo is the move of a node in the order new, ready, running, failed.
func movesTo(id int64, certname string, to job.State) job.NodeMove {
	m := job.NodeMove{JobID: id, Certname: certname, From: job.New, To: to, Event: job.NodeEvent(to), Message: "Finished puppet run on " + certname + " - Failed!",
		TransactionID: uuid.NewSHA1(uuid.NameSpaceDNS, fmt.Append(nil, id, certname)), Fingerprint: strings.Repeat("f", 64)}
	switch to {
	case job.Running:
		m.From = job.Ready
	case job.Failed:
		m.From = job.Running
		m.TransactionUUID = m.TransactionID.String()
		m.Details = json.RawMessage(`{"metrics":{"changed":0,"corrective_change":0,"failed":1,"failed_to_restart":0,"out_of_sync":1,"restarted":0,"scheduled":0,"skipped":2,"total":100}}`)
		m.Detail, m.Result = m.Details, m.Details
	}
	return m
}

func BenchmarkJobNodes(b *testing.B) {
	s := open(b, nil)
	id := bigJob(b, s)
	for _, c := range []struct {
		name string
		f    job.NodeFilter
	}{
		{"page", job.NodeFilter{Limit: 50, Offset: 2500}},
		{"by name", job.NodeFilter{Limit: 50, OrderBy: "name"}},
		{"failed", job.NodeFilter{Limit: 50, State: job.Failed}},
		{"failed, the last first", job.NodeFilter{Limit: 50, State: job.Failed, OrderBy: "finish_timestamp", Desc: true}},
		{"the last first", job.NodeFilter{Limit: 50, OrderBy: "finish_timestamp", Desc: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				nodes, _, _, err := s.JobNodes(context.Background(), id, c.f)
				require.NoError(b, err)
				require.Len(b, nodes, 50)
			}
		})
	}
}

func BenchmarkJob(b *testing.B) {
	s := open(b, nil)
	id := bigJob(b, s)
	for b.Loop() {
		_, err := s.Job(context.Background(), id)
		require.NoError(b, err)
	}
}

// BenchmarkMoves is the life of 5,000 runs, so many moves in a transaction.
func BenchmarkMoves(b *testing.B) {
	for _, together := range []int{1, 100} {
		b.Run(fmt.Sprintf("%d together", together), func(b *testing.B) {
			s := open(b, nil)
			var moves []job.NodeMove
			for b.Loop() {
				if len(moves) < together {
					b.StopTimer()
					moves = lives(b, s)
					b.StartTimer()
				}
				batch := &job.Batch{At: time.Now(), Nodes: moves[:together]}
				moves = moves[together:]
				_, err := s.ChangeJobs(context.Background(), batch)
				require.NoError(b, err)
			}
		})
	}
}

// lives are all moves of the nodes of a new job.
func lives(b *testing.B, s *store.Store) (moves []job.NodeMove) {
	d := &job.Draft{Job: job.Job{Type: job.TypeDeploy, Environment: "production", Timeout: time.Hour}}
	for i := range fleet {
		d.Nodes = append(d.Nodes, job.Node{Certname: fmt.Sprintf("node%05d.example.com", i), Transport: "pcp"})
	}
	j, err := s.CreateJob(b.Context(), d)
	require.NoError(b, err)
	for _, to := range []job.State{job.Ready, job.Running, job.Failed} {
		for _, n := range d.Nodes {
			moves = append(moves, movesTo(j.ID, n.Certname, to))
		}
	}
	return moves
}
