package sqlfunc

import (
	"bytes"
	"cmp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestKeyOrder lists values in jsonb's order; equal ones share a line.
func TestKeyOrder(t *testing.T) {
	lines := [][]string{
		{`[]`}, {`null`}, {`""`}, {`"A"`}, {`"a"`}, {`"aa"`}, {`"b"`}, {`"é"`},
		{`-1e400`}, {`-12345678901234567891`}, {`-12345678901234567890`}, {`-10`, `-10.0`, `-1E1`}, {`-9.99`}, {`-0.001`},
		{`0`, `0.0`, `-0`, `0E5`}, {`1e-400`}, {`0.001`, `1.0E-3`}, {`1`, `1.0`, `10e-1`}, {`1.5`}, {`2`}, {`10`, `1.0E1`}, {`12345678901234567890`}, {`12345678901234567891`},
		{`false`}, {`true`},
		{`[null]`}, {`["a"]`}, {`[1]`, `[1.0]`}, {`[[]]`}, {`[[1]]`}, {`[1,2]`}, {`[1,3]`}, {`{}`}, {`{"a":1}`, `{"a":1.0}`}, {`{"a":2}`}, {`{"aa":1}`}, {`{"b":1}`}, {`{"a":1,"b":1}`},
	}
	for i, a := range lines {
		for j, b := range lines {
			for _, x := range a {
				for _, y := range b {
					require.Equal(t, cmp.Compare(i, j), bytes.Compare(Key(x), Key(y)), "%s and %s", x, y)
				}
			}
		}
	}
}

func TestContains(t *testing.T) {
	for _, c := range []struct {
		doc, sub string
		want     bool
	}{
		{`{"a":{"b":1,"c":2}}`, `{"a":{"b":1.0}}`, true},
		{`{"a":{"b":1}}`, `{"a":{"b":"1"}}`, false},
		{`{"a":["x","y"]}`, `{"a":["y","y"]}`, true},
		{`{"a":["x","y"]}`, `{"a":"x"}`, false},
		{`["x","y"]`, `"x"`, true},
		{`["x"]`, `["x","z"]`, false},
		{`[1,[2,3]]`, `[[3]]`, true},
		{`[1,[2,3]]`, `[3]`, false},
		{`{"a":null}`, `{"a":null}`, true},
		{`{}`, `{"a":null}`, false},
		{`"x"`, `"x"`, true},
		{`{"k\"1":[{"z":1}]}`, `{"k\"1":[{}]}`, true},
		{`[]`, `[]`, true},
		{`{"a":1}`, `[]`, false},
	} {
		require.Equal(t, c.want, Contains(c.doc, c.sub), "%s @> %s", c.doc, c.sub)
	}
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		`"a\"b\u00e9"`: `a"bé`, `10.0`: `10.0`, `1.0E10`: `10000000000`, `1.5E-3`: `0.0015`, `-1.25E1`: `-12.5`, `true`: `true`,
		`{"release":[1,"x"],"os":{}}`: `{"os": {}, "release": [1, "x"]}`,
	} {
		got, ok := Text(in)
		require.True(t, ok)
		require.Equal(t, want, got)
	}
	_, ok := Text(`null`)
	require.False(t, ok)
}

func TestPath(t *testing.T) {
	const doc = `{"a":{"0":"key","list":[10,{"b":[1,2]},null]},"q\"":1}`
	for _, c := range []struct{ path, want string }{
		{`["a","0"]`, `"key"`}, {`["a",["0"]]`, `"key"`}, {`["a",0]`, ``}, {`["a","list",1,"b",0]`, `1`}, {`["a","list","0"]`, ``},
		{`["a","list",["0"]]`, `10`}, {`["a","list",-1]`, `null`}, {`["a","list",9]`, ``}, {`["q\""]`, `1`}, {`[]`, doc}, {`["x"]`, ``}, {`["a","0","b"]`, ``},
		{`["a","0",0]`, `"key"`}, {`["a","0",["0"]]`, ``}, {`["a","0",1]`, ``}, {`["a","list",0,-1,0]`, `10`},
	} {
		p, err := ParsePath(c.path)
		require.NoError(t, err)
		got, _ := p.Find(doc)
		require.Equal(t, c.want, got, c.path)
	}
}

func FuzzJSON(f *testing.F) {
	f.Add(`{"a":[1,2,{"b":null}]}`, `{"a":[1]}`)
	f.Fuzz(func(t *testing.T, a, b string) {
		Contains(a, b)
		Key(a)
		Text(b)
		PathKey(a)
		if p, err := ParsePath(b); err == nil {
			p.Find(a)
		}
	})
}
