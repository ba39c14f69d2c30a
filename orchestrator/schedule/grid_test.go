package schedule_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"dalang/orchestrator/schedule"
)

// at is a time of the tests' day, as 15:04 or 15:04:05.000; "" is none.
func at(t testing.TB, text string) time.Time {
	t.Helper()
	if text == "" {
		return time.Time{}
	}
	for _, form := range []string{time.RFC3339Nano, "15:04", "15:04:05.000"} {
		if v, err := time.Parse(form, text); err == nil {
			if v.Year() == 0 {
				v = v.AddDate(2026, 4, 19) // 2026-05-20
			}
			return v.UTC()
		}
	}
	t.Fatalf("no time: %q", text)
	return time.Time{}
}

func TestGrid(t *testing.T) {
	for name, c := range map[string]struct {
		start       string
		interval    time.Duration
		now         string
		last, after string
	}{
		"before":                    {"12:00", time.Hour, "11:59:59.999", "", "12:00"},
		"at the start":              {"12:00", time.Hour, "12:00", "12:00", "13:00"},
		"within":                    {"12:00", time.Hour, "12:59:59.999", "12:00", "13:00"},
		"at an instant":             {"12:00", time.Hour, "15:00", "15:00", "16:00"},
		"after years":               {"2000-01-01T00:30:00Z", time.Hour, "12:00", "11:30", "12:30"},
		"odd interval":              {"12:00", 7 * time.Second, "12:00:15.000", "12:00:14.000", "12:00:21.000"},
		"fraction":                  {"12:00:00.500", time.Second, "12:00:01.400", "12:00:00.500", "12:00:01.500"},
		"once, before":              {"12:00", 0, "11:00", "", "12:00"},
		"once, at it":               {"12:00", 0, "12:00", "12:00", ""},
		"once, after":               {"12:00", 0, "2036-05-20T12:00:00Z", "12:00", ""},
		"summer time begins":        {"2026-03-28T01:30:00Z", 24 * time.Hour, "2026-03-29T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T01:30:00Z"},
		"longest interval":          {"12:00", math.MaxInt32 * time.Second, "2090-01-01T00:00:00Z", "12:00", "2094-06-07T15:14:07Z"},
		"further than a Duration":   {"12:00", time.Hour, "2999-01-01T00:10:00Z", "2999-01-01T00:00:00Z", "2999-01-01T01:00:00Z"},
		"start beyond a Duration":   {"9999-12-31T23:59:59Z", time.Second, "12:00", "", "9999-12-31T23:59:59Z"},
		"now in another time zone":  {"12:00", time.Hour, "2026-05-20T14:30:00+02:00", "12:00", "13:00"},
		"a leap day is a day as is": {"2028-02-28T00:00:00Z", 24 * time.Hour, "2028-02-29T10:00:00Z", "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			g := schedule.Grid{Start: at(t, c.start), Interval: c.interval}
			require.Equal(t, at(t, c.last), g.Last(at(t, c.now)))
			require.Equal(t, at(t, c.after), g.After(at(t, c.now)))
		})
	}
}

// TestFire: whatever was missed, one instant is fired for, and the grid stays.
func TestFire(t *testing.T) {
	for name, c := range map[string]struct {
		interval      time.Duration
		due, now      string
		instant, next string
	}{
		"in time":             {time.Hour, "13:00", "13:00:00.010", "13:00", "14:00"},
		"late":                {time.Hour, "13:00", "13:59", "13:00", "14:00"},
		"three missed":        {time.Hour, "13:00", "15:30", "15:00", "16:00"},
		"up at an instant":    {time.Hour, "13:00", "15:00", "15:00", "16:00"},
		"once, missed by far": {0, "12:00", "23:00", "12:00", ""},
		"due is off the grid": {time.Hour, "13:10", "13:20", "13:10", "14:00"},
	} {
		t.Run(name, func(t *testing.T) {
			instant, next := schedule.Grid{Start: at(t, "12:00"), Interval: c.interval}.Fire(at(t, c.due), at(t, c.now))
			require.Equal(t, at(t, c.instant), instant)
			require.Equal(t, at(t, c.next), next)
		})
	}
}

func TestResume(t *testing.T) {
	hourly := schedule.Grid{Start: at(t, "12:00"), Interval: time.Hour}
	for name, c := range map[string]struct{ now, due, want string }{
		"nothing happened":              {"13:30", "13:00", "14:00"},
		"back behind what fired":        {"12:59:30.000", "13:00", "14:00"},
		"back by days":                  {"2026-05-01T00:00:00Z", "13:00", "14:00"},
		"back from a future that fired": {"13:30", "13:00", "14:00"},
		"never fired":                   {"10:00", "", "12:00"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, at(t, c.want), hourly.Resume(at(t, c.now), at(t, c.due)))
		})
	}
	require.Equal(t, at(t, "13:00"), hourly.Begin(at(t, "13:00")), "now itself counts for what is new")
	require.Equal(t, at(t, "14:00"), hourly.Begin(at(t, "13:00:00.001")))
}

// TestGridLaws: for any grid and moment, Last ≤ moment < After, both lie on
// the grid, and nothing of the grid lies between them.
func TestGridLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.UnixMilli(rapid.Int64Range(0, 4e12).Draw(t, "start")).UTC()
		g := schedule.Grid{Start: start, Interval: time.Duration(rapid.Int64Range(1, math.MaxInt32).Draw(t, "interval")) * time.Second}
		now := time.UnixMilli(rapid.Int64Range(0, 2e14).Draw(t, "now")).UTC()
		last, after := g.Last(now), g.After(now)
		if !after.After(now) {
			t.Fatalf("After(%s) is %s", now, after)
		}
		if last.IsZero() {
			if !now.Before(start) || !after.Equal(start) {
				t.Fatalf("now %s, start %s, after %s", now, start, after)
			}
			return
		}
		step := g.Interval.Milliseconds()
		if last.After(now) || after.UnixMilli()-last.UnixMilli() != step || (last.UnixMilli()-start.UnixMilli())%step != 0 {
			t.Fatalf("last %s, now %s, after %s", last, now, after)
		}
	})
}
