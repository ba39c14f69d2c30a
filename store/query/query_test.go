package query_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dlclark/regexp2"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dalang/commands/outcome"
	"dalang/store"
	"dalang/store/query"
	"dalang/store/query/ast"
	"dalang/store/query/pql"
	"dalang/wireformat"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestMain(m *testing.M) {
	regexp2.StopTimeoutClock()
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/dlclark/regexp2.runClock")) // of patterns with a time limit; ends by itself
}

// open makes an engine over an empty store.
func open(t testing.TB, change func(*query.Config)) (*query.Engine, *store.Store) {
	t.Helper()
	st, err := store.Open(context.Background(), store.Config{Path: filepath.Join(t.TempDir(), "store.db"), ReportTTL: 1e6 * time.Hour, ResourceEventsTTL: 1e6 * time.Hour})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	cfg := query.Config{DB: st, Now: func() time.Time { return time.UnixMilli(1e12) }}
	if change != nil {
		change(&cfg)
	}
	e, err := query.New(cfg)
	require.NoError(t, err)
	return e, st
}

// parse reads PQL or AST.
func parse(t testing.TB, text string) *ast.Value {
	t.Helper()
	read := pql.Parse
	if strings.HasPrefix(text, "[") {
		read = ast.Read
	}
	v, err := read(text)
	require.NoError(t, err, text)
	return &v
}

func TestSQL(t *testing.T) {
	e, _ := open(t, nil)
	file := filepath.Join("testdata", "sql.txt")
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	var out []string
	for block := range strings.SplitSeq(strings.TrimSuffix(string(b), "\n"), "\n---\n") {
		var head []string
		text := ""
		for line := range strings.SplitSeq(block, "\n") {
			head = append(head, line)
			if !strings.HasPrefix(line, "#") {
				text = line
				break
			}
		}
		sql, args, err := e.SQL(query.Request{Query: parse(t, text), ActiveOnly: true})
		require.NoError(t, err, text)
		out = append(out, strings.Join(head, "\n")+"\n  "+sql+"\n  "+show(args))
	}
	got := strings.Join(out, "\n---\n") + "\n"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
		return
	}
	require.Equal(t, string(b), got)
}

