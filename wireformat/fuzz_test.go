package wireformat

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func FuzzFacts(f *testing.F)         { fuzzDecode(f, ReplaceFacts) }
func FuzzCatalog(f *testing.F)       { fuzzDecode(f, ReplaceCatalog) }
func FuzzReport(f *testing.F)        { fuzzDecode(f, StoreReport) }
func FuzzDeactivate(f *testing.F)    { fuzzDecode(f, DeactivateNode) }
func FuzzExpiration(f *testing.F)    { fuzzDecode(f, ConfigureExpiration) }
func FuzzCatalogInputs(f *testing.F) { fuzzDecode(f, ReplaceCatalogInputs) }

// fuzzDecode holds one decoder to what Decode promises of every body.
func fuzzDecode(f *testing.F, cmd Command) {
	versions, _ := Lookup(string(cmd))
	for _, b := range bases(f) {
		if b.Command == cmd {
			body, err := json.Marshal(b.Payload)
			require.NoError(f, err)
			f.Add(b.Version, body)
			f.Add(b.Version, body[:len(body)/2])
		}
	}
	for _, r := range corpus(f, "edge.jsonl") {
		if r.name() == cmd {
			f.Add(r.Version, []byte(r.Body))
		}
	}
	for _, body := range []string{"", "null", "[]", "{}", `""`, `"{}"`, "\xff", `{"certname":"a","inputs":[["a","b"]]}`, strings.Repeat("[", 3000)} {
		f.Add(versions.Latest, []byte(body))
	}
	received := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, version int, body []byte) {
		original := bytes.Clone(body)
		p, err := Decode(cmd, version, received, body)
		require.Equal(t, original, body, "the body was written to")
		if err != nil {
			checkDecodeError(t, err)
			return
		}
		require.Equal(t, cmd, p.Kind())
		before, err := json.Marshal(p)
		require.NoError(t, err)
		clear(body)
		after, err := json.Marshal(p)
		require.NoError(t, err)
		require.Equal(t, before, after, "the payload aliases the body")
		if len(bytes.TrimSpace(original)) > 0 {
			again, err := Decode(cmd, version, received, append(original, " trailing \x00 bytes"...))
			require.NoError(t, err)
			require.Equal(t, p, again)
		}
		checkPayload(t, p)
	})
}

// checkDecodeError: every failure is the command's fault and says how.
func checkDecodeError(t *testing.T, err error) {
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Contains(t, []string{CauseParse, CauseValidation, CauseVersion}, e.Cause)
	require.NotEmpty(t, e.Error())
	require.LessOrEqual(t, len(e.Problems), maxProblems)
	require.Equal(t, e.Cause == CauseValidation, len(e.Problems) > 0)
	for _, p := range e.Problems {
		require.True(t, strings.HasPrefix(p.Path, "$"), p.Path)
		require.NotEmpty(t, p.Message)
	}
}

// checkPayload: what the types promise of a decoded payload.
func checkPayload(t *testing.T, p Payload) {
	require.True(t, utf8.ValidString(p.Node()))
	switch p := p.(type) {
	case *Facts:
		for i, v := range p.Values {
			checkCanonical(t, v.Value)
			require.True(t, i == 0 || compareNames(p.Values[i-1].Name, v.Name) < 0)
			Leaves(v.Name, v.Value, func(l Leaf) bool { checkCanonical(t, l.Path); checkCanonical(t, l.Value); return true })
		}
		require.Len(t, p.Hash(), 40)
	case *Catalog:
		for i, r := range p.Resources {
			if r.Parameters != nil {
				checkCanonical(t, r.Parameters)
			}
			require.Len(t, r.Hash, 40)
			require.True(t, i == 0 || p.Resources[i-1].Type+"\x00"+p.Resources[i-1].Title < r.Type+"\x00"+r.Title ||
				strings.Contains(r.Type, "\x00"))
		}
		for _, e := range p.Edges {
			require.Less(t, int(e.Source), len(p.Resources))
			require.Less(t, int(e.Target), len(p.Resources))
			require.True(t, e.Source >= 0 && e.Target >= 0 && e.Relationship >= Contains && e.Relationship <= SubscriptionOf)
		}
		require.Len(t, p.Hash, 40)
	case *Report:
		for _, v := range []JSON{p.Metrics, p.Logs, p.Resources} {
			if v != nil {
				checkCanonical(t, v)
			}
		}
		for _, e := range p.Events {
			require.Equal(t, e.Status == "skipped" && e.NewValue == nil, e.OldValue == nil)
		}
		require.Contains(t, []string{"agent", "plan"}, p.Type)
		require.Len(t, p.Hash, 40)
	}
}

