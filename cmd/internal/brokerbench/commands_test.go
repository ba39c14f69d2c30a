package brokerbench

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// samples are payloads of a real size.
type samples struct {
	facts, catalogs []document
	small, large    []document // reports: of 15 and of 60 KB
}

// document is a payload, some members of which change.
type document map[string]json.RawMessage

const corpus = "../../../testdata/corpus/realistic"

func readSamples(t *testing.T) *samples {
	t.Helper()
	s := &samples{}
	read := func(kind string, most int64) (list []document) {
		files, err := filepath.Glob(filepath.Join(corpus, kind, "*.json"))
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			if most > 0 && int64(len(text)) > most {
				continue
			}
			var d document
			require.NoError(t, json.Unmarshal(text, &d))
			for _, own := range []string{"hash", "timestamp", "receive_time"} {
				delete(d, own)
			}
			list = append(list, d)
		}
		require.NotEmpty(t, list)
		return list
	}
	s.facts, s.catalogs = read("facts", 0), read("catalogs", 0)
	for _, d := range read("reports", 100_000) {
		if string(d["status"]) == `"changed"` {
			s.large = append(s.large, d)
		} else {
			s.small = append(s.small, d)
		}
	}
	require.NotEmpty(t, s.small)
	require.NotEmpty(t, s.large)
	return s
}

// with is the payload with other members.
func (d document) with(members map[string]any) ([]byte, error) {
	all := make(document, len(d)+len(members))
	for name, value := range d {
		all[name] = value
	}
	for name, value := range members {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		all[name] = text
	}
	return json.Marshal(all)
}

// poster submits commands, a few at a time, as Puppet Servers do.
type poster struct {
	url    string
	client *http.Client
	turns  chan struct{}

	mu   sync.Mutex
	took []time.Duration
}

func newPoster(url string) *poster {
	return &poster{url: url, turns: make(chan struct{}, 32), client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}}
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }

// post submits a command, gzipped.
func (p *poster) post(command, version, certname string, at time.Time, body []byte) error {
	var zipped bytes.Buffer
	z, err := gzip.NewWriterLevel(&zipped, gzip.BestSpeed)
	if err != nil {
		return err
	}
	_, err = z.Write(body)
	if err = errors.Join(err, z.Close()); err != nil {
		return err
	}
	p.turns <- struct{}{}
	defer func() { <-p.turns }()
	q := url.Values{"command": {command}, "version": {version}, "certname": {certname}, "producer-timestamp": {stamp(at)}}
	r, err := http.NewRequest(http.MethodPost, p.url+"/pdb/cmd/v1?"+q.Encode(), &zipped)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Content-Encoding", "gzip")
	r.Header.Set("X-Uncompressed-Length", strconv.Itoa(len(body)))
	start := time.Now()
	res, err := p.client.Do(r)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(res.Body)
	err = errors.Join(err, res.Body.Close())
	if res.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("%s: %s", res.Status, text))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took = append(p.took, time.Since(start))
	return err
}

// times are how long submissions took since the last call.
func (p *poster) times() series {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := series{took: p.took}
	p.took = nil
	return s
}

// announce makes the nodes of a fleet known, and waits for nothing.
func (p *poster) announce(n int) error {
	var group errgroup.Group
	group.SetLimit(16)
	for i := range n {
		group.Go(func() error {
			now := time.Now()
			body, err := json.Marshal(map[string]any{"certname": certname(i), "environment": "production", "producer": "puppet.example.com",
				"producer_timestamp": stamp(now), "values": map[string]any{"fleet": "bench", "kernel": "Linux", "number": i}})
			if err != nil {
				return err
			}
			return p.post("replace_facts", "5", certname(i), now, body)
		})
	}
	return group.Wait()
}

// reporter posts the reports of runs.
type reporter struct {
	*poster
	samples *samples
}

