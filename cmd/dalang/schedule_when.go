package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	spanForm = regexp.MustCompile(`\A(?:[0-9]{1,9}[wdhms])+\z`)
	spanPart = regexp.MustCompile(`([0-9]+)([wdhms])`)
)

func spanUnit(name string) time.Duration {
	switch name {
	case "w":
		return 7 * 24 * time.Hour
	case "d":
		return 24 * time.Hour
	case "h":
		return time.Hour
	case "m":
		return time.Minute
	}
	return time.Second
}

// parseSpan reads how long something is: 90m, 2h, 1d12h.
func parseSpan(flag, text string) (time.Duration, error) {
	if !spanForm.MatchString(text) {
		return 0, fmt.Errorf("%s must be a span of time such as 30m, 2h, 1d or 1d12h, not %q", flag, text)
	}
	total := 0.0
	for _, m := range spanPart.FindAllStringSubmatch(text, -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return 0, err
		}
		total += n * spanUnit(m[2]).Seconds()
	}
	if total < 1 || total > math.MaxInt32 {
		return 0, fmt.Errorf("%s must be from 1s to 68 years, not %q", flag, text)
	}
	return time.Duration(total) * time.Second, nil
}

// spanText writes a span as parseSpan reads it.
func spanText(d time.Duration) string {
	var b strings.Builder
	for _, unit := range []string{"d", "h", "m", "s"} {
		if n := d / spanUnit(unit); n > 0 {
			fmt.Fprintf(&b, "%d%s", n, unit)
			d -= n * spanUnit(unit)
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}

// parseMoment reads a time: with a zone as it is, without one in the zone of
// now; a time of the day is the next such.
func parseMoment(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z0700", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04Z07:00"} {
		if t, err := time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	for _, form := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05"} {
		if t, err := time.ParseInLocation(form, text, now.Location()); err == nil {
			return t, nil
		}
	}
	t, err := time.ParseInLocation("15:04", text, now.Location())
	if err != nil {
		return t, fmt.Errorf("--at must be a time such as 2026-12-01T03:00Z, '2026-12-01 03:00' or 03:00, not %q", text)
	}
	t = time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, now.Location())
	if t.Before(now) {
		t = t.AddDate(0, 0, 1)
	}
	return t, nil
}

// momentText writes a time, and how far away it is.
func momentText(t, now time.Time) string {
	text := t.UTC().Format("2006-01-02 15:04:05 UTC")
	if away := t.Sub(now); away >= 0 {
		return text + ", in " + humanAge(away)
	}
	return text + ", " + humanAge(now.Sub(t)) + " ago"
}