// checkCanonical: a canonical text is valid JSON and its own canonical form.
func checkCanonical(t *testing.T, v JSON) {
	again, err := Canonical(v)
	require.NoError(t, err)
	require.Equal(t, string(v), string(again))
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{`{"b":1,"a":[1.50,-0,"\u0000\ud800",{"b":1,"b":2}]}`, "1e400", `"\ud83d\ude00"`, `{"\uffff":1,"😀":2}`, "[\x00]", "12345678901234567890"} {
		f.Add([]byte(s))
	}
	upstreamLines(f, "canonical.jsonl", func(line []byte) {
		var c struct{ Text []byte }
		require.NoError(f, json.Unmarshal(line, &c))
		f.Add(c.Text)
	})
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := Canonical(text)
		var e *Error
		if err != nil {
			require.True(t, errors.As(err, &e) && e.Cause == CauseParse)
			require.False(t, json.Valid(text) && bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")) < maxDepth, "valid JSON was refused: %v", err)
			return
		}
		require.True(t, json.Valid(v), "%s", v)
		require.True(t, utf8.Valid(v))
		checkCanonical(t, v)
	})
}

func FuzzTimes(f *testing.F) {
	upstreamLines(f, "times.jsonl", func(line []byte) {
		var c struct{ Text string }
		require.NoError(f, json.Unmarshal(line, &c))
		f.Add(c.Text)
	})
	f.Fuzz(func(t *testing.T, text string) {
		lenient, err := ParseTime(text)
		if strict, strictErr := ParseStrictTime(text); strictErr == nil {
			require.NoError(t, err)
			require.Equal(t, strict, lenient)
		}
		if err != nil {
			return
		}
		if y := lenient.Year(); y < 0 || y > 9999 {
			return
		}
		again, err := ParseStrictTime(FormatTime(lenient))
		require.NoError(t, err)
		require.Equal(t, lenient, again)
	})
}

func FuzzPythonDigest(f *testing.F) {
	f.Add([]byte(`{"a":[1,1.5,true,null,"it's"],"a":2}`))
	f.Add([]byte(`{"certname":"x`))
	f.Fuzz(func(t *testing.T, body []byte) {
		sum, err := PythonDigest(body)
		if err != nil {
			return
		}
		require.Len(t, sum, 40)
		var compact bytes.Buffer
		if json.Compact(&compact, body) == nil { // white space does not count
			again, err := PythonDigest(compact.Bytes())
			require.NoError(t, err)
			require.Equal(t, sum, again)
		}
	})
}

func FuzzInflate(f *testing.F) {
	f.Add(gzipped(f, "hello"), true)
	f.Add(gzipped(f, strings.Repeat("a", 100_000)), true)
	f.Add([]byte("plain"), false)
	f.Fuzz(func(t *testing.T, body []byte, asGzip bool) {
		const limit = 1 << 16
		out, err := Inflate(bytes.NewReader(body), asGzip, limit, nil)
		if err == nil {
			require.LessOrEqual(t, len(out), limit)
			return
		}
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Contains(t, []string{CauseEncoding, CauseTooLarge}, e.Cause)
	})
}
