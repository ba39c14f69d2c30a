package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"dalang/cmd/internal/client"
)

// printed are rows as a format prints them on a terminal of a width.
func printed(t *testing.T, format string, width int, rows ...string) string {
	t.Helper()
	var b bytes.Buffer
	out := newOutput(&b)
	out.terminal, out.width = width > 0, width
	p, err := newPrinter(format, out, columns{first: "certname"})
	require.NoError(t, err)
	for _, r := range rows {
		require.NoError(t, p.row([]byte(r)))
	}
	require.NoError(t, p.end(true))
	require.NoError(t, out.Flush())
	return b.String()
}

func TestFormats(t *testing.T) {
	a := `{"num":10.0,"certname":"web1","text":"a\u0007,\"b\"","none":null,"list":[1,{"x":true}]}`
	b := `{"num":7,"certname":"a-longer-name","text":"","none":null,"list":[]}`
	for _, c := range []struct {
		name, format string
		width        int
		rows         []string
		want         string
	}{
		{"json", "json", 0, []string{a, b}, "[\n" + a + ",\n" + b + "\n]\n"},
		{"default elsewhere", "", 0, nil, "[]\n"},
		{"ndjson", "ndjson", 0, []string{a, b}, a + "\n" + b + "\n"},
		{"ndjson of nothing", "ndjson", 0, nil, ""},
		{"csv", "csv", 0, []string{a, b}, "certname,num,text,none,list\nweb1,10.0,\"a\a,\"\"b\"\"\",,\"[1,{\"\"x\"\":true}]\"\na-longer-name,7,,,[]\n"},
		{"csv of texts", "csv", 0, []string{`"kernel"`, `"os"`}, "value\nkernel\nos\n"},
		{"csv of nothing", "csv", 0, nil, ""},
		{"table", "table", 0, []string{a, b}, "" +
			"certname        num  text    none  list\n" +
			"web1           10.0  a ,\"b\"        [1,{\"x\":true}]\n" +
			"a-longer-name     7                []\n"},
		{"default on a terminal", "", 20, []string{a, b}, "certname        num…\nweb1           10.0…\na-longer-name     7…\n"},
		{"table of nothing", "table", 0, nil, "No rows.\n"},
		{"pretty", "pretty", 0, []string{a, b}, "" +
			"- num: 10.0\n  certname: web1\n  text: \"a\\u0007,\\\"b\\\"\"\n  none: null\n  list:\n    - 1\n    - x: true\n" +
			"- num: 7\n  certname: a-longer-name\n  text: \"\"\n  none: null\n  list: []\n"},
		{"pretty texts", "pretty", 0, []string{`{"a":"x\ny\n","b":"x\n\n y","c":"no","d":"2024-01-01","e":{},"f":[[1,2],[]],"g g":"a: b"}`}, "" +
			"- a: |\n    x\n    y\n  b: |-\n    x\n\n     y\n  c: \"no\"\n  d: \"2024-01-01\"\n  e: {}\n  f:\n    - - 1\n      - 2\n    - []\n  g g: \"a: b\"\n"},
		{"pretty of nothing", "pretty", 0, nil, "[]\n"},
		{"pretty of texts", "pretty", 0, []string{`"os"`, `5`}, "- os\n- 5\n"},
	} {
		require.Equal(t, c.want, printed(t, c.format, c.width, c.rows...), c.name)
	}
	_, err := newPrinter("xml", newOutput(io.Discard), columns{})
	require.ErrorContains(t, err, "--output must be one of table, json")
}

// TestHeadsOfCSV: columns are named as the query names them, rows or not.
func TestHeadsOfCSV(t *testing.T) {
	for _, c := range []struct {
		query string
		rows  []string
		want  string
	}{
		{`nodes[certname, latest_report_status]{}`, nil, "certname,latest_report_status\n"},
		{`nodes[latest_report_status, certname]{}`, nil, "latest_report_status,certname\n"},
		{`environments{}`, nil, "name\n"},
		{`["from", "facts"]`, nil, "certname,environment,name,value\n"},
		{`reports[count(), count(), certname]{group by certname}`, nil, "count,count_2,certname\n"},
		{`fact_names{}`, []string{`"os"`}, "name\nos\n"},
		{`fact_names[count()]{}`, []string{`{"count":1}`}, "count\n1\n"},
		{`nodes[nix]{}`, nil, ""}, // only an old server answers this
	} {
		var b bytes.Buffer
		out := newOutput(&b)
		p, err := newPrinter("csv", out, columnsOf(question{text: c.query}))
		require.NoError(t, err)
		for _, r := range c.rows {
			require.NoError(t, p.row([]byte(r)))
		}
		require.NoError(t, p.end(true))
		require.NoError(t, out.Flush())
		require.Equal(t, c.want, b.String(), c.query)
	}
	require.Empty(t, columnsOf(question{text: "nodes{}", explain: true}).known)
}

