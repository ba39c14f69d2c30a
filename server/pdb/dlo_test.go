package pdb_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/mux"
	"github.com/stretchr/testify/require"

	"dalang/commands"
	"dalang/commands/queue"
	"dalang/dlo"
	"dalang/dlo/dloclient"
	"dalang/server/pdb"
	"dalang/wireformat"
)

const (
	goodNode = `{"certname":"web1","producer_timestamp":"2026-01-02T03:04:05.000Z"}`
	badNode  = `{"certname":7}`
)

type submitter struct{ bodies []string }

func (s *submitter) Enqueue(_ context.Context, in commands.Submission) (uuid.UUID, error) {
	if in.Certname == "refused" {
		return uuid.Nil, &commands.UnavailableError{Err: errors.New("the disk is full")}
	}
	b, err := io.ReadAll(in.Body)
	s.bodies = append(s.bodies, string(b))
	return uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8"), err
}

type dloBench struct {
	office *dlo.Office
	queue  *queue.Queue
	submit *submitter
	server *httptest.Server
	client *dloclient.Client
	ids    []string
}

func newDLOBench(t *testing.T, bodies ...string) *dloBench {
	b := &dloBench{submit: &submitter{}}
	dir := t.TempDir()
	var err error
	b.queue, _, err = queue.Open(queue.Config{Dir: filepath.Join(dir, "cmd")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.queue.Close()) })
	b.office, err = dlo.Open(dlo.Config{Dir: filepath.Join(dir, "discarded"), MaxBody: 1 << 20})
	require.NoError(t, err)
	router := mux.NewRouter().UseEncodedPath().SkipClean(true)
	for _, route := range pdb.NewDLO(b.office, b.submit).Routes() {
		require.NotEmpty(t, route.Doc)
		router.HandleFunc(route.Path, func(w http.ResponseWriter, r *http.Request) {
			var p *pdb.Problem
			err := route.Handle(w, r)
			if err != nil && w.Header().Get("Content-Disposition") != "" {
				panic(http.ErrAbortHandler) // as the front end does when an answer has begun
			}
			if errors.As(err, &p) {
				require.NoError(t, pdb.WriteJSON(w, p.Status, map[string]string{"error": p.Message}))
			} else if err != nil {
				require.NoError(t, pdb.WriteText(w, 500, err.Error()))
			}
		}).Methods(route.Methods...)
	}
	b.server = httptest.NewServer(router)
	t.Cleanup(b.server.Close)
	b.client, err = dloclient.New(dloclient.Config{URL: b.server.URL})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.client.Close()) })
	for i, body := range bodies {
		b.discard(t, fmt.Sprintf("web%d", i+1), body)
	}
	return b
}

func (b *dloBench) discard(t *testing.T, certname, body string) {
	body, zipped := strings.CutPrefix(body, "gz:")
	body, short := strings.CutPrefix(body, "cut:")
	if zipped && body != "broken" || short {
		var buf bytes.Buffer
		z := gzip.NewWriter(&buf)
		_, err := z.Write([]byte(body))
		require.NoError(t, err)
		require.NoError(t, z.Flush())
		flushed := buf.Len()
		require.NoError(t, z.Close())
		body = buf.String()
		if short {
			body, zipped = body[:flushed], true // without its end
		}
	}
	at := time.Date(2026, 3, 1, 12, 0, len(b.ids), 0, time.UTC)
	m := queue.NewMeta(wireformat.DeactivateNode, 3, certname, at, time.Time{}, zipped)
	e, err := b.queue.Put(context.Background(), m, strings.NewReader(body))
	require.NoError(t, err)
	require.NoError(t, b.office.Discard(context.Background(), commands.Letter{
		Entry: e, BodyPath: b.queue.Path(e), Certname: certname, Cause: "validation", Message: "certname must be a string",
	}))
	b.ids = append(b.ids, e.UUID.String())
}

