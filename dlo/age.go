package dlo

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Age is a duration that people write: what time.ParseDuration takes, and
// whole or broken days and weeks: 90m, 36h, 7d, 2w, 1.5d.
type Age time.Duration

// ParseAge reads an Age. It is never negative.
func ParseAge(s string) (Age, error) {
	unit := time.Duration(0)
	switch {
	case strings.HasSuffix(s, "d"):
		unit = 24 * time.Hour
	case strings.HasSuffix(s, "w"):
		unit = 7 * 24 * time.Hour
	}
	var d time.Duration
	var err error
	if unit == 0 {
		d, err = time.ParseDuration(s)
	} else {
		var n float64
		n, err = strconv.ParseFloat(s[:len(s)-1], 64)
		if f := n * float64(unit); err == nil && f >= 0 && f < math.MaxInt64 {
			d = time.Duration(f)
		} else {
			err = strconv.ErrRange
		}
	}
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not an age: write it like 90m, 36h, 7d or 2w", s)
	}
	return Age(d), nil
}

// String writes the age with the largest unit that divides it.
func (a Age) String() string {
	d := time.Duration(a)
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return "0"
	case d%(7*day) == 0:
		return strconv.FormatInt(int64(d/(7*day)), 10) + "w"
	case d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Duration is the age as a duration.
func (a Age) Duration() time.Duration { return time.Duration(a) }

// MarshalText and UnmarshalText make an Age a JSON string.
func (a Age) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what ParseAge reads.
func (a *Age) UnmarshalText(b []byte) (err error) {
	*a, err = ParseAge(string(b))
	return err
}

// Set and Type make an Age a command-line flag.
func (a *Age) Set(s string) error { return a.UnmarshalText([]byte(s)) }

// Type is the word for the value in help texts.
func (a *Age) Type() string { return "age" }
