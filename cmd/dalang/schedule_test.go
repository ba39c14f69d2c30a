package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30m": 30 * time.Minute, "2h": 2 * time.Hour, "1d": 24 * time.Hour, "1w": 168 * time.Hour, "1d12h": 36 * time.Hour, "90s": 90 * time.Second,
		"1h1m1s": time.Hour + time.Minute + time.Second,
	} {
		got, err := parseSpan("--in", text)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
		again, err := parseSpan("--in", spanText(got))
		require.NoError(t, err)
		require.Equal(t, want, again)
	}
	for _, text := range []string{"", "1", "h", "-1h", "1.5h", "0s", "1y", "1 h", "999999999w", "1h-"} {
		_, err := parseSpan("--every", text)
		require.ErrorContains(t, err, "--every must be", text)
	}
}

func TestParseMoment(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	now := time.Date(2026, 11, 30, 22, 30, 0, 0, berlin)
	for text, want := range map[string]string{
		"2026-12-01T03:00Z":         "2026-12-01T03:00:00Z",
		"2026-12-01T03:00:30Z":      "2026-12-01T03:00:30Z",
		"2026-12-01T03:00+01:00":    "2026-12-01T02:00:00Z",
		"2026-12-01T03:00:00+0100":  "2026-12-01T02:00:00Z",
		"2026-12-01 03:00Z":         "2026-12-01T03:00:00Z",
		"2026-12-01 03:00":          "2026-12-01T02:00:00Z",
		"2026-12-01T03:00:05":       "2026-12-01T02:00:05Z",
		" 23:15 ":                   "2026-11-30T22:15:00Z",
		"22:30":                     "2026-11-30T21:30:00Z",
		"22:29":                     "2026-12-01T21:29:00Z",
		"00:00":                     "2026-11-30T23:00:00Z",
		"2020-01-01T00:00:00-08:00": "2020-01-01T08:00:00Z", // the server says that it has passed
	} {
		got, err := parseMoment(text, now)
		require.NoError(t, err, text)
		require.Equal(t, want, got.UTC().Format(time.RFC3339), text)
	}
	for _, text := range []string{"", "tomorrow", "25:00", "2026-13-01T03:00Z", "2026-12-01"} {
		_, err := parseMoment(text, now)
		require.ErrorContains(t, err, "--at must be a time such as", text)
	}
	require.Equal(t, "2026-12-01 03:00:00 UTC, in 5h", momentText(now.Add(5*time.Hour+30*time.Minute), now))
	require.Equal(t, "2026-11-29 21:30:00 UTC, 24h ago", momentText(now.Add(-24*time.Hour), now))
}

func FuzzParseSpan(f *testing.F) {
	f.Add("1d12h")
	f.Add("1w2d3h4m5s")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseSpan("--in", text)
		if err != nil {
			return
		}
		again, err := parseSpan("--in", spanText(d))
		require.NoError(t, err)
		require.Equal(t, d, again)
	})
}