// ask sends a request and returns status and body.
func (b *dloBench) ask(t *testing.T, method, path, body string, header ...string) (int, string) {
	req, err := http.NewRequest(method, b.server.URL+"/pdb/admin/v1/dlo"+path, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(text)
}

func TestDLOReads(t *testing.T) {
	ctx := context.Background()
	b := newDLOBench(t, badNode, "gz:"+badNode, goodNode)
	l, err := b.client.List(ctx, dlo.Filter{Certname: "web*", NewerThan: dlo.Age(time.Hour)}, dlo.Page{Limit: 2})
	require.NoError(t, err)
	require.Equal(t, 3, l.Total)
	require.Equal(t, []string{"web3", "web2"}, []string{l.Letters[0].Certname, l.Letters[1].Certname})
	local, err := b.office.List(ctx, dlo.Filter{}, dlo.Page{OldestFirst: true, Offset: 1})
	require.NoError(t, err)
	remote, err := b.client.List(ctx, dlo.Filter{}, dlo.Page{OldestFirst: true, Offset: 1})
	require.NoError(t, err)
	require.Equal(t, local, remote)

	s, err := b.client.Stats(ctx, dlo.Filter{Cause: "validation", Command: "deactivate node"})
	require.NoError(t, err)
	require.Equal(t, 3, s.Count)
	require.Equal(t, 3, s.Causes[0].Certnames)

	d, err := b.client.Get(ctx, b.ids[0])
	require.NoError(t, err)
	want, err := b.office.Get(ctx, b.ids[0])
	require.NoError(t, err)
	require.Equal(t, want, d)
	byName, err := b.client.Get(ctx, d.File)
	require.NoError(t, err)
	require.Equal(t, d, byName)

	for i, want := range []string{badNode, badNode, goodNode} {
		body, err := b.client.Body(ctx, b.ids[i])
		require.NoError(t, err)
		text, err := io.ReadAll(body)
		require.NoError(t, err)
		require.NoError(t, body.Close())
		require.Equal(t, want, string(text))
	}
	raw, err := b.client.RawBody(ctx, b.ids[1])
	require.NoError(t, err)
	_, err = gzip.NewReader(raw)
	require.NoError(t, err)
	require.NoError(t, raw.Close())

	var out bytes.Buffer
	require.NoError(t, b.client.Export(ctx, dlo.Selection{IDs: b.ids[:1]}, &out))
	z, err := gzip.NewReader(&out)
	require.NoError(t, err)
	h, err := tar.NewReader(z).Next()
	require.NoError(t, err)
	require.Equal(t, "deactivate-node/"+d.File, h.Name)
}

func TestDLOReplays(t *testing.T) {
	ctx := context.Background()
	b := newDLOBench(t, goodNode, badNode, "gz:"+goodNode)
	var seen []string
	progress := func(p dlo.Progress) {
		seen = append(seen, fmt.Sprintf("%d/%d %s %s", p.Done, p.Total, p.Certname, p.Error))
	}
	res, err := b.client.Replay(ctx, dlo.ReplayRequest{Selection: dlo.Selection{All: true}, DryRun: true}, progress)
	require.NoError(t, err)
	require.Equal(t, dlo.ReplayResult{Selected: 3, Replayed: 2, Failing: 1, DryRun: true}, res)
	require.Empty(t, b.submit.bodies)
	res, err = b.client.Replay(ctx, dlo.ReplayRequest{Selection: dlo.Selection{All: true}}, progress)
	require.NoError(t, err)
	require.Equal(t, dlo.ReplayResult{Selected: 3, Replayed: 2, Failing: 1}, res)
	require.Equal(t, goodNode, b.submit.bodies[0])
	require.Len(t, seen, 6)
	require.Equal(t, seen[:3], seen[3:])
	require.Equal(t, "1/3 web1 ", seen[0])

	status, text := b.ask(t, "POST", "/replay", `{"cause":"no such"}`)
	require.Equal(t, 200, status)
	require.Equal(t, `{"result":{"selected":0,"replayed":0,"failing":0,"skipped":0,"dry_run":false}}`+"\n", text)

	b.discard(t, "refused", goodNode)
	_, err = b.client.Replay(ctx, dlo.ReplayRequest{Selection: dlo.Selection{Filter: dlo.Filter{Certname: "refused"}}}, nil)
	require.EqualError(t, err, "replay stopped after 0 of 1 letters: commands are not accepted: the disk is full")
}

func TestDLOEdits(t *testing.T) {
	ctx := context.Background()
	b := newDLOBench(t, badNode, badNode)
	_, _, err := b.client.Replace(ctx, b.ids[0], []byte(`{"certname":1,"x":2}`), false, true)
	var refused *dloclient.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 422, refused.Status)
	require.Equal(t, "validation", refused.Cause)
	require.NotEmpty(t, refused.Problems)
	s, id, err := b.client.Replace(ctx, b.ids[0], []byte(goodNode), false, true)
	require.NoError(t, err)
	require.NotNil(t, id)
	require.Equal(t, b.ids[0], s.UUID.String())
	require.Equal(t, []string{goodNode}, b.submit.bodies)
	_, err = b.client.Get(ctx, b.ids[0])
	require.EqualError(t, err, "no such letter in the dead letter office: "+b.ids[0])

	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err = z.Write([]byte(goodNode))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	status, _ := b.ask(t, "PUT", "/"+b.ids[1]+"/body", packed.String(), "Content-Encoding", "gzip")
	require.Equal(t, 200, status)
	status, text := b.ask(t, "GET", "/"+b.ids[1]+"/body", "")
	require.Equal(t, 200, status)
	require.Equal(t, goodNode, text)
}