// TestShortTimeout: no timeout becomes none.
func TestShortTimeout(t *testing.T) {
	for timeout, want := range map[time.Duration]any{0: nil, 400 * time.Microsecond: "0.0004", 1: "0.000000001", 90 * time.Second: "90", 1500 * time.Millisecond: "1.5"} {
		require.Equal(t, want, parameters(question{timeout: timeout})["timeout"], timeout)
	}
}

// TestTableOfMany: the widths are made from the first rows; later ones are
// printed as they come.
func TestTableOfMany(t *testing.T) {
	rows := make([]string, tableRows+1)
	for i := range rows {
		rows[i] = `{"a":"x","b":1}`
	}
	rows[tableRows] = `{"b":2,"a":"wider"}`
	lines := strings.Split(printed(t, "table", 0, rows...), "\n")
	require.Equal(t, "x  1", lines[1])
	require.Equal(t, "wider  2", lines[tableRows+1])
}

// TestBrokenAnswerLooksBroken: what is printed of half an answer is no JSON.
func TestBrokenAnswerLooksBroken(t *testing.T) {
	var b bytes.Buffer
	out := newOutput(&b)
	p, err := newPrinter("json", out, columns{})
	require.NoError(t, err)
	require.NoError(t, p.row([]byte("{}")))
	require.NoError(t, p.end(false))
	require.NoError(t, out.Flush())
	require.Equal(t, "[\n{}\n", b.String())
}

// TestYAML: what is printed says the same in YAML.
func TestYAML(t *testing.T) {
	leaf := rapid.OneOf(rapid.String().AsAny(), rapid.StringMatching(`[ a-c\n\t:#"'|>-]{0,12}`).AsAny(), rapid.Int32().AsAny(), rapid.Bool().AsAny(), rapid.Just(any(nil)),
		rapid.SampledFrom([]any{"null", "~", "Yes", "1e3", "0x1", "-", "- a", "a:", "{", "2024-01-01T00:00:00Z", "<<", "=", "a #b", "\u0085", "a\n", "a\n\n", "\na", "a\n b\n"}))
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		if depth == 0 {
			return leaf
		}
		return rapid.OneOf(leaf, rapid.SliceOfN(value(depth-1), 0, 3).AsAny(), rapid.MapOfN(rapid.String(), value(depth-1), 0, 3).AsAny())
	}
	rapid.Check(t, func(r *rapid.T) {
		rows := rapid.SliceOfN(value(3), 0, 3).Draw(r, "rows")
		var texts []string
		for _, v := range rows {
			b, err := json.Marshal(v)
			require.NoError(r, err)
			texts = append(texts, string(b))
		}
		got := []any{}
		text := printed(t, "pretty", 0, texts...)
		require.NoError(r, yaml.Unmarshal([]byte(text), &got), "%s", text)
		want, err := json.Marshal(rows)
		require.NoError(r, err)
		if len(rows) == 0 {
			want = []byte("[]")
		}
		have, err := json.Marshal(got)
		require.NoError(r, err)
		require.JSONEq(r, string(want), string(have), "%s", text)
	})
}

func TestReadRows(t *testing.T) {
	for _, c := range []struct{ answer, rows, err string }{
		{`[]`, "", ""},
		{`[{"a":1},2]`, `{"a":1} 2`, ""},
		{"[{\"a\":1}\nPDBQuery:1: exceeded timeout\n", `{"a":1}`, "the answer breaks off after 1 row: PDBQuery:1: exceeded timeout"},
		{`[{"a":1},{"b"`, `{"a":1}`, "the answer breaks off after 1 row: "},
		{`[{"a":1}`, `{"a":1}`, "the answer breaks off after 1 row: EOF"},
		{`{"a":1}`, "", "the server's answer is no list of rows"},
		{`<html>`, "", "the server's answer is no list of rows"},
	} {
		var rows []string
		err := readRows(strings.NewReader(c.answer), func(r []byte) error {
			rows = append(rows, string(r))
			return nil
		})
		require.Equal(t, c.rows, strings.Join(rows, " "), c.answer)
		if c.err == "" {
			require.NoError(t, err, c.answer)
		} else {
			require.ErrorContains(t, err, c.err)
		}
	}
	full := errors.New("disk full")
	require.ErrorIs(t, readRows(strings.NewReader("[1,2]"), func([]byte) error { return full }), full)
}