// post posts the report of an agent's run and gives the module's results.
func (r *reporter) post(a *agent, job string) (json.RawMessage, error) {
	sample := r.samples.small[a.index%len(r.samples.small)]
	if a.status() != "unchanged" {
		sample = r.samples.large[a.index%len(r.samples.large)]
	}
	var metrics []metric
	if err := json.Unmarshal(sample["metrics"], &metrics); err != nil {
		return nil, err
	}
	counters := a.counters()
	metrics = slices.DeleteFunc(metrics, func(m metric) bool { return m.Category == "resources" })
	for name, n := range counters {
		metrics = append(metrics, metric{"resources", name, float64(n)})
	}
	now, transaction := time.Now(), uuid.NewString()
	body, err := sample.with(map[string]any{
		"certname": a.certname, "job_id": job, "transaction_uuid": transaction, "status": a.status(), "noop": false, "metrics": metrics,
		"start_time": stamp(now.Add(-a.takes())), "end_time": stamp(now), "producer_timestamp": stamp(now), "configuration_version": stamp(now),
	})
	if err != nil {
		return nil, err
	}
	if err := r.poster.post("store_report", "8", a.certname, now, body); err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"kind": "apply", "time": stamp(now), "transaction_uuid": transaction, "environment": "production",
		"status": a.status(), "metrics": counters, "exitcode": 0, "version": 1})
}

type metric struct {
	Category string  `json:"category"`
	Name     string  `json:"name"`
	Value    float64 `json:"value"`
}

// counters are what the agent's reports say of its resources.
func (a *agent) counters() map[string]int {
	c := map[string]int{"total": 100 + a.index, "changed": 0, "failed": 0, "skipped": 0, "restarted": 0, "failed_to_restart": 0, "scheduled": 0,
		"out_of_sync": 0, "corrective_change": 0}
	switch a.status() {
	case "changed":
		c["changed"], c["out_of_sync"] = 5, 5
	case "failed":
		c["failed"], c["out_of_sync"], c["skipped"] = 1, 1, 2
	}
	return c
}

// others posts facts, a catalog and a report of nodes outside of the fleet, so
// many nodes a second, until ctx ends.
func (p *poster) others(ctx context.Context, s *samples, rate int) error {
	ticker := time.NewTicker(time.Second / time.Duration(rate))
	defer ticker.Stop()
	var group errgroup.Group
	group.SetLimit(16)
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return group.Wait()
		case <-ticker.C:
			group.Go(func() error { return p.other(s, i) })
		}
	}
}

// other posts what one run of a node's agent leads to.
func (p *poster) other(s *samples, i int) error {
	const nodes = 50
	name := fmt.Sprintf("other%02d.example.com", i%nodes)
	for _, c := range []struct {
		name, version string
		of            []document
	}{{"replace_facts", "5", s.facts}, {"replace_catalog", "9", s.catalogs}, {"store_report", "8", s.small}} {
		now := time.Now()
		members := map[string]any{"certname": name, "producer_timestamp": stamp(now), "transaction_uuid": uuid.NewString()}
		switch c.name {
		case "replace_facts":
			delete(members, "transaction_uuid")
		case "store_report":
			members["start_time"], members["end_time"] = stamp(now.Add(-time.Minute)), stamp(now)
		}
		body, err := c.of[i%nodes%len(c.of)].with(members)
		if err == nil {
			err = p.post(c.name, c.version, name, now, body)
		}
		if err != nil {
			return fmt.Errorf("%s of %s: %w", c.name, name, err)
		}
	}
	return nil
}

// series is how long something took, each time.
type series struct{ took []time.Duration }

func (s series) at(quantile float64) time.Duration {
	if len(s.took) == 0 {
		return 0
	}
	slices.Sort(s.took)
	return s.took[int(quantile*float64(len(s.took)-1))]
}

func (s series) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d times", len(s.took))
	for _, q := range []struct {
		name string
		of   float64
	}{{"p50", .5}, {"p99", .99}, {"max", 1}} {
		fmt.Fprintf(&b, ", %s %.1f ms", q.name, s.at(q.of).Seconds()*1000)
	}
	return b.String()
}
