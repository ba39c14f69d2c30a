package ast

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func mustRead(t testing.TB, s string) Value {
	v, err := Read(s)
	require.NoError(t, err, s)
	return v
}

func TestParseRoot(t *testing.T) {
	q, err := ParseRoot(mustRead(t, `["from","facts",["extract",["name",["function","count"]],["and",["=","value",1.0],["not",["in",["certname","name"],
		["extract",["a","b"],["select_facts",["null?","x",0]]]]]],["group_by","name"]],["limit",5],["order_by",["name",["certname","desc"]]]]`))
	require.NoError(t, err)
	require.Equal(t, "facts", q.Entity)
	require.Len(t, q.Columns, 2)
	require.Equal(t, Function, q.Columns[1].Form)
	require.EqualValues(t, 5, *q.Limit)
	require.True(t, q.OrderBy[1].Desc)
	and := q.Where.(*And)
	require.Equal(t, "1.0", and.Args[0].(*Compare).Value.Text)
	in := and.Args[1].(*Not).Arg.(*In)
	require.True(t, in.Legacy)
	require.Equal(t, "facts", in.Query.Entity)
	require.True(t, in.Query.Where.(*IsNull).Want)
	var seen int
	WalkAll(q.Where, func(Expr) { seen++ })
	require.Equal(t, 5, seen)
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ in, text string }{
		{`["from"]`, rootForm},
		{`["nodes"]`, rootForm},
		{`["from",5]`, rootForm},
		{`["from","nodes",["=","a","b"],["=","a","b"]]`, rootForm},
		{`["from","nodes",["limit",1],["limit",2]]`, `Multiple 'limit' clauses are not permitted`},
		{`["from","nodes",["limit"]]`, `Received 'limit' clause without an argument`},
		{`["from","nodes",["limit",0]]`, `Illegal value '0' for :limit; expected a positive non-zero integer.`},
		{`["from","nodes",["=","certname"]]`, `= requires exactly two arguments`},
		{`["from","nodes",["and"]]`, `'and' takes at least one argument, but none were supplied`},
		{`["from","nodes",["not",["=","a",1],["=","a",1]]]`, `'not' takes exactly one argument, but 2 were supplied`},
		{`["from","nodes",[]]`, `[] is not well-formed: queries must contain at least one operator`},
		{`["from","nodes",["bogus","a",1]]`, `["bogus" "a" 1] is not well-formed: query operator 'bogus' is unknown`},
		{`["from","nodes",["extract",["a"],["limit",1]]]`, `["limit" 1] is not a valid expression for "extract"`},
		{`["from","nodes",["in","a",["array","b"]]]`, `Operator array requires a vector argument`},
		{`["from","nodes",["in","a",["extract","b",["select-facts",["=","x",1]]]]]`, "Unsupported subquery `select-facts` - did you mean `select_facts`?"},
	} {
		_, err := ParseRoot(mustRead(t, c.in))
		require.EqualError(t, err, c.text, c.in)
	}
}

// FuzzParse: any JSON is a query, or is refused with a *FormError.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Add(`["from","nodes",["subquery","facts",["~>","path",["a"]]],["order_by",["a",["b","desc"]]]]`)
	f.Fuzz(func(t *testing.T, in string) {
		v, err := Read(in)
		if err != nil {
			return
		}
		for _, parse := range []func() (*Query, error){
			func() (*Query, error) { return ParseRoot(v) },
			func() (*Query, error) { return Parse("nodes", v) },
			func() (*Query, error) { e, err := ParseExpr(v); return &Query{Where: e}, err },
		} {
			q, err := parse()
			if err != nil {
				var e *FormError
				require.ErrorAs(t, err, &e)
				require.NotEmpty(t, e.Message)
				require.LessOrEqual(t, e.Pos, len(in))
				continue
			}
			WalkAll(q.Where, func(e Expr) { require.NotNil(t, e) })
		}
	})
}