// endless is an answer of n rows that is made while it is read.
type endless struct{ n, at int }

func (e *endless) Read(p []byte) (int, error) {
	row := `{"certname":"node","value":"` + strings.Repeat("long ", 400) + `"}`
	text := "," + row
	switch {
	case e.at == 0:
		text = "[" + row
	case e.at == e.n:
		text = "]"
	case e.at > e.n:
		return 0, io.EOF
	}
	e.at++
	return copy(p, text), nil
}

// TestFlatMemory: an answer of many rows takes no more memory than one of few.
func TestFlatMemory(t *testing.T) {
	for _, format := range formats() {
		p, err := newPrinter(format, newOutput(io.Discard), columns{first: "certname"})
		require.NoError(t, err)
		var begin, now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&begin)
		rows := 0
		require.NoError(t, readRows(bufio.NewReader(&endless{n: 5_000}), func(row []byte) error {
			if rows++; rows%2_000 == 0 {
				runtime.GC()
				runtime.ReadMemStats(&now)
				require.Less(t, int64(now.HeapAlloc)-int64(begin.HeapAlloc), int64(4<<20), "%s after %d rows", format, rows)
			}
			return p.row(row)
		}))
		require.Equal(t, 5_000, rows)
	}
}

func TestShowMistake(t *testing.T) {
	for _, c := range []struct{ name, text, message, want string }{
		{"", "nodes{a = 1 and\n\tcert-name = 'x'}", "'name' is not a queryable object for nodes. Known queryable objects are 'a'",
			"'name' is not a queryable object for nodes. Known queryable objects are 'a'\n\n line 2:\n\tcert-name = 'x'}\n\t     ^"},
		{"q.pql", "facts[factsx]{}", "Can't extract unknown 'facts' field 'factsx'. Acceptable fields are 'name'",
			"Can't extract unknown 'facts' field 'factsx'. Acceptable fields are 'name'\n\nq.pql line 1:\nfacts[factsx]{}\n      ^"},
		{"-", `["from", "node"]`, "Invalid entity 'node' in query", "Invalid entity 'node' in query\n\n[\"from\", \"node\"]\n          ^"},
		{"q.pql", "x", "PQL parse error at line 1, column 1:\n\nx\n^\n\nExpected:\ny\n", "q.pql: PQL parse error at line 1, column 1:\n\nx\n^\n\nExpected:\ny"},
		{"", "nodes{}", "Unrecognized column 'x' specified in :order_by; Supported columns are 'nodes'", "Unrecognized column 'x' specified in :order_by; Supported columns are 'nodes'"},
		{"", "x", "no\x1b[2J", "no\uFFFD[2J"},
	} {
		got := showMistake(question{text: c.text, name: c.name}, c.message).Error()
		require.Equal(t, strings.ReplaceAll(c.want, "\n\n line", "\n\nline"), got)
	}
}

func TestQueryText(t *testing.T) {
	file := filepath.Join(t.TempDir(), "q")
	require.NoError(t, os.WriteFile(file, []byte("nodes{}\n"), 0o600))
	for _, c := range []struct {
		file       string
		args       []string
		text, name string
		err        string
	}{
		{"", []string{"facts{}"}, "facts{}", "", ""},
		{"", []string{"@" + file}, "nodes{}\n", file, ""},
		{file, nil, "nodes{}\n", file, ""},
		{"", nil, "edges{}", "-", ""},
		{"", []string{"-"}, "edges{}", "-", ""},
		{"-", nil, "edges{}", "-", ""},
		{file, []string{"x"}, "", "", "not both"},
		{"", []string{"@" + file + "x"}, "", "", "read query: open"},
		{"", []string{" "}, "", "", "the query is empty"},
	} {
		text, name, err := (&queryCLI{file: c.file}).text(strings.NewReader("edges{}"), c.args)
		if c.err != "" {
			require.ErrorContains(t, err, c.err)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, []string{c.text, c.name}, []string{text, name})
	}
	_, _, err := (&queryCLI{}).text(&endless{n: maxQueryText / 2000}, nil)
	require.ErrorContains(t, err, "is longer than 16.0 MiB")
}

