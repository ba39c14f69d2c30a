package pdb

import (
	"errors"
	"io"
	"math"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestParseParams(t *testing.T) {
	tests := []struct {
		raw  string
		keys []string
		want map[string][]string
	}{
		{"", nil, map[string][]string{}},
		{"a=1&b=2&a=3", []string{"a", "b"}, map[string][]string{"a": {"1", "3"}, "b": {"2"}}},
		{"&&a&=x&", []string{"a", ""}, map[string][]string{"a": {""}, "": {"x"}}},
		{"a=1;b=2", []string{"a"}, map[string][]string{"a": {"1;b=2"}}},
		{"b=%41+c&a==", []string{"b", "a"}, map[string][]string{"b": {"A c"}, "a": {"="}}},
		{"a=%ff", []string{"a"}, map[string][]string{"a": {"\uFFFD"}}},
		{"query=[\"=\",\"x\",1]", []string{"query"}, map[string][]string{"query": {`["=","x",1]`}}},
	}
	for _, tt := range tests {
		p, err := ParseParams(tt.raw)
		require.NoError(t, err, tt.raw)
		require.Equal(t, tt.keys, p.Keys(), tt.raw)
		require.Equal(t, tt.want, p.values, tt.raw)
	}
	p, err := ParseParams("a=1&a=2&b=")
	require.NoError(t, err)
	_, ok := p.Get("a")
	require.False(t, ok, "repeated")
	v, ok := p.Get("b")
	require.True(t, ok)
	require.Empty(t, v)
	require.True(t, p.Has("b"))
	require.False(t, p.Has("c"))
	require.Equal(t, []string{"1", "2"}, p.All("a"))
}

// TestBrokenEscapes: a parameter that cannot be read is never left out.
func TestBrokenEscapes(t *testing.T) {
	for raw, want := range map[string]string{
		"b=1&a=%zz":         "Malformed escape '%zz' in query parameter 'a'; a percent sign is written as %25",
		"query=%":           "Malformed escape '%' in query parameter 'query'; a percent sign is written as %25",
		`query=["100%"]&x=`: "Malformed escape '%\"]' in query parameter 'query'; a percent sign is written as %25",
		"a%2=1":             "Malformed escape '%2' in the name of a query parameter; a percent sign is written as %25",
		"a=%\xff\xff":       "Malformed escape '%\uFFFD' in query parameter 'a'; a percent sign is written as %25",
	} {
		_, err := ParseParams(raw)
		var p *Problem
		require.ErrorAs(t, err, &p, raw)
		require.Equal(t, 400, p.Status)
		require.Equal(t, want, p.Message)
	}
	for _, target := range []string{"/x?a=%zz", "/x"} {
		r := httptest.NewRequest("GET", "/x", strings.NewReader("b=%zz"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.URL.RawQuery = strings.TrimPrefix(target, "/x")
		require.ErrorContains(t, MergeForm(r), "Malformed escape '%zz'", target)
		require.ErrorContains(t, newDLOQuery(httptest.NewRequest("DELETE", "/x?command=%zz", nil)).done(), "Malformed escape '%zz' in query parameter 'command'")
		require.ErrorContains(t, NoParams(httptest.NewRequest("GET", "/x?a=%zz", nil)), "Malformed escape")
	}
}

func TestProblemSaysItOnce(t *testing.T) {
	for want, p := range map[string]*Problem{
		"a":       {Message: "a"},
		"a: b":    {Message: "a", Err: errors.New("b")},
		"same":    {Message: "same", Err: errors.New("same")},
		"x: same": {Message: "same", Err: errors.New("x: same")},
	} {
		require.EqualError(t, p, want)
	}
}

func TestMergeForm(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	tests := []struct {
		name, method, target, contentType, body string
		want                                    string
		left                                    string
	}{
		{"GET", "GET", "/x?a=1&b=2", form, "b=3&c=%20", "b=3&c=+&a=1", ""},
		{"with a charset", "DELETE", "/x", form + "; charset=utf-8", "a=1", "a=1", ""},
		{"a POST is left alone", "POST", "/x?a=1", form, "b=2", "a=1", "b=2"},
		{"so is anything else", "GET", "/x?a=1", "application/json", "null", "a=1", "null"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body))
			r.Header.Set("Content-Type", tt.contentType)
			require.NoError(t, MergeForm(r))
			require.Equal(t, tt.want, r.URL.RawQuery)
			left, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			require.Equal(t, tt.left, string(left))
		})
	}
	r := httptest.NewRequest("GET", "/x", strings.NewReader(strings.Repeat("a", maxFormBody+1)))
	r.Header.Set("Content-Type", form)
	var p *Problem
	require.True(t, errors.As(MergeForm(r), &p))
	require.Equal(t, 413, p.Status)
}

