package wireformat

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var testReceived = time.Date(2026, 11, 20, 1, 2, 3, 456_789_000, time.FixedZone("", 3600))

// decodeBase decodes a base payload after edits: key, value, key, value; a
// value of nil takes the key away, json.RawMessage stands for itself.
func decodeBase(t *testing.T, cmd Command, version int, edits ...any) (Payload, error) {
	t.Helper()
	for _, b := range bases(t) {
		if b.Command != cmd || b.Version != version {
			continue
		}
		doc := b.Payload.(map[string]any)
		for i := 0; i < len(edits); i += 2 {
			if edits[i+1] == nil {
				delete(doc, edits[i].(string))
			} else {
				doc[edits[i].(string)] = edits[i+1]
			}
		}
		body, err := json.Marshal(doc)
		require.NoError(t, err)
		return Decode(cmd, version, testReceived, body)
	}
	t.Fatalf("no base for %s %d", cmd, version)
	return nil, nil
}

func mustDecode[P Payload](t *testing.T, cmd Command, version int, edits ...any) P {
	t.Helper()
	p, err := decodeBase(t, cmd, version, edits...)
	require.NoError(t, err)
	return p.(P)
}

func TestVersionsNobodyKnows(t *testing.T) {
	for _, c := range []struct {
		cmd     Command
		version int
		message string
	}{
		{ReplaceFacts, 6, "Unsupported command replace facts version 6"},
		{ReplaceFacts, 1, "Unsupported command replace facts version 1"},
		{ReplaceCatalog, 10, "Unknown catalog version '10'"},
		{ReplaceCatalog, 3, "Unknown catalog version '3'"},
		{StoreReport, 99, "Unsupported command store report version 99"},
		{DeactivateNode, 0, "Unsupported command deactivate node version 0"},
		{"brew coffee", 1, "Unsupported command brew coffee version 1"},
	} {
		_, err := Decode(c.cmd, c.version, testReceived, []byte("{}"))
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, CauseVersion, e.Cause)
		require.Equal(t, c.message, e.Message)
	}
}

// TestEmptyBodyIsNull: fatal everywhere but in catalog inputs, which do nothing.
func TestEmptyBodyIsNull(t *testing.T) {
	for _, v := range Commands() {
		for _, body := range []string{"", " \n", "null"} {
			p, err := Decode(v.Command, v.Latest, testReceived, []byte(body))
			if v.Command == ReplaceCatalogInputs {
				require.NoError(t, err)
				require.Equal(t, &CatalogInputs{}, p)
				continue
			}
			var e *Error
			require.ErrorAs(t, err, &e, "%s %q", v.Command, body)
			require.Equal(t, CauseValidation, e.Cause)
		}
	}
}

func TestEveryProblemIsReported(t *testing.T) {
	_, err := Decode(ReplaceCatalog, 9, testReceived, []byte(`{"certname":1,"version":"1","code_id":null,"producer":null,
		"transaction_uuid":"nope","catalog_uuid":null,"producer_timestamp":"soon",
		"resources":[{"type":"File","title":"/a","tags":["ok","BAD"],"exported":"no","line":2147483648},
		  {"type":"File","title":"/a","tags":[],"exported":false},{"type":"Odd","title":"t","tags":[7],"exported":true,"file":[]}],
		"edges":[{"source":{"type":"File","title":"/a"},"target":{"type":"No","title":"such"},"relationship":"likes"}]}`))
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, CauseValidation, e.Cause)
	require.Equal(t, "Invalid replace catalog command", e.Message)
	var paths []string
	for _, p := range e.Problems {
		paths = append(paths, p.Path)
	}
	for _, want := range []string{"$.certname", "$.transaction_uuid", "$.producer_timestamp", "$.resources[0].tags[1]", "$.resources[0].exported",
		"$.resources[0].line", "$.resources[1]", "$.resources[2].tags[0]", "$.resources[2].file", "$.edges[0].target", "$.edges[0].relationship"} {
		require.Contains(t, paths, want)
	}
	require.Contains(t, err.Error(), "$.certname: ")
	require.Contains(t, err.Error(), "…")
}

