// Package hostile throws mutated, truncated and malicious requests at the
// real binary. It must not crash or hang, must answer each with a sensible
// status, and must not lose the good commands that come in between.
package hostile

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/dalangtest"
)

const attackers = 4

func TestHostileClients(t *testing.T) {
	requests := 10_000
	if text := os.Getenv("DALANG_HOSTILE_REQUESTS"); text != "" {
		var err error
		requests, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	seed := uint64(time.Now().UnixNano() % 1_000_000)
	if text := os.Getenv("DALANG_HOSTILE_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("DALANG_HOSTILE_SEED=%d DALANG_HOSTILE_REQUESTS=%d", seed, requests)

	server := dalangtest.New(t, dalangtest.Build(t))
	server.Start(t)
	defer server.Stop(t)
	corpus := loadCorpus(t)
	var wg sync.WaitGroup
	results := make([]*attack, attackers)
	for i := range attackers {
		a := &attack{server: server, corpus: corpus, index: i, random: rand.New(rand.NewPCG(seed, uint64(i))), statuses: map[int]int{}}
		results[i] = a
		wg.Go(func() { a.run(t.Context(), requests/attackers) })
	}
	wg.Wait()
	server.Drain(t)
	statuses := map[int]int{}
	for _, a := range results {
		require.NoError(t, a.err)
		for status, n := range a.statuses {
			statuses[status] += n
		}
		settled(t, server, a)
	}
	bounded(t, server)
	t.Logf("answers by status: %v", statuses)
}

// settled checks that every promise was kept: good neighbours are stored,
// accepted junk has come to an end.
func settled(t *testing.T, server *dalangtest.Server, a *attack) {
	t.Helper()
	require.NotEmpty(t, a.neighbours)
	for _, certname := range a.neighbours {
		var facts []struct{ Value string }
		server.Decode(t, "/pdb/query/v4/nodes/"+certname+"/facts", "", &facts)
		require.Len(t, facts, 1, certname)
	}
	for i, id := range a.accepted {
		if i%20 != 0 { // a sample: one look-up a command would double the run
			continue
		}
		var status struct{ State, Error string }
		server.Decode(t, "/pdb/cmd/v1/"+id, "", &status)
		require.Contains(t, []string{"processed", "stale", "duplicate", "superseded", "discarded"}, status.State, "%s: %s", id, status.Error)
	}
}

// recorded is one line of the corpus.
type recorded struct {
	Command, Certname, Body string
	Version                 int
}

func loadCorpus(t *testing.T) []recorded {
	t.Helper()
	var all []recorded
	for _, name := range []string{"edge.jsonl", "agents.jsonl"} {
		file, err := os.Open(filepath.Join("../../../testdata/corpus", name))
		require.NoError(t, err)
		defer file.Close()
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 4<<20)
		for lines.Scan() {
			var r recorded
			require.NoError(t, json.Unmarshal(lines.Bytes(), &r))
			if len(r.Body) < 40_000 {
				all = append(all, r)
			}
		}
		require.NoError(t, lines.Err())
	}
	require.NotEmpty(t, all)
	return all
}

// attack is one client's share of the requests.
type attack struct {
	server     *dalangtest.Server
	corpus     []recorded
	index      int
	random     *rand.Rand
	statuses   map[int]int
	neighbours []string // certnames whose good command was accepted
	accepted   []string // uuids of whatever got 200
	err        error
}

func (a *attack) run(ctx context.Context, requests int) {
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for n := range requests {
		r := a.hostile()
		good := n%50 == 0
		certname := fmt.Sprintf("good-%d-%d.example.com", a.index, n)
		if good {
			r = neighbour(certname)
		}
		status, body, err := r.send(ctx, client, a.server)
		if err != nil {
			a.err = fmt.Errorf("request %d of attacker %d got no answer: %w\n%v", n, a.index, err, r)
			return
		}
		a.statuses[status]++
		switch {
		case good && status != http.StatusOK:
			a.err = fmt.Errorf("a good neighbour was refused: %d %s", status, body)
			return
		case good:
			a.neighbours = append(a.neighbours, certname)
		case status == http.StatusInternalServerError && !r.arrayOrScalar():
			a.err = fmt.Errorf("answer 500 (%s) to\n%v", body, r)
			return
		}
		if status == http.StatusOK {
			var answer struct{ UUID string }
			if json.Unmarshal(body, &answer) == nil && answer.UUID != "" {
				a.accepted = append(a.accepted, answer.UUID)
			}
		}
	}
}

// request is what goes over the wire.
type request struct {
	method  string
	query   url.Values
	headers http.Header
	body    []byte
}

func (r request) String() string {
	return fmt.Sprintf("%s ?%s %v\n%.300q", r.method, r.query.Encode(), r.headers, r.body)
}

// arrayOrScalar: an old-format body that is JSON but no object is answered
// with 500, as PuppetDB does (spec trap 47).
func (r request) arrayOrScalar() bool {
	return !r.query.Has("command")
}

func (r request) send(ctx context.Context, client *http.Client, server *dalangtest.Server) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, server.URL("/pdb/cmd/v1?"+r.query.Encode()), bytes.NewReader(r.body))
	if err != nil {
		return 0, nil, err
	}
	req.Header = r.headers
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, body, err
}
