package wireformat

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const timeLayout = "2006-01-02T15:04:05.000Z"

// maxMillis bounds numeric times: the last millisecond of the year 9999.
const maxMillis = 253402300799999

// FormatTime writes t in UTC with milliseconds, as every answer has it.
func FormatTime(t time.Time) string { return t.UTC().Format(timeLayout) }

// ParseStrictTime reads a time as reports must write it: date, T, time and an
// offset with colons or Z. Digits beyond milliseconds are dropped. Spec §3.0.
func ParseStrictTime(text string) (time.Time, error) {
	t, ok := strictTime(text)
	if !ok {
		return time.Time{}, fmt.Errorf("must be an ISO 8601 time with an offset such as 2026-01-31T12:00:00.000Z, not %q", text)
	}
	return t, nil
}

func strictTime(text string) (time.Time, bool) {
	if len(text) < 17 || text[4] != '-' || text[7] != '-' || text[10]|0x20 != 't' || text[13] != ':' {
		return time.Time{}, false
	}
	year, ok1 := number(text[0:4])
	month, ok2 := number(text[5:7])
	day, ok3 := number(text[8:10])
	hour, ok4 := number(text[11:13])
	minute, ok5 := number(text[14:16])
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || minute > 59 {
		return time.Time{}, false
	}
	second, nanos, rest, ok := secondsOf(text[16:])
	if !ok {
		return time.Time{}, false
	}
	offset, ok := offsetOf(rest)
	if !ok || hour > 24 || hour == 24 && (minute != 0 || second != 0 || nanos != 0) {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC)
	return t.Add(-offset).Truncate(time.Millisecond), true
}

// secondsOf reads ":SS" with up to nine digits of fraction, or nothing.
func secondsOf(text string) (second, nanos int, rest string, ok bool) {
	if text == "" || text[0] != ':' {
		return 0, 0, text, true
	}
	if len(text) < 3 {
		return 0, 0, "", false
	}
	second, ok = number(text[1:3])
	if !ok || second > 60 {
		return 0, 0, "", false
	}
	second = min(second, 59) // a leap second
	rest = text[3:]
	if rest == "" || rest[0] != '.' {
		return second, 0, rest, true
	}
	digits := 0
	for rest = rest[1:]; rest != "" && digit(rest[0]); rest = rest[1:] {
		nanos = nanos*10 + int(rest[0]-'0')
		digits++
		if digits > 9 {
			return 0, 0, "", false
		}
	}
	for ; digits < 9; digits++ {
		nanos *= 10
	}
	return second, nanos, rest, true
}

// offsetOf reads Z, ±hh, ±hh:mm or ±hh:mm:ss.
func offsetOf(text string) (time.Duration, bool) {
	if text == "Z" || text == "z" {
		return 0, true
	}
	if len(text) < 3 || text[0] != '+' && text[0] != '-' {
		return 0, false
	}
	var total time.Duration
	rest := text[1:]
	for i, unit := range []time.Duration{time.Hour, time.Minute, time.Second} {
		n, ok := 0, false
		if len(rest) >= 2 {
			n, ok = number(rest[:2])
		}
		if !ok || i > 0 && n > 59 {
			return 0, false
		}
		total += time.Duration(n) * unit
		rest = rest[2:]
		if rest == "" {
			break
		}
		if rest[0] != ':' || unit == time.Second {
			return 0, false
		}
		rest = rest[1:]
	}
	if total > 18*time.Hour {
		return 0, false
	}
	if text[0] == '-' {
		total = -total
	}
	return total, true
}

func number(text string) (int, bool) {
	n := 0
	for i := range len(text) {
		if !digit(text[i]) {
			return 0, false
		}
		n = n*10 + int(text[i]-'0')
	}
	return n, text != ""
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// ParseTime reads a time in any of the many formats that facts, catalogs and
// queries may use: ISO dates and times, whole or cut short, basic, week and
// ordinal dates, RFC 822, `YYYY-MM-DD HH:MM:SS`, and bare times of 1970-01-01.
// Without an offset it is UTC; digits beyond milliseconds are dropped. Spec §3.0
// and query.md §3.7.
func ParseTime(text string) (time.Time, error) {
	if t, ok := strictTime(text); ok {
		return t, nil
	}
	for _, parse := range []func(string) (time.Time, bool){isoTime, wordyTime} {
		if t, ok := parse(text); ok {
			return t.UTC().Truncate(time.Millisecond), nil
		}
	}
	return time.Time{}, fmt.Errorf("must be a time such as 2026-01-31T12:00:00.000Z, not %q", text)
}

// isoTime reads a date, or a date with a time behind a T.
func isoTime(text string) (time.Time, bool) {
	datePart, timePart, hasTime := strings.Cut(strings.Replace(text, "t", "T", 1), "T")
	day, ok := isoDate(datePart)
	if !ok || !hasTime {
		return day, ok
	}
	zone := strings.IndexAny(timePart, "Zz+-")
	var offset time.Duration
	if zone >= 0 {
		suffix := timePart[zone:]
		if len(suffix) == 5 { // ±hhmm
			suffix = suffix[:3] + ":" + suffix[3:]
		}
		if offset, ok = offsetOf(suffix); !ok {
			return time.Time{}, false
		}
		timePart = timePart[:zone]
	}
	for _, layout := range []string{"15:04:05", "15:04", "15", "150405", "1504"} {
		// time.Parse takes a fraction behind the seconds without being asked
		if t, err := time.Parse(layout, timePart); err == nil {
			return day.Add(t.Sub(t.Truncate(24*time.Hour)) - offset), true
		}
	}
	return time.Time{}, false
}

// isoDate reads calendar, week and ordinal dates, whole or cut short.
func isoDate(text string) (time.Time, bool) {
	if week, ok := weekDate(text); ok {
		return week, true
	}
	for _, layout := range []string{"2006-01-02", "20060102", "2006-01", "2006", "2006-002"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	if n, ok := number(text); ok && len(text) < 4 { // a short year
		return time.Date(n, 1, 1, 0, 0, 0, 0, time.UTC), true
	}
	return time.Time{}, false
}

// weekDate reads YYYY-Www and YYYY-Www-d.
func weekDate(text string) (time.Time, bool) {
	if len(text) != 8 && len(text) != 10 || text[4:6] != "-W" {
		return time.Time{}, false
	}
	year, ok := number(text[:4])
	week, ok2 := number(text[6:8])
	day := 1
	if len(text) == 10 {
		n, err := strconv.Atoi(text[9:])
		if err != nil || text[8] != '-' {
			return time.Time{}, false
		}
		day = n
	}
	if !ok || !ok2 || week < 1 || week > 53 || day < 1 || day > 7 {
		return time.Time{}, false
	}
	fourth := time.Date(year, 1, 4, 0, 0, 0, 0, time.UTC) // always in week 1
	monday := fourth.AddDate(0, 0, -int(fourth.Weekday()+6)%7)
	return monday.AddDate(0, 0, (week-1)*7+day-1), true
}

// wordyTime reads RFC 822, database style and bare times.
func wordyTime(text string) (time.Time, bool) {
	if strings.Contains(text, ".") { // no fractions in these
		return time.Time{}, false
	}
	for _, layout := range []string{"Mon, 02 Jan 2006 15:04:05 -0700", "Mon, 2 Jan 2006 15:04:05 -0700", "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if t, err := time.Parse(layout, text); err == nil {
			return time.Date(1970, 1, 1, t.Hour(), t.Minute(), t.Second(), 0, time.UTC), true
		}
	}
	return time.Time{}, false
}