func TestPathsOfOddKeys(t *testing.T) {
	_, err := Decode(ReplaceFacts, 5, testReceived, []byte(`{"certname":"a","environment":null,"producer":null,"producer_timestamp":0,"values":{},"a.b c":1}`))
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, []Problem{{`$["a.b c"]`, "is not a known field"}}, e.Problems)
}

func TestParseErrorsOutrankProblems(t *testing.T) {
	for _, body := range []string{`{"certname":1`, `{"certname":1,}`, `[`, `nul`, `{"certname":1 "x":2}`, "{\"a\":\"\\q\"}", `{"a":01}`, strings.Repeat("[", 3000)} {
		_, err := Decode(ReplaceFacts, 5, testReceived, []byte(body))
		var e *Error
		require.ErrorAs(t, err, &e, body)
		require.Equal(t, CauseParse, e.Cause, body)
		require.Contains(t, e.Message, "at byte")
	}
}

func TestFactsUpgrades(t *testing.T) {
	f := mustDecode[*Facts](t, ReplaceFacts, 2)
	require.Equal(t, "2026-11-20T00:02:03.456Z", FormatTime(f.ProducerTimestamp), "version 2 takes the time of acceptance")
	require.Equal(t, "a", f.Certname)
	f = mustDecode[*Facts](t, ReplaceFacts, 3)
	require.Equal(t, "2026-11-10T01:00:00.000Z", FormatTime(f.ProducerTimestamp))
	f = mustDecode[*Facts](t, ReplaceFacts, 4, "producer", "me")
	require.Nil(t, f.Producer, "version 4 has no producer")
	f = mustDecode[*Facts](t, ReplaceFacts, 5, "producer", "me", "values", json.RawMessage(`{"b":{"z":1,"a":[1.50,-0]},"a":null,"b":"x\u0000"}`),
		"package_inventory", json.RawMessage(`[["z","1","apt"],["a","2","apt"],["a","10","apt"],["z","1","apt"]]`))
	require.Equal(t, "me", *f.Producer)
	require.Equal(t, []Fact{{"a", JSON("null")}, {"b", JSON("\"x\uFFFD\"")}}, f.Values)
	require.Equal(t, []Package{{"a", "10", "apt"}, {"a", "2", "apt"}, {"z", "1", "apt"}}, f.Packages)
}

// TestFactsHashFollowsValues: the hash is of what is kept, not of what came.
func TestFactsHashFollowsValues(t *testing.T) {
	both := mustDecode[*Facts](t, ReplaceFacts, 5, "values", json.RawMessage(`{"a":1,"secret":2}`))
	one := mustDecode[*Facts](t, ReplaceFacts, 5, "values", json.RawMessage(`{"a":1}`))
	require.NotEqual(t, one.Hash(), both.Hash())
	both.SetValues(both.Values[:1])
	require.Equal(t, one.Hash(), both.Hash())
}

func TestCatalogUpgrades(t *testing.T) {
	const transaction, own = "00000001-1111-4111-8111-000000000001", "00000009-1111-4111-8111-000000000009"
	sent := []any{"catalog_uuid", own, "code_id", "code", "producer", "prod", "job_id", "7"}
	for version, want := range map[int][4]string{ // catalog_uuid, code_id, producer, job_id
		6: {transaction, "", "", ""}, 7: {transaction, "code", "", ""}, 8: {own, "code", "", ""}, 9: {own, "code", "prod", "7"},
	} {
		c := mustDecode[*Catalog](t, ReplaceCatalog, version, sent...)
		for i, got := range []*string{c.CatalogUUID, c.CodeID, c.Producer, c.JobID} {
			if want[i] == "" {
				require.Nil(t, got, "version %d field %d", version, i)
			} else {
				require.Equal(t, want[i], *got, "version %d field %d", version, i)
			}
		}
	}
	require.Equal(t, "2026-11-20T00:02:03.456Z", FormatTime(mustDecode[*Catalog](t, ReplaceCatalog, 4).ProducerTimestamp))
	require.Equal(t, transaction, *mustDecode[*Catalog](t, ReplaceCatalog, 5).TransactionUUID)
}