// TestDLOCutBodies: what can be read of a corrupt body is shown, and another
// one can take its place.
func TestDLOCutBodies(t *testing.T) {
	ctx := context.Background()
	long := `{"certname":"` + strings.Repeat("x1", 500_000)
	for name, c := range map[string]struct {
		body   string
		status int // without partial; 0: the answer is cut
		shown  string
	}{
		"nothing":   {"gz:broken", 422, ""},
		"beginning": {"cut:" + badNode, 422, badNode[:5]},
		"long":      {"cut:" + long, 0, long[:100_000]},
	} {
		t.Run(name, func(t *testing.T) {
			b := newDLOBench(t, c.body)
			res, err := http.Get(b.server.URL + "/pdb/admin/v1/dlo/" + b.ids[0] + "/body")
			require.NoError(t, err)
			text, err := io.ReadAll(res.Body)
			require.NoError(t, res.Body.Close())
			if c.status == 0 {
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
				require.NotContains(t, string(text), "error")
			} else {
				require.Equal(t, c.status, res.StatusCode)
			}

			body, err := b.client.Body(ctx, b.ids[0])
			require.NoError(t, err)
			text, err = io.ReadAll(body)
			require.NoError(t, body.Close())
			var refused *dloclient.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, "encoding", refused.Cause)
			require.Contains(t, refused.Message, "gzip")
			require.True(t, strings.HasPrefix(string(text), c.shown), "%.100q", text)

			_, _, err = b.client.Replace(ctx, b.ids[0], []byte(goodNode), false, false)
			require.NoError(t, err)
			_, text2 := b.ask(t, "GET", "/"+b.ids[0]+"/body", "")
			require.Equal(t, goodNode, text2)
		})
	}
}

func TestDLOPrunes(t *testing.T) {
	ctx := context.Background()
	b := newDLOBench(t, badNode, badNode, badNode, badNode)
	keep := int64(len(badNode))
	res, err := b.client.Prune(ctx, dlo.PruneRequest{KeepBytes: &keep, DryRun: true})
	require.NoError(t, err)
	require.Equal(t, dlo.PruneResult{Pruned: 3, PrunedBytes: 3 * keep, Kept: 1, KeptBytes: keep, DryRun: true}, res)
	status, _ := b.ask(t, "DELETE", "/"+b.ids[0], "")
	require.Equal(t, 200, status)
	status, text := b.ask(t, "DELETE", "?certname=web2", "")
	require.Equal(t, 200, status)
	require.Equal(t, "{\n  \"pruned\" : 1,\n  \"pruned_bytes\" : 14,\n  \"kept\" : 2,\n  \"kept_bytes\" : 28,\n"+
		"  \"skipped\" : 0,\n  \"dry_run\" : false\n}", text)
	res, err = b.client.Prune(ctx, dlo.PruneRequest{KeepBytes: &keep})
	require.NoError(t, err)
	require.Equal(t, 1, res.Pruned)
	l, err := b.client.List(ctx, dlo.Filter{}, dlo.Page{})
	require.NoError(t, err)
	require.Equal(t, 1, l.Total)
}

