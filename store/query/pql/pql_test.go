package pql

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/store/query/ast"
	"dalang/store/query/conformance"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		`nodes{}`:                       `["from","nodes"]`,
		` nodes [ ] { } `:               `["from","nodes",["extract",[]]]`,
		`nodes[a,b]{a=1}`:               `["from","nodes",["extract",["a","b"],["=","a",1]]]`,
		`nodes[a]{a=1 group by a}`:      `["from","nodes",["extract",["a"],["=","a",1],["group_by","a"]]]`,
		`nodes[a]{group by a, count()}`: `["from","nodes",["extract",["a"],["group_by","a",["function","count"]]]]`,
		`nodes{a=1 limit 1 offset 2 order by a, b desc}`: `["from","nodes",["=","a",1],["limit",1],["offset",2],["order_by",["a",["b","desc"]]]]`,
		`nodes{a=1limit 1}`:                                          `["from","nodes",["=","a",1],["limit",1]]`,
		`nodes{limit 1offset 2}`:                                     `["from","nodes",["limit",1],["offset",2]]`,
		`nodes{order by adesc}`:                                      `["from","nodes",["order_by",["adesc"]]]`,
		`nodes{a=1 or b=2 and c=3 or d=4}`:                           `["from","nodes",["or",["=","a",1],["and",["=","b",2],["=","c",3]],["=","d",4]]]`,
		`nodes{(a=1 and b=2) and c=3}`:                               `["from","nodes",["and",["=","a",1],["=","b",2],["=","c",3]]]`,
		`nodes{!a=1 and b=2}`:                                        `["from","nodes",["and",["not",["=","a",1]],["=","b",2]]]`,
		`nodes{!!a=1}`:                                               `["from","nodes",["not",["not",["=","a",1]]]]`,
		`nodes{a != true}`:                                           `["from","nodes",["not",["=","a",true]]]`,
		`nodes{a !~ 5}`:                                              `["from","nodes",["not",["~","a",5]]]`,
		`nodes{a is null or b is not null}`:                          `["from","nodes",["or",["null?","a",true],["null?","b",false]]]`,
		`nodes{a in [1,'x',2.50,true]}`:                              `["from","nodes",["in","a",["array",[1,"x",2.50,true]]]]`,
		`nodes{[a,b] in facts[a,b]{limit 1}}`:                        `["from","nodes",["in",["a","b"],["from","facts",["extract",["a","b"]],["limit",1]]]]`,
		`nodes{facts{name='x'}}`:                                     `["from","nodes",["subquery","facts",["=","name","x"]]]`,
		`nodes{facts{}}`:                                             `["from","nodes",["subquery","facts"]]`,
		`fact_contents{path ~> ['a','.*'] and path = ['a',0]}`:       `["from","fact_contents",["and",["~>","path",["a",".*"]],["=","path",["a",0]]]]`,
		`reports[count (a),to_string(t, "YY")]{}`:                    `["from","reports",["extract",[["function","count","a"],["function","to_string","t","YY"]]]]`,
		`inventory{facts.os."a.b" = 'x'}`:                            `["from","inventory",["=","facts.os.\"a.b\"","x"]]`,
		`inventory[facts."a.b" , c]{facts.a[0].b[1]=1}`:              `["from","inventory",["extract",["facts.\"a.b\"","c"],["=","facts.a[0].b[1]",1]]]`,
		`inventory{facts.match("a.*").c ~ '\d'}`:                     `["from","inventory",["~","facts.match(\"a.*\").c","\\d"]]`,
		`nodes{a='it\'s \d'}`:                                        `["from","nodes",["=","a","it's \\d"]]`,
		"nodes{a=\"x\n\\u00e9\\/\"}":                                 `["from","nodes",["=","a","x\né/"]]`,
		`nodes{a=007 and b=-1.5e3}`:                                  `["from","nodes",["and",["=","a",7],["=","b",-1.5e3]]]`,
		`nodes{latest_report? = true and limit = 1 and in in ['x']}`: `["from","nodes",["and",["=","latest_report?",true],["=","limit",1],["in","in",["array",["x"]]]]]`,
		`producers[name]{}`:                                          `["from","producers",["extract",["name"]]]`,
	} {
		v, err := Parse(in)
		require.NoError(t, err, in)
		require.Equal(t, want, string(v.JSON()), in)
	}
}