func TestCatalogIsSorted(t *testing.T) {
	resources := json.RawMessage(`[{"type":"B","title":"x","tags":["b","a","b"],"exported":true,"line":null,"file":""},
		{"type":"A","title":"z","tags":[],"exported":false,"line":-1,"parameters":{"b":1,"a":[]}},{"type":"A","title":"y","tags":["t"],"exported":false}]`)
	edge := `{"source":{"type":"B","title":"x"},"target":{"type":"A","title":"y"},"relationship":"before"}`
	c := mustDecode[*Catalog](t, ReplaceCatalog, 9, "resources", resources,
		"edges", json.RawMessage("["+edge+`,{"target":{"title":"z","type":"A"},"relationship":"contains","source":{"title":"y","type":"A"}},`+edge+"]"))
	require.Len(t, c.Resources, 3)
	a, b := c.Resources[1], c.Resources[2]
	require.Equal(t, "A[z] B[x]", fmt.Sprintf("%s[%s] %s[%s]", a.Type, a.Title, b.Type, b.Title))
	require.Equal(t, []string{"a", "b"}, b.Tags)
	require.Equal(t, JSON(`{"a":[],"b":1}`), a.Parameters)
	require.Nil(t, b.Parameters)
	require.Nil(t, b.Line)
	require.Equal(t, int64(-1), *a.Line)
	require.Equal(t, "", *b.File)
	require.Nil(t, a.File)
	require.Equal(t, []Edge{{0, 1, Contains}, {2, 0, Before}}, c.Edges)
}

// TestCatalogHash: equal for equal content in whatever order, and nothing else.
func TestCatalogHash(t *testing.T) {
	r := []string{`{"type":"A","title":"x","tags":["a","b"],"exported":false,"parameters":{"k":1}}`, `{"type":"B","title":"y","tags":[],"exported":true,"file":"/f","line":1}`}
	e := []string{`{"source":{"type":"A","title":"x"},"target":{"type":"B","title":"y"},"relationship":"before"}`, `{"source":{"type":"B","title":"y"},"target":{"type":"A","title":"x"},"relationship":"contains"}`}
	hash := func(resources, edges string, more ...any) string {
		return mustDecode[*Catalog](t, ReplaceCatalog, 9, append([]any{"resources", json.RawMessage("[" + resources + "]"), "edges", json.RawMessage("[" + edges + "]")}, more...)...).Hash
	}
	first := hash(r[0]+","+r[1], e[0]+","+e[1])
	require.Equal(t, first, hash(r[1]+","+strings.Replace(r[0], `"a","b"`, `"b","a","b"`, 1), e[1]+","+e[0]))
	require.Equal(t, first, hash(r[0]+","+r[1], e[0]+","+e[1], "version", "2", "environment", "other", "producer", "x", "code_id", "y"))
	others := map[string]bool{first: true}
	for _, change := range [][2]string{{`"a","b"`, `"a"`}, {`"k":1`, `"k":2`}, {`false`, `true`}, {`"/f"`, `"/g"`}, {`"/f"`, `null`}, {`"line":1`, `"line":2`}, {`"title":"x"`, `"title":"z"`}} {
		changed := hash(strings.Replace(r[0]+","+r[1], change[0], change[1], 1), strings.ReplaceAll(e[0]+","+e[1], change[0], change[1]))
		require.False(t, others[changed], "%v", change)
		others[changed] = true
	}
	require.NotContains(t, others, hash(r[0]+","+r[1], e[0]))
	require.NotContains(t, others, hash(r[0]+","+r[1], strings.Replace(e[0], "before", "notifies", 1)+","+e[1]))
	require.NotContains(t, others, hash(r[0]+","+r[1], e[0]+","+e[1], "certname", "other"))
}

func TestUUIDs(t *testing.T) {
	const want = "abcdef01-2345-6789-abcd-ef0123456789"
	for _, ok := range []string{want, strings.ToUpper(want), strings.ReplaceAll(want, "-", ""), "{" + want + "}", "abcd-ef01-2345-6789-abcd-ef01-2345-6789"} {
		require.Equal(t, want, *mustDecode[*Catalog](t, ReplaceCatalog, 9, "catalog_uuid", ok).CatalogUUID, ok)
	}
	for _, bad := range []string{"", "x", want[1:], want + "0", "{" + want, want + "-", "-" + want, "abcdef0-12345-6789-abcd-ef0123456789", want[:35] + "g"} {
		_, err := decodeBase(t, ReplaceCatalog, 9, "catalog_uuid", bad)
		var e *Error
		require.ErrorAs(t, err, &e, bad)
		require.Equal(t, "$.catalog_uuid", e.Problems[0].Path)
	}
}