func TestDLORefusals(t *testing.T) {
	b := newDLOBench(t, "gz:broken")
	big := strings.Repeat(" ", 1<<20+1)
	cases := []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "?limit=x", "", 400, `parameter limit must be a whole number, not \"x\"`},
		{"GET", "?limit=1&limit=2", "", 400, `parameter limit is given 2 times`},
		{"GET", "?limit=-1", "", 400, `whole number`},
		{"GET", "?order=up", "", 400, `parameter order must be one of desc, asc, not \"up\"`},
		{"GET", "?older_than=long", "", 400, `\"long\" is not an age`},
		{"GET", "?commnd=x", "", 400, `there is no parameter \"commnd\" here`},
		{"GET", "?command=x", "", 400, `there is no command \"x\"`},
		{"GET", "/stats?limit=1", "", 400, `there is no parameter`},
		{"GET", "/export?id=ffffff", "", 404, `no such letter in the dead letter office: ffffff`},
		{"GET", "/nonsense", "", 404, `no such letter`},
		{"GET", "/..%2f..%2fetc%2fpasswd/body", "", 404, `no such letter`},
		{"GET", "/" + b.ids[0] + "/body", "", 422, `"cause" : "encoding"`},
		{"GET", "/" + b.ids[0] + "/body?raw=true", "", 200, `broken`},
		{"GET", "/" + b.ids[0] + "/body?raw=maybe", "", 400, `true or false`},
		{"POST", "/replay", "", 400, `has no body`},
		{"POST", "/replay", "{}", 400, `nothing is selected`},
		{"POST", "/replay", `{"all":true,"ids":["x"]}`, 400, `all cannot be narrowed`},
		{"POST", "/replay", `{"al":true}`, 400, `unknown field \"al\"`},
		{"POST", "/replay", `{"all":true} x`, 400, `something follows`},
		{"POST", "/replay", `{"all":true,"rate":-1}`, 400, `rate`},
		{"POST", "/replay", `{"ids":["ffffffff"]}`, 404, `ffffffff`},
		{"POST", "/replay", `{"older_than":"x"}`, 400, `not an age`},
		{"POST", "/prune", "{}", 400, `nothing is selected`},
		{"POST", "/prune", `{"keep_bytes":-1}`, 400, `negative`},
		{"DELETE", "", "", 400, `nothing is selected`},
		{"DELETE", "?keep_bytes=x", "", 400, `number of bytes`},
		{"DELETE", "/ffffffff", "", 404, `no such letter`},
		{"PUT", "/ffffffff/body", goodNode, 404, `no such letter`},
		{"PUT", "/" + b.ids[0] + "/body", big, 422, `"cause" : "too-large"`},
		{"PUT", "/" + b.ids[0] + "/body", "{", 422, `"cause" : "parse"`},
	}
	for _, c := range cases {
		status, text := b.ask(t, c.method, c.path, c.body)
		require.Equal(t, c.status, status, "%s %s %s: %s", c.method, c.path, c.body, text)
		require.Contains(t, text, c.want, "%s %s", c.method, c.path)
		if status != 200 {
			require.Contains(t, text, `"error" : `)
		}
	}
	status, _ := b.ask(t, "POST", "/prune", `{"all":true}`, "Content-Type", "text/plain")
	require.Equal(t, 415, status, "no page in a browser may send this")
}
