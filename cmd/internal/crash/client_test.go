package crash

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"dalang/cmd/internal/dalangtest"
)

// promise is what the server has answered 200 to, by certname.
type promise struct {
	reports []string // configuration versions
	facts   int      // highest counter that was accepted
	tried   int      // highest counter that was sent, accepted or not
	broken  []string // uuids of commands that cannot be applied
}

// clients submit until their context ends and remember what was promised.
type clients struct {
	v     *dalangtest.Server
	mu    sync.Mutex
	nodes map[string]*promise
	sent  int
}

// run is one client with a certname of its own. Errors are expected: the
// server is being killed.
func (c *clients) run(ctx context.Context, seed uint64, index int) {
	random := rand.New(rand.NewPCG(seed, uint64(index)))
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	certname := fmt.Sprintf("node%d.example.com", index)
	node := &promise{}
	c.mu.Lock()
	c.nodes[certname] = node
	c.mu.Unlock()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for n := 1; ctx.Err() == nil; n++ {
		at := start.Add(time.Duration(n) * time.Second).Format("2006-01-02T15:04:05.000Z")
		kind := random.IntN(10)
		var ok bool
		var uuid string
		switch {
		case kind < 5:
			version := fmt.Sprintf("%s-%d", certname, n)
			if ok, _ = c.post(ctx, client, "store_report", 8, certname, at, reportBody(certname, version, at)); ok {
				c.keep(func() { node.reports = append(node.reports, version) })
			}
		case kind < 9:
			c.keep(func() { node.tried = n })
			body := fmt.Sprintf(`{"certname":%q,"environment":"production","producer":null,"producer_timestamp":%q,"values":{"counter":%d,"filler":%q}}`,
				certname, at, n, filler(random))
			if ok, _ = c.post(ctx, client, "replace_facts", 5, certname, at, body); ok {
				c.keep(func() { node.facts = n })
			}
		default:
			if ok, uuid = c.post(ctx, client, "store_report", 8, certname, at, `{"certname":"`+certname+`"}`); ok {
				c.keep(func() { node.broken = append(node.broken, uuid) })
			}
		}
		if !ok {
			select { // the server is down: do not spin
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
}

func (c *clients) keep(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	c.sent++
}

// post submits one gzipped command; ok means 200, a promise.
func (c *clients) post(ctx context.Context, client *http.Client, command string, version int, certname, at, body string) (ok bool, uuid string) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = io.WriteString(w, body)
	_ = w.Close()
	query := url.Values{"command": {command}, "version": {fmt.Sprint(version)}, "certname": {certname}, "producer-timestamp": {at}}
	if command != "replace_facts" {
		query.Del("producer-timestamp") // nothing may supersede
	}
	// A request in flight outlives ctx: its promise must be counted.
	req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, c.v.URL("/pdb/cmd/v1?"+query.Encode()), &packed)
	if err != nil {
		return false, ""
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Content-Encoding", "gzip")
	res, err := client.Do(req)
	if err != nil {
		return false, ""
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return false, ""
	}
	return true, uuidIn(answer)
}

func filler(random *rand.Rand) string {
	b := make([]byte, random.IntN(4000))
	for i := range b {
		b[i] = 'a' + byte(random.IntN(26))
	}
	return string(b)
}

func reportBody(certname, version, at string) string {
	return fmt.Sprintf(`{"certname":%q,"environment":"production","puppet_version":"8.4.0","report_format":12,
"configuration_version":%q,"start_time":%q,"end_time":%q,"producer_timestamp":%[3]q,"transaction_uuid":null,"catalog_uuid":null,
"code_id":null,"job_id":null,"cached_catalog_status":null,"producer":null,"status":"changed","noop":false,"noop_pending":false,
"corrective_change":false,"metrics":[],"logs":[],"resources":[{"skipped":false,"timestamp":%[3]q,"resource_type":"Notify","resource_title":"a",
"file":null,"line":null,"containment_path":["Stage[main]"],"corrective_change":false,"events":[{"status":"success","timestamp":%[3]q,"name":null,
"property":"message","new_value":"a","old_value":null,"corrective_change":false,"message":null}]}]}`, certname, version, at, at)
}