func TestNodeCommands(t *testing.T) {
	for version, body := range map[int]string{1: `"\"web01\""`, 2: `"web01"`, 3: `{"certname":"web01","producer_timestamp":null}`} {
		p, err := Decode(DeactivateNode, version, testReceived, []byte(body))
		require.NoError(t, err)
		require.Equal(t, &Deactivate{Certname: "web01"}, p, "no time is the time of processing")
	}
	p, err := Decode(DeactivateNode, 3, testReceived, []byte(`{"certname":"web01","producer_timestamp":1700000000123}`))
	require.NoError(t, err)
	require.Equal(t, "2023-11-14T22:13:20.123Z", FormatTime(p.(*Deactivate).ProducerTimestamp))
	p, err = Decode(ConfigureExpiration, 1, testReceived, []byte(`{"certname":"a","expire":{"facts":true},"producer_timestamp":"2026-11-21"}`))
	require.NoError(t, err)
	require.Equal(t, &Expiration{"a", time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), true}, p)
}

func TestCatalogInputs(t *testing.T) {
	const uuid = `"catalog_uuid":"ABCDEF01-2345-6789-abcd-ef0123456789"`
	p, err := Decode(ReplaceCatalogInputs, 1, testReceived, []byte(`{"certname":"a",`+uuid+`,"extra":1,"inputs":[["hiera","b"],["f","x"],["hiera","b"]]}`))
	require.NoError(t, err)
	in := p.(*CatalogInputs)
	require.Equal(t, []Input{{"f", "x"}, {"hiera", "b"}}, in.Inputs)
	require.Equal(t, "abcdef01-2345-6789-abcd-ef0123456789", in.CatalogUUID)
	require.Equal(t, hexSHA1([]byte("a\x00f\x00x\x00hiera\x00b\x00")), in.Hash)
	for _, nothing := range []string{`{}`, `{"certname":"a"}`, `{"certname":"a","inputs":null}`, `{"certname":"a","inputs":[],"catalog_uuid":7}`} {
		p, err := Decode(ReplaceCatalogInputs, 1, testReceived, []byte(nothing))
		require.NoError(t, err, nothing)
		require.Empty(t, p.(*CatalogInputs).Inputs)
	}
	for _, bad := range []string{`{"certname":"a","inputs":[["a","b"]]}`, `{` + uuid + `,"inputs":[["a","b"]]}`, `{"certname":"a",` + uuid + `,"inputs":[["a"]]}`,
		`{"certname":"a",` + uuid + `,"inputs":[["a","b","c"]]}`, `{"certname":"a",` + uuid + `,"inputs":[["a",1]]}`, `{"certname":"a",` + uuid + `,"inputs":{}}`, `[]`} {
		_, err := Decode(ReplaceCatalogInputs, 1, testReceived, []byte(bad))
		var e *Error
		require.ErrorAs(t, err, &e, bad)
		require.Equal(t, CauseValidation, e.Cause)
	}
}

// TestDecodeFromManyGoroutines: decoders share no state, and payloads none with
// decoders that go on to the next body.
func TestDecodeFromManyGoroutines(t *testing.T) {
	lines := append(corpus(t, "agents.jsonl"), corpus(t, "edge.jsonl")...)
	alone := make([][]byte, len(lines))
	for i, r := range lines {
		p, err := Decode(r.name(), r.Version, testReceived, []byte(r.Body))
		require.NoError(t, err)
		alone[i], err = json.Marshal(p)
		require.NoError(t, err)
	}
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			payloads := make([]Payload, len(lines))
			for n := range lines {
				i := (n + g*17) % len(lines)
				payloads[i], _ = Decode(lines[i].name(), lines[i].Version, testReceived, []byte(lines[i].Body))
			}
			for i, p := range payloads {
				if text, err := json.Marshal(p); err != nil || string(text) != string(alone[i]) {
					t.Errorf("line %d came out differently", i)
				}
			}
		})
	}
	all.Wait()
}