func show(args []any) string {
	var list []string
	for _, a := range args {
		list = append(list, fmt.Sprintf("%#v", a))
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// rows collects an answer.
type rows struct {
	head query.Head
	list []string
	each func() error
}

func (r *rows) Begin(h query.Head) error { r.head = h; return nil }
func (r *rows) Row(json []byte) error {
	r.list = append(r.list, string(json))
	if r.each != nil {
		return r.each()
	}
	return nil
}

func load(t testing.TB, st *store.Store, list ...wireformat.Payload) {
	t.Helper()
	var batch []outcome.Change
	for _, p := range list {
		batch = append(batch, outcome.Change{Payload: p, Received: time.UnixMilli(1e12).UTC()})
	}
	res, err := st.Apply(context.Background(), batch)
	require.NoError(t, err)
	for _, r := range res {
		require.NoError(t, r.Err)
	}
}

func facts(certname string, pairs ...string) *wireformat.Facts {
	f := &wireformat.Facts{Certname: certname, ProducerTimestamp: time.UnixMilli(1e12).UTC()}
	for i := 0; i < len(pairs); i += 2 {
		f.Values = append(f.Values, wireformat.Fact{Name: pairs[i], Value: wireformat.JSON(pairs[i+1])})
	}
	return f
}

// TestNumbersStayExact: no number passes through a float.
func TestNumbersStayExact(t *testing.T) {
	e, st := open(t, nil)
	load(t, st, facts("a", "big", "123456789012345678901234567890", "ten", "10.0", "tree", `{"x":[0.10,1E30]}`))
	for text, want := range map[string]string{
		`facts[value]{name = "big"}`:                            `{"value":123456789012345678901234567890}`,
		`facts[value]{value = 10}`:                              `{"value":10.0}`,
		`inventory[facts.tree.x]{}`:                             `{"facts.tree.x":[0.10,1E30]}`,
		`fact_contents[value]{path = ["tree","x",0]}`:           `{"value":0.10}`,
		`inventory[facts]{}`:                                    `{"facts":{"big":123456789012345678901234567890,"ten":10.0,"tree":{"x":[0.10,1E30]}}}`,
		`factsets[facts]{}`:                                     `{"facts":{"href":"/pdb/query/v4/factsets/a/facts","data":[{"name":"big","value":123456789012345678901234567890},{"name":"ten","value":10.0},{"name":"tree","value":{"x":[0.10,1E30]}}]}}`,
		`inventory[certname]{facts.ten = 10 and facts.big > 5}`: `{"certname":"a"}`,
	} {
		var r rows
		require.NoError(t, e.Run(context.Background(), query.Request{Query: parse(t, text), ActiveOnly: true}, &r), text)
		require.Equal(t, []string{want}, r.list, text)
	}
}

// TestWideQueries: neither many alternatives nor many values hit a limit of
// the database.
func TestWideQueries(t *testing.T) {
	e, st := open(t, nil)
	load(t, st, facts("host-7", "x", "1"))
	var alternatives, names, patterns []string
	for i := range 20000 {
		alternatives = append(alternatives, fmt.Sprintf(`["=","certname","host-%d"]`, i))
		names = append(names, fmt.Sprintf(`"host-%d"`, i))
		if i < 3000 {
			patterns = append(patterns, fmt.Sprintf(`["~","certname","^host-%d$"]`, i))
		}
	}
	for _, where := range []string{
		`["or",` + strings.Join(alternatives, ",") + `]`, `["in","certname",["array",[` + strings.Join(names, ",") + `]]]`, `["or",` + strings.Join(patterns, ",") + `]`,
	} {
		var r rows
		require.NoError(t, e.Run(context.Background(), query.Request{Entity: "facts", Query: parse(t, where)}, &r))
		require.Len(t, r.list, 1)
	}
}

func TestTotal(t *testing.T) {
	e, st := open(t, nil)
	load(t, st, facts("a", "x", "1", "y", "2"), facts("b", "x", "3"))
	one := int64(1)
	var r rows
	require.NoError(t, e.Run(context.Background(), query.Request{Entity: "facts", Paging: query.Paging{Limit: &one, IncludeTotal: true}}, &r))
	require.EqualValues(t, 3, r.head.Total)
	require.Len(t, r.list, 1)
	r = rows{}
	require.NoError(t, e.Run(context.Background(), query.Request{Query: parse(t, `facts[name,count()]{group by name}`), Paging: query.Paging{Limit: &one, IncludeTotal: true}}, &r))
	require.EqualValues(t, 2, r.head.Total)
}

func TestErrors(t *testing.T) {
	e, _ := open(t, nil)
	for text, want := range map[string]string{
		`bogus{}`:          "",
		`["from","bogus"]`: `Invalid entity 'bogus' in query`,
		`["from","nodes",["and",["=","a",1],["=","b",2]]]`: "",
		`facts{a = 1}`:                                               `'a' is not a queryable object for facts. Known queryable objects are 'certname', 'environment', 'name', and 'value'`,
		`facts[a,b]{}`:                                               `Can't extract unknown 'facts' fields 'a' and 'b'. Acceptable fields are 'certname', 'environment', 'name', and 'value'`,
		`nodes{certname ~ "*"}`:                                      `ERROR: invalid regular expression: quantifier operand invalid`,
		`facts{value > "5"}`:                                         `Argument "5" and operator ">" have incompatible types.`,
		`nodes{report_timestamp > "x"}`:                              `'x' is not a valid timestamp value`,
		`nodes{packages{version = "1"}}`:                             `No implicit relationship for entity 'packages'`,
		`["from","nodes",["=","certname","a\u0000b"]]`:               `ERROR: invalid byte sequence for encoding "UTF8": 0x00`,
		`nodes[certname,count()]{}`:                                  `column "certname" must appear in the group_by clause or be used in an aggregate function`,
		`["from","facts",["extract",["name"],["group_by","bogus"]]]`: `"bogus" is niether a valid column name nor function name`,
	} {
		read := pql.Parse
		if text[0] == '[' {
			read = ast.Read
		}
		v, err := read(text)
		if err == nil {
			err = e.Check(query.Request{Query: &v})
			var mistake *query.Error
			require.ErrorAs(t, err, &mistake, text)
		}
		if want != "" {
			require.EqualError(t, err, want, text)
		}
		require.Error(t, err, text)
	}
}

// TestSlowRegexp: a pattern that backtracks for ever is the client's mistake.
func TestSlowRegexp(t *testing.T) {
	e, st := open(t, nil)
	load(t, st, facts("a", "x", `"`+strings.Repeat("a", 60)+`"`))
	for _, text := range []string{`facts{value ~ "^(a+)+(?=b)$"}`, `facts[count()]{value ~ "^(a+)+(?=b)$"}`} {
		err := e.Run(context.Background(), query.Request{Query: parse(t, text)}, &rows{})
		var mistake *query.Error
		require.ErrorAs(t, err, &mistake)
		require.EqualError(t, err, "The regular expression takes too long to match")
	}
}

// TestCancel: a client that goes away ends its query, which frees its slot.
func TestCancel(t *testing.T) {
	e, st := open(t, func(c *query.Config) { c.MaxConcurrent = 1 })
	load(t, st, facts("a", "x", "1", "y", "2"))
	ctx, cancel := context.WithCancel(context.Background())
	r := rows{each: func() error { cancel(); return nil }}
	require.ErrorIs(t, e.Run(ctx, query.Request{Entity: "facts"}, &r), context.Canceled)
	require.Len(t, r.list, 1)
	gone := errors.New("client gone")
	r = rows{each: func() error { return gone }}
	require.ErrorIs(t, e.Run(context.Background(), query.Request{Entity: "facts"}, &r), gone)
	require.NoError(t, e.Run(context.Background(), query.Request{Entity: "facts"}, &rows{}))
}

// slowDB never lets a query begin.
type slowDB struct{}

func (slowDB) ReadTx(ctx context.Context, _ func(context.Context, *sql.Conn) error) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestTimeout(t *testing.T) {
	e, err := query.New(query.Config{DB: slowDB{}, TimeoutMax: time.Millisecond})
	require.NoError(t, err)
	asked := time.Hour
	err = e.Run(context.Background(), query.Request{Entity: "nodes", Timeout: &asked, Origin: "me"}, &rows{})
	var slow *query.TimeoutError
	require.ErrorAs(t, err, &slow)
	require.ErrorContains(t, err, "exceeded timeout")
}