func TestPathQuery(t *testing.T) {
	for text, want := range map[string]string{
		"inventory[facts.":                         `16 ["from","fact_paths",["extract",["path"],["~","path","^"]],["limit",2000]]`,
		"inventory[certname,facts.os.rel":          `["~","path","^os#~rel"]`,
		"inventory{trusted.ext":                    `["~","path","^trusted#~ext"]`,
		"inventory[facts.a+b.c":                    `["~","path","^a\\+b#~c"]`,
		"nodes{certname in inventory[c]{facts.os.": `["~","path","^os#~"]`,
		"resources{parameters.":                    "",
		"nodes[facts.":                             "",
		"inventory{facts.a = 'b' and facts":        "",
		"inventory{x = 'facts.":                    "",
		"facts.":                                   "",
	} {
		ask, at, ok := pathQuery(text)
		require.Equal(t, want != "", ok, text)
		if ok {
			require.Contains(t, fmt.Sprint(at, " ", ask), want, text)
		}
	}
}

func TestParseOrder(t *testing.T) {
	for text, want := range map[string]string{
		"a": "{a false}", "-a": "{a true}", "a desc": "{a true}", " a  ASC ": "{a false}",
		"a down": "want asc or desc behind the field", "": "want a field", "a b c": "want a field",
	} {
		o, err := parseOrder(text)
		if err != nil {
			require.ErrorContains(t, err, want, text)
			continue
		}
		require.Equal(t, want, fmt.Sprint(o))
	}
}

func TestCompletePQL(t *testing.T) {
	cli := &queryCLI{load: func(client.Options) (client.Settings, error) { return client.Settings{}, errors.New("no server") }}
	for _, c := range []struct {
		args []string
		word string
		want string // those suggested, without what they are
	}{
		{nil, "no", "nodes[ nodes{"},
		{nil, "nodes[cert", "nodes[certname"},
		{nil, "'nodes[cert", "nodes[certname"},
		{nil, "nodes[certname,dea", "nodes[certname,deactivated"},
		{nil, "fact_names[", "fact_names[name fact_names[avg( fact_names[count( fact_names[max( fact_names[min( fact_names[sum( fact_names[to_string("},
		{nil, "nodes{rep", "nodes{report_environment nodes{report_timestamp nodes{reports{"},
		{nil, "nodes[certname]{lim", "nodes[certname]{limit"},
		{nil, "nodes{facts{val", "nodes{facts{value"},
		{nil, "nodes{facts{name='x'} and latest_report_h", "nodes{facts{name='x'} and latest_report_hash"},
		{nil, "nodes{[certname,fa", "nodes{[certname,facts_environment nodes{[certname,facts_timestamp"},
		{nil, "nodes{certname in facts[na", "nodes{certname in facts[name"},
		{nil, "resources{type='F", ""},
		{nil, "inventory[facts.o", ""},
		{nil, "nodes{} ", ""},
		{nil, "nodes{certname ", "nodes{certname = nodes{certname != nodes{certname ~ nodes{certname !~ nodes{certname < nodes{certname <= nodes{certname > nodes{certname >= nodes{certname in nodes{certname is null nodes{certname is not null"},
		{nil, "nodes{certname i", "nodes{certname in nodes{certname is null nodes{certname is not null"},
		{nil, "inventory{facts.os.family i", "inventory{facts.os.family in inventory{facts.os.family is null inventory{facts.os.family is not null"},
		{nil, "nodes{certname = 'x' and facts{value i", "nodes{certname = 'x' and facts{value in nodes{certname = 'x' and facts{value is null nodes{certname = 'x' and facts{value is not null"},
		{nil, "nodes{order by certname d", "nodes{order by certname desc"},
		{nil, "nodes{group by certname ", ""},
		{nil, "nodes{certname.x i", "nodes{certname.x inventory{"},
		{nil, "nodes{certname = 'x' and cached", "nodes{certname = 'x' and cached_catalog_status"},
		{[]string{"nodes{certname"}, "i", "in is null is not null"},
		{[]string{"nodes{certname", "=", "'x'", "and"}, "cached", "cached_catalog_status"},
		{[]string{"nodes[certname]"}, "{cached", "{cached_catalog_status"},
	} {
		got, directive := cli.completePQL(&cobra.Command{}, c.args, c.word)
		for i := range got {
			got[i], _, _ = strings.Cut(got[i], "\t")
		}
		require.Equal(t, c.want, strings.Join(got, " "), "%v %s", c.args, c.word)
		require.Equal(t, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace, directive)
	}
	_, directive := cli.completePQL(nil, nil, "@q")
	require.Equal(t, cobra.ShellCompDirectiveDefault, directive)
	got, _ := completeOrder(nil, []string{"fact_names{}"}, "-")
	require.Equal(t, []string{"-name\tstring"}, got)
}

// TestWithinQuotes: a script that cannot be changed is an error, not half a change.
func TestWithinQuotes(t *testing.T) {
	_, err := withinQuotes("another script")
	require.ErrorContains(t, err, "is not the one that is known")
}
