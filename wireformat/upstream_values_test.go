package wireformat

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestUpstreamCanonical: what the real server's serializer makes of odd texts.
func TestUpstreamCanonical(t *testing.T) {
	upstreamLines(t, "canonical.jsonl", func(line []byte) {
		var c struct {
			Text      []byte
			Canonical *string
		}
		require.NoError(t, json.Unmarshal(line, &c))
		got, err := Canonical(c.Text)
		if own, deviates := canonicalDeviations()[string(c.Text)]; deviates {
			require.Equal(t, own, string(got), "%q", c.Text)
			return
		}
		switch {
		case err != nil && c.Canonical != nil:
			t.Errorf("%q: %v", c.Text, err)
		case err == nil && c.Canonical == nil:
			t.Errorf("%q: accepted as %s, upstream refuses it", c.Text, got)
		case err == nil:
			want, err := base64.StdEncoding.DecodeString(*c.Canonical)
			require.NoError(t, err)
			if string(got) != string(want) {
				t.Errorf("%q: got %s, upstream writes %s", c.Text, got, want)
			}
		}
	})
}

// canonicalDeviations are the texts that we treat otherwise than upstream, and
// what we make of them; nothing where we refuse.
func canonicalDeviations() map[string]string {
	return map[string]string{
		// nothing is not a value; Decode knows that an empty body is null
		"": "", "  ": "",
		// a number at the top may be followed by what could follow it inside
		"1,2": "1", "12}": "12",
		// JDK 17 does not always find the shortest digits; JDK 19 does, as we do
		"5e-324": "5.0E-324", "2e23": "2.0E23", "1e23": "1.0E23",
		"4.378806669158586e+18": "4.378806669158586E18",
		"7.646424189133705e+18": "7.646424189133705E18",
		"1.152023751002762e+17": "1.152023751002762E17",
		// NUL and lone surrogates become U+FFFD, at once
		`"\u0000"`: "\"\uFFFD\"", "\"\x00\"": "\"\uFFFD\"", `"\ud83d"`: "\"\uFFFD\"", `"\ude00"`: "\"\uFFFD\"",
		`"\ud83dx"`: "\"\uFFFDx\"", `"\ud83d\u0041"`: "\"\uFFFDA\"", `"\uD83D\uD83D\uDE00"`: "\"\uFFFD\U0001F600\"",
	}
}

func TestUpstreamPayloads(t *testing.T) {
	received := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	deviations := map[string]string{
		"ya2073d8b":   "NUL becomes U+FFFD before hashing",
		"y50129b07/1": "upstream lets its database refuse a report_format beyond 16 bits",
	}
	upstreamLines(t, "payloads.jsonl", func(line []byte) {
		var c struct {
			Command Command
			Version int
			Body    string
			Want    string
		}
		require.NoError(t, json.Unmarshal(line, &c))
		p, err := Decode(c.Command, c.Version, received, []byte(c.Body))
		if got := verdict(p, err); got != c.Want && deviations[c.Want] == "" {
			t.Errorf("%s %d %s: upstream %s, we %s (%v)", c.Command, c.Version, c.Body, c.Want, got, err)
		}
	})
}

func TestUpstreamTimes(t *testing.T) {
	upstreamLines(t, "times.jsonl", func(line []byte) {
		var c struct {
			Text            string
			Strict, Lenient *int64
		}
		require.NoError(t, json.Unmarshal(line, &c))
		compareTime(t, "strict", c.Text, c.Strict, ParseStrictTime)
		compareTime(t, "lenient", c.Text, c.Lenient, ParseTime)
	})
}

// timeDeviations are the texts where we do not do as upstream. All are forms
// that no client sends: what we refuse is a command's loud failure, what we
// accept beyond upstream is unambiguous.
func timeDeviations(regime string) []string {
	if regime == "strict" {
		return []string{
			"2011-01-01T12:00:60Z", "2011-01-01T24:00Z", // accepted
			"+10000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z", // refused: years of four digits only
		}
	}
	return []string{
		// accepted: whatever is a strict time
		"2011-01-01T12:00:01.Z", "2011-01-01T24:00:00Z", "2011-01-01T24:00Z", "2011-01-01T24:00:00.000Z", "2011-01-01T24:00:00+01:00",
		"2011-12-31T24:00:00Z", "2011-01-01T12:00:60Z", "2011-01-01T23:59:60Z", "2011-01-01T12:00:01.1234567891Z",
		"2011-01-01T12:00:01.123456789123Z", "20110101T120000", "20110101T1200", "2011-W53-7",
		// read as what they look like, not as the year 20110101 or the next Sunday
		"20110101T12", "Sun, 01 Jan 2011 12:00:01 +0000",
		// refused: years that have not four digits, offsets beyond 18 hours
		"10000-01-01T00:00:00Z", "+10000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z", "-1", "-2011", "+2011", "12345", "123456", "1234567",
		"12345678", "123456789", "12345-01-01", "02011-01-01", "201101", "2011001", "120001",
		"2011-01-01T12:00:01+18:01", "2011-01-01T12:00:01+19:00", "2011-01-01T12:00:01+23:59",
		// refused: digits left out, basic week and ordinal forms, bare times with an offset or a T
		"2011-1-1", "2011-W1", "2011-01-01T", "2011-01-01T1:2:3Z", "2011-01-01T12:0:1Z", "2011W011", "2011W011T120000Z",
		"2011W011T120000.000Z", "2011001T120000Z", "2011001T120000.000Z", "12:00:01.123", "12:00:01Z", "12:00:01.123Z", "T12:00:01Z",
		"T12:00:01.123Z", "T12:00:01", "120001Z", "120001.123Z", "T120001Z", "T120001.123Z", "T12", "T12:00",
		"Sat, 01 Jan 2011 12:00:01 Z", "Saturday, 01 January 2011 12:00:01 +0000", "Sat, 01 Jan 2011 12:00:01 +00:00",
	}
}

func compareTime(t *testing.T, regime, text string, want *int64, parse func(string) (time.Time, error)) {
	t.Helper()
	if slices.Contains(timeDeviations(regime), text) {
		return
	}
	got, err := parse(text)
	switch {
	case want == nil && err == nil:
		t.Errorf("%s %q: read as %s, upstream refuses it", regime, text, FormatTime(got))
	case want != nil && err != nil:
		t.Errorf("%s %q: refused, upstream reads %s", regime, text, FormatTime(time.UnixMilli(*want)))
	case want != nil && got.UnixMilli() != *want:
		t.Errorf("%s %q: read as %s, upstream reads %s", regime, text, FormatTime(got), FormatTime(time.UnixMilli(*want)))
	case want != nil:
		require.Zero(t, got.Nanosecond()%1e6)
		require.Equal(t, time.UTC, got.Location())
	}
}

func TestUpstreamFactPaths(t *testing.T) {
	upstreamLines(t, "paths.jsonl", func(line []byte) {
		var c struct {
			Path []any
			Text string
		}
		require.NoError(t, json.Unmarshal(line, &c))
		for i, e := range c.Path {
			if n, ok := e.(float64); ok {
				c.Path[i] = int(n)
			}
		}
		if got := EncodeFactPath(c.Path); got != c.Text {
			t.Errorf("%q: got %s, upstream writes %s", c.Path, got, c.Text)
		}
	})
}
