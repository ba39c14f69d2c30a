package config

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Duration is a whole number and one of d, h, m, s, ms: 14d.
type Duration time.Duration

var durationForm = regexp.MustCompile(`^([0-9]+)(d|h|m|s|ms)$`)

func durationUnit(name string) time.Duration {
	switch name {
	case "d":
		return day
	case "h":
		return time.Hour
	case "m":
		return time.Minute
	case "s":
		return time.Second
	}
	return time.Millisecond
}

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	m := durationForm.FindStringSubmatch(string(text))
	if m == nil {
		return fmt.Errorf("%q is not a duration: a whole number and one of d, h, m, s, ms, such as 14d", text)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	unit := durationUnit(m[2])
	if err != nil || n > int64(math.MaxInt64/unit) {
		return fmt.Errorf("%q is too long a duration", text)
	}
	*d = Duration(time.Duration(n) * unit)
	return nil
}

// MarshalText writes a duration in the largest unit that divides it.
func (d Duration) MarshalText() ([]byte, error) {
	for _, unit := range []string{"d", "h", "m", "s"} {
		if v, size := time.Duration(d), durationUnit(unit); v != 0 && v%size == 0 {
			return fmt.Appendf(nil, "%d%s", v/size, unit), nil
		}
	}
	if d == 0 {
		return []byte("0s"), nil
	}
	return fmt.Appendf(nil, "%dms", time.Duration(d).Milliseconds()), nil
}

// Size is a number of bytes: 16777216, 16MiB, 64KiB, 1GiB.
type Size int64

var sizeForm = regexp.MustCompile(`(?i)^([0-9]+) *(|b|kb|mb|gb|k|m|g|kib|mib|gib)$`)

// sizeUnit knows the units of sizeForm, in lower case.
func sizeUnit(name string) int64 {
	switch name {
	case "kb":
		return 1e3
	case "mb":
		return 1e6
	case "gb":
		return 1e9
	case "k", "kib":
		return 1 << 10
	case "m", "mib":
		return 1 << 20
	case "g", "gib":
		return 1 << 30
	}
	return 1
}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	m := sizeForm.FindStringSubmatch(string(text))
	if m == nil {
		return fmt.Errorf("%q is not a size: bytes, or a whole number with KiB, MiB or GiB", text)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	unit := sizeUnit(strings.ToLower(m[2]))
	if err != nil || n > math.MaxInt64/unit {
		return fmt.Errorf("%q is too large a size", text)
	}
	*s = Size(n * unit)
	return nil
}

// MarshalText writes a size in the largest unit that divides it.
func (s Size) MarshalText() ([]byte, error) {
	for _, unit := range []string{"GiB", "MiB", "KiB"} {
		if n := sizeUnit(strings.ToLower(unit)); s != 0 && int64(s)%n == 0 {
			return fmt.Appendf(nil, "%d%s", int64(s)/n, unit), nil
		}
	}
	return strconv.AppendInt(nil, int64(s), 10), nil
}

// Minutes is a number of minutes, whole or not.
type Minutes float64

// UnmarshalText reads minutes.
func (m *Minutes) UnmarshalText(text []byte) error { return number(text, "minutes", (*float64)(m)) }

// MarshalText writes minutes.
func (m Minutes) MarshalText() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(m), 'f', -1, 64), nil
}

// Duration is the same as a time.Duration.
func (m Minutes) Duration() time.Duration { return time.Duration(float64(m) * float64(time.Minute)) }

// Seconds is a number of seconds, whole or not.
type Seconds float64

// UnmarshalText reads seconds.
func (s *Seconds) UnmarshalText(text []byte) error { return number(text, "seconds", (*float64)(s)) }

// MarshalText writes seconds.
func (s Seconds) MarshalText() ([]byte, error) { return Minutes(s).MarshalText() }

// Duration is the same as a time.Duration.
func (s Seconds) Duration() time.Duration { return time.Duration(float64(s) * float64(time.Second)) }

// longest keeps minutes and seconds within what a time.Duration holds.
const longest = 100 * 365 * 24 * 60

func number(text []byte, unit string, into *float64) error {
	f, err := strconv.ParseFloat(string(text), 64)
	switch {
	case err != nil || math.IsNaN(f):
		return fmt.Errorf("%q is not a number of %s", text, unit)
	case f < 0:
		return fmt.Errorf("%q must not be negative", text)
	case f > longest:
		return fmt.Errorf("%q is too many %s", text, unit)
	}
	*into = f
	return nil
}

// List is strings with commas between them.
type List []string

// UnmarshalText reads a list. Spaces around an element do not count.
func (l *List) UnmarshalText(text []byte) error {
	*l = nil
	for element := range strings.SplitSeq(string(text), ",") {
		if element = strings.TrimSpace(element); element != "" {
			*l = append(*l, element)
		}
	}
	return nil
}

// MarshalText writes a list.
func (l List) MarshalText() ([]byte, error) { return []byte(strings.Join(l, ", ")), nil }

// set reads text into a field of Config.
func set(field reflect.Value, text string) error {
	text = strings.TrimSpace(text)
	if strings.ContainsFunc(text, unicode.IsControl) {
		return fmt.Errorf("%q holds a control character", text)
	}
	if u, ok := field.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch field.Kind() {
	case reflect.String:
		field.SetString(text)
	case reflect.Int:
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			return fmt.Errorf("%q is not a whole number from 0 to %d", text, math.MaxInt32)
		}
		field.SetInt(n)
	case reflect.Bool:
		// As PuppetDB: only true is true. But what is neither is a mistake.
		switch strings.ToLower(text) {
		case "true":
			field.SetBool(true)
		case "false", "":
			field.SetBool(false)
		default:
			return fmt.Errorf("%q is neither true nor false", text)
		}
	default:
		panic("config: no reader for " + field.Type().String())
	}
	return nil
}

// text writes a field of Config.
func text(field reflect.Value) string {
	if m, ok := field.Interface().(encoding.TextMarshaler); ok {
		b, err := m.MarshalText()
		if err != nil {
			panic(err) // ours never fail
		}
		return string(b)
	}
	return fmt.Sprint(field.Interface())
}