func TestParseErrors(t *testing.T) {
	for in, column := range map[string]int{
		`nodes{a=1and b=2}`: 10, `nodes{(a=1)and b=2}`: 12, `nodes{a is  null}`: 9, `nodes{a IS NULL}`: 9, `nodes{group  by a}`: 0, `nodes{a=1 AND b=2}`: 11,
		`nodes{group by a limit 1}`: 18, `nodes{order by description}`: 0, `inventory{order by facts.a}`: 0, `inventory{facts."a.b"="x"}`: 0,
		`inventory{facts.a[0][1]=1}`: 0, `nodes{a=1e3}`: 0, `nodes{a=.5}`: 9, `nodes{a=5.}`: 0, `nodes{a=+1}`: 9, `nodes{a in []}`: 0, `nodes{a=[]}`: 0,
		`nodes{a in ['x',]}`: 0, `nodes{a > true}`: 11, `nodes{a ~ 5}`: 11, `f{path ~> ['a',0]}`: 1, `nodes[count(a,b)]{}`: 0, `nodes{a-b=1}`: 0, `nodes{};`: 8, ``: 1,
		`facts[x]{`: 10, `nodes{facts[x]{a=1}}`: 0, `nodes{a==1}`: 9, `bogus{}`: 1, `nodes`: 6, `nodes{a="\d"}`: 9, `nodes{a=9223372036854775808}`: 9, "nodes{\n a=1 &&}": 6, `NODES{}`: 1,
	} {
		_, err := Parse(in)
		var e *Error
		require.ErrorAs(t, err, &e, in)
		require.NotEmpty(t, e.Error())
		if column > 0 {
			require.Equal(t, column, e.Column, "%s: %s", in, e)
		}
	}
	_, err := Parse(`nodes{a == 1}`)
	require.EqualError(t, err, "PQL parse error at line 1, column 10:\n\nnodes{a == 1}\n         ^\n\nExpected one of:\n\n\"\n'\n[\na number\nfalse\ntrue\n")
}

func TestHints(t *testing.T) {
	for in, want := range map[string]string{
		`node{}`: "did you mean 'nodes'?", `fact{}`: "did you mean 'facts'?", `catalog{}`: "did you mean 'catalogs'?", `package{}`: "did you mean 'packages'?",
		`factset{}`: "did you mean 'factsets'?", `fact-paths{}`: "did you mean 'fact_paths'?", `resuorces{}`: "did you mean 'resources'?", `Node{}`: "did you mean 'nodes'?",
		`NODES{}`: "keywords are written in lower case: did you mean 'nodes'?", `nodes{fact{name = 'x'}}`: "did you mean 'facts'?", `nodes{certname in fact[certname]{}}`: "did you mean 'facts'?",
		`xyzzy{}`: "", `nodes{}x`: "",
		`nodes{a = 1 AND b = 2}`:            "keywords are written in lower case: did you mean 'and'?",
		`nodes{a = null}`:                   "nothing equals null: write 'is null' or 'is not null' instead",
		`nodes{a != NULL}`:                  "nothing equals null: write 'is null' or 'is not null' instead",
		`nodes{a = "web1}`:                  "the closing quote is missing of the string that begins at line 1, column 11",
		"nodes{\n a = 'é' and b = 'web\\'}": "the closing quote is missing of the string that begins at line 2, column 18",
		`nodes{a in ['x', 'y]}`:             "the closing quote is missing of the string that begins at line 1, column 18",
	} {
		_, err := Parse(in)
		var e *Error
		require.ErrorAs(t, err, &e, in)
		require.Equal(t, want, e.Hint, in)
	}
	_, err := Parse(`nodes{certname="a}`)
	require.ErrorContains(t, err, "at line 1, column 19:", "as upstream")
	require.ErrorContains(t, err, "Expected:\n\"\n")
	_, err = Parse(`nodes{a = 1 b}`)
	require.NotContains(t, err.Error(), "#", "no patterns")
}

// FuzzParse: any text is PQL, or is an *Error that shows a place in it; what
// was parsed is an AST of the right shape.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`nodes[a, count()]{ a = 'x' and facts{ name ~ "y" } or !b in [1] order by a desc limit 1 }`, `inventory{facts."a".match("x").b[1] > 1.5e3}`} {
		f.Add(s)
	}
	recorded, err := conformance.Queries("../../../testdata")
	require.NoError(f, err)
	for _, q := range recorded {
		if !strings.HasPrefix(strings.TrimSpace(q.Text), "[") {
			f.Add(q.Text)
		}
	}
	f.Fuzz(func(t *testing.T, in string) {
		v, err := Parse(in)
		if err != nil {
			var e *Error
			require.ErrorAs(t, err, &e)
			require.NotEmpty(t, e.Error())
			return
		}
		again, err := ast.Read(string(v.JSON()))
		require.NoError(t, err)
		require.Equal(t, string(v.JSON()), string(again.JSON()))
		_, _ = ast.ParseRoot(v)
	})
}
