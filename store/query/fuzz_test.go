package query_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/commands/outcome"
	"dalang/store"
	"dalang/store/query"
	"dalang/store/query/ast"
	"dalang/store/query/conformance"
	"dalang/store/query/pql"
	"dalang/wireformat"
)

const testdata = "../../testdata"

// loadEdge fills a store with the recorded edge cases.
func loadEdge(t testing.TB, st *store.Store) {
	t.Helper()
	commands, err := conformance.Lines[struct {
		Command string
		Version int
		Body    string
	}](filepath.Join(testdata, "corpus", "edge.jsonl"))
	require.NoError(t, err)
	now := time.UnixMilli(2e12)
	for _, c := range commands {
		payload, err := wireformat.Decode(wireformat.Command(strings.ReplaceAll(c.Command, "_", " ")), c.Version, now, []byte(c.Body))
		require.NoError(t, err)
		res, err := st.Apply(context.Background(), []outcome.Change{{Payload: payload, Received: now}})
		require.NoError(t, err)
		require.NoError(t, res[0].Err)
	}
}

// vocabulary holds the words of this package's source: no others may be part
// of an SQL text.
func vocabulary(t testing.TB) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	words := map[string]bool{}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		for _, w := range sqlWord.FindAllString(string(b), -1) {
			words[w] = true
		}
	}
	return words
}

var (
	sqlWord = regexp.MustCompile(`[\p{L}_][\p{L}\p{N}_]*`)
	// sqlPlain is what SQL texts consist of besides words: no escapes, comments or ends of statements.
	sqlPlain = regexp.MustCompile("^(?:[\\p{L}\\p{N}_ ?.,()=<>|*+/'\":;\\[\\]{}%-])*$")
)

// FuzzCompile: whatever compiles is SQL that the database accepts, holds no
// text of the query, and answers, whatever the data; whatever does not is the
// client's mistake. route 0 is the root, another number an entity's own route.
func FuzzCompile(f *testing.F) {
	b, err := os.ReadFile(filepath.Join("testdata", "sql.txt"))
	require.NoError(f, err)
	for block := range strings.SplitSeq(string(b), "\n---\n") {
		for line := range strings.SplitSeq(block, "\n") {
			if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, " ") {
				f.Add(line, uint8(0))
			}
		}
	}
	recorded, err := conformance.Queries(testdata)
	require.NoError(f, err)
	entities := query.Entities()
	for _, q := range recorded {
		route := 0
		for i, e := range entities {
			if q.Path == "/pdb/query/v4/"+strings.ReplaceAll(e.Name, "_", "-") {
				route = i + 1
			}
		}
		f.Add(q.Text, uint8(route))
	}
	e, st := open(f, nil)
	loadEdge(f, st)
	words := vocabulary(f)
	f.Fuzz(func(t *testing.T, text string, route uint8) {
		read := pql.Parse
		if strings.HasPrefix(text, "[") {
			read = ast.Read
		}
		v, err := read(text)
		if err != nil {
			return
		}
		req := query.Request{Query: &v, ActiveOnly: true, Paging: query.Paging{IncludeTotal: true}}
		if route > 0 {
			req.Entity = entities[int(route)%len(entities)].Name
		}
		for _, compile := range []func(query.Request) (string, []any, error){e.SQL, e.TotalSQL} {
			sqlText, args, err := compile(req)
			if err != nil {
				var mistake *query.Error
				require.ErrorAs(t, err, &mistake)
				return
			}
			ownWords(t, words, sqlText)
			require.NoError(t, st.ReadTx(context.Background(), func(ctx context.Context, conn *sql.Conn) error {
				rows, err := conn.QueryContext(ctx, "EXPLAIN "+sqlText, args...)
				if err != nil {
					return fmt.Errorf("%s: %w", sqlText, err)
				}
				return rows.Close()
			}))
		}
		answers(t, e, req)
	})
}

func ownWords(t *testing.T, words map[string]bool, sqlText string) {
	require.NotContains(t, sqlText, ";")
	require.NotContains(t, sqlText, "--")
	require.NotContains(t, sqlText, "/*")
	require.Regexp(t, sqlPlain, sqlText)
	for _, w := range sqlWord.FindAllString(sqlText, -1) {
		require.True(t, words[w], "%s in %s", w, sqlText)
	}
}

// answers runs a query: it has to end in an answer, the client's mistake, or its time.
func answers(t *testing.T, e *query.Engine, req query.Request) {
	limit := 2 * time.Second
	req.Timeout = &limit
	err := e.Run(context.Background(), req, &rows{})
	var mistake *query.Error
	var slow *query.TimeoutError
	if err != nil && !errors.As(err, &mistake) && !errors.As(err, &slow) {
		require.NoError(t, err)
	}
}