func FuzzParseParams(f *testing.F) {
	for _, s := range []string{"a=1&b=2", "%", "=&=&", "a=%ff&a=%00", "a+b=c%20d;e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := ParseParams(raw)
		if err != nil {
			var problem *Problem
			require.ErrorAs(t, err, &problem)
			return
		}
		for _, k := range p.Keys() {
			require.True(t, p.Has(k))
			require.True(t, utf8.ValidString(k))
			for _, v := range p.All(k) {
				require.True(t, utf8.ValidString(v))
			}
		}
		again, err := ParseParams(p.Encode())
		require.NoError(t, err)
		require.Equal(t, len(p.Keys()), len(again.Keys()))
		for _, k := range p.Keys() {
			require.Equal(t, p.All(k), again.All(k))
		}
	})
}

func TestJavaInt(t *testing.T) {
	for s, want := range map[string]int{"5": 5, "+5": 5, "-5": -5, "05": 5, "٥": 5, "2147483647": math.MaxInt32, "-2147483648": math.MinInt32, "０1": 1} {
		got, ok := javaInt(s)
		require.True(t, ok, s)
		require.Equal(t, want, got, s)
	}
	for _, s := range []string{"", " 5", "5 ", "5.0", "2147483648", "-2147483649", "+-5", "--5", "+", "0x5", "5e1", "99999999999999999999", "½"} {
		_, ok := javaInt(s)
		require.False(t, ok, s)
	}
}

func TestJavaDouble(t *testing.T) {
	for s, want := range map[string]float64{
		"1": 1, " 1.5\t": 1.5, "-2": -2, "1d": 1, "1.5F": 1.5, "1e3": 1000, ".5": .5, "5.": 5, "0x1p1": 2, "0x1p1d": 2,
		"Infinity": math.Inf(1), "+Infinity": math.Inf(1), "-Infinity": math.Inf(-1), "1e999": math.Inf(1),
	} {
		got, message := javaDouble(s)
		require.Empty(t, message, s)
		require.Equal(t, want, got, s)
	}
	for _, s := range []string{"abc", "1_000", "inf", "nan", "infinity", "0x1", "1dd", "d", "+-1", "1 2", "+", "0x1f"} {
		_, message := javaDouble(s)
		require.Equal(t, `For input string: "`+s+`"`, message)
	}
	for _, s := range []string{"", "  "} {
		_, message := javaDouble(s)
		require.Equal(t, "empty String", message)
	}
}

func FuzzJavaNumbers(f *testing.F) {
	f.Add("+5")
	f.Add("0x1p-5f")
	f.Fuzz(func(t *testing.T, s string) {
		javaInt(s)
		_, message := javaDouble(s)
		_ = message
		javaBlank(s)
	})
}

func TestJavaBlank(t *testing.T) {
	for _, s := range []string{"", " ", "\t\n\r\f\v", "\u2003", "\x1c\x1f"} {
		require.True(t, javaBlank(s), "%q", s)
	}
	for _, s := range []string{"a", "\u00a0", " x ", "\u2007", "\u202f", "\u0085"} {
		require.False(t, javaBlank(s), "%q", s)
	}
}

func TestAcceptAndContentType(t *testing.T) {
	for header, ok := range map[string]bool{
		"": false, "application/json": true, "text/html, */*": true, "application/*": true, " application/json ,x": true,
		"application/json;q=0.9": false, "*/*;q=0.8": false, "text/json": false, "APPLICATION/JSON": false,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", header)
		require.Equal(t, ok, CheckAccept(r) == nil, header)
	}
	require.NoError(t, CheckAccept(httptest.NewRequest("GET", "/", nil)))
	for header, ok := range map[string]bool{
		"": true, "application/json": true, "application/json;charset=utf-8": true, "application/json ;x": true, "nonsense": true,
		"application/x-www-form-urlencoded": false, "Application/JSON": false, "text/plain": false, "application/jsonx": false,
	} {
		for _, method := range []string{"POST", "PUT"} {
			r := httptest.NewRequest(method, "/", nil)
			r.Header.Set("Content-Type", header)
			require.Equal(t, ok, CheckContentType(r) == nil, header)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Content-Type", header)
		require.NoError(t, CheckContentType(r))
	}
}
