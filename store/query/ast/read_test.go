package ast

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/store/query/conformance"
)

func TestRead(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{`["=","certname","a"]`, `["=","certname","a"]`},
		{` [ 1 , 10.0, 12345678901234567890123, -0, 1e5, 1.5E+3 ] `, `[1,10.0,12345678901234567890123,-0,1e5,1.5E+3]`},
		{`{"b":null,"a":[true,false],"a":{}}`, `{"b":null,"a":[true,false],"a":{}}`},
		{`"\u00e9\n\t\"\\\/\ud83d\ude00\ud83d"`, `"é\n\t\"\\/😀` + "\uFFFD" + `"`},
		{`[]`, `[]`},
		{"[\"a\nb\x01\"]", `["a\nb\u0001"]`},
		{`null`, `null`},
	} {
		v, err := Read(c.in)
		require.NoError(t, err, c.in)
		require.Equal(t, c.out, string(v.JSON()))
	}
}

func TestReadErrors(t *testing.T) {
	for _, c := range []struct{ in, text string }{
		{`["=","certname","host1"`, "Json parse error at line 1, column 24:\n\n[\"=\",\"certname\",\"host1\"\n                      ^\n\n" +
			"Unexpected end-of-input: expected close marker for Array (start marker at [Source: (StringReader); line: 1, column: 1])"},
		{`[`, "Json parse error at line 1, column 2:\n\n[\n^\n\nUnexpected end-of-input: expected close marker for Array (start marker at [Source: (StringReader); line: 1, column: 1])"},
		{`nope`, "Json parse error at line 1, column 5:\n\nnope\n   ^\n\nUnrecognized token 'nope': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"},
		{`[ "=" "certname" ]`, "Json parse error at line 1, column 8:\n\n[ \"=\" \"certname\" ]\n      ^\n\nUnexpected character ('\"' (code 34)): was expecting comma to separate Array entries"},
		{`["=","certname","a"],`, "Json parse error at line 1, column 22:\n\n[\"=\",\"certname\",\"a\"],\n                    ^\n\nUnexpected character (',' (code 44)): expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"},
		{`["=", "certname", "a"] ["x"]`, `Only one query may be sent in a request. Found JSON (["x"]) after the query ["=" "certname" "a"]`},
	} {
		_, err := Read(c.in)
		require.EqualError(t, err, c.text)
	}
	for _, in := range []string{``, ` `, `"`, `"\`, `"\u12`, `"\x"`, `01`, `-`, `1.`, `1e`, `{`, `{"a"`, `{"a":`, `{a:1}`, `[1,]`, `[1 2]`, "\xff"} {
		_, err := Read(in)
		require.Error(t, err, in)
		var e *SyntaxError
		require.ErrorAs(t, err, &e)
	}
}

// seeds adds the recorded queries that are AST.
func seeds(f *testing.F) {
	recorded, err := conformance.Queries("../../../testdata")
	require.NoError(f, err)
	for _, q := range recorded {
		if strings.HasPrefix(strings.TrimSpace(q.Text), "[") {
			f.Add(q.Text)
		}
	}
}

// FuzzRead: any text is read, or is a *SyntaxError; what was read prints as
// JSON that reads the same.
func FuzzRead(f *testing.F) {
	seeds(f)
	f.Add(`["and",["=","a",1.0],["in",["a","b"],["array",[null,true,{"x":"\u00e9"}]]]]`)
	f.Fuzz(func(t *testing.T, in string) {
		v, err := Read(in)
		if err != nil {
			var e *SyntaxError
			require.ErrorAs(t, err, &e)
			require.NotEmpty(t, e.Error())
			return
		}
		again, err := Read(string(v.JSON()))
		require.NoError(t, err)
		require.Equal(t, string(v.JSON()), string(again.JSON()))
		_ = v.Clojure()
	})
}
