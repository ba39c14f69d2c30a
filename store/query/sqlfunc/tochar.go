package sqlfunc

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ToChar is PostgreSQL's to_char for the masks that people use: of a time
// (kind "t", x in milliseconds, UTC) or of a number (kind "n"). Text that is
// not part of a mask stays.
func ToChar(x any, mask, kind string) (any, error) {
	switch v := x.(type) {
	case nil, []byte: // NULL comes as a nil slice
		return nil, nil
	case int64:
		if kind == "t" {
			return timeToChar(time.UnixMilli(v).UTC(), mask), nil
		}
		return numberToChar(float64(v), mask), nil
	case float64:
		return numberToChar(v, mask), nil
	case string:
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || kind == "t" {
			return nil, nil
		}
		return numberToChar(f, mask), nil
	}
	return nil, fmt.Errorf("to_string of a %T", x)
}

// token is one word of a time mask. pad is the width without FM, negative for
// blanks on the right.
type token struct {
	word string
	pad  int
	text func(t time.Time) string
}

func num(f func(time.Time) int) func(time.Time) string {
	return func(t time.Time) string { return strconv.Itoa(f(t)) }
}

func hour12(t time.Time) int { return (t.Hour()+11)%12 + 1 }

func meridiem(t time.Time) string {
	if t.Hour() < 12 {
		return "AM"
	}
	return "PM"
}

// tokens lists the words, longer ones before their prefixes.
func tokens() []token {
	isoYear := func(t time.Time) int { y, _ := t.ISOWeek(); return y }
	isoWeek := func(t time.Time) int { _, w := t.ISOWeek(); return w }
	return []token{
		{"YYYY", 4, num(time.Time.Year)}, {"IYYY", 4, num(isoYear)}, {"YYY", 3, num(func(t time.Time) int { return t.Year() % 1000 })},
		{"YY", 2, num(func(t time.Time) int { return t.Year() % 100 })}, {"Y", 1, num(func(t time.Time) int { return t.Year() % 10 })},
		{"MONTH", -9, func(t time.Time) string { return t.Month().String() }}, {"MON", 0, func(t time.Time) string { return t.Month().String()[:3] }},
		{"MM", 2, num(func(t time.Time) int { return int(t.Month()) })}, {"MI", 2, num(time.Time.Minute)},
		{"MS", 3, num(func(t time.Time) int { return t.Nanosecond() / 1e6 })}, {"US", 6, num(func(t time.Time) int { return t.Nanosecond() / 1e3 })},
		{"DDD", 3, num(time.Time.YearDay)}, {"DD", 2, num(time.Time.Day)}, {"DAY", -9, func(t time.Time) string { return t.Weekday().String() }},
		{"DY", 0, func(t time.Time) string { return t.Weekday().String()[:3] }}, {"D", 1, num(func(t time.Time) int { return int(t.Weekday()) + 1 })},
		{"HH24", 2, num(time.Time.Hour)}, {"HH12", 2, num(hour12)}, {"HH", 2, num(hour12)}, {"SSSS", 1, num(func(t time.Time) int {
			return t.Hour()*3600 + t.Minute()*60 + t.Second()
		})},
		{"SS", 2, num(time.Time.Second)}, {"AM", 0, meridiem}, {"PM", 0, meridiem}, {"Q", 1, num(func(t time.Time) int { return (int(t.Month()) + 2) / 3 })},
		{"WW", 2, num(func(t time.Time) int { return (t.YearDay()-1)/7 + 1 })}, {"IW", 2, num(isoWeek)}, {"TZ", 0, func(time.Time) string { return "UTC" }},
	}
}

func timeToChar(t time.Time, mask string) string {
	var b strings.Builder
	list := tokens()
	fill := false // FM: no padding
next:
	for i := 0; i < len(mask); {
		rest := mask[i:]
		if strings.HasPrefix(rest, "FM") {
			fill = true
			i += 2
			continue
		}
		if rest[0] == '"' {
			end := strings.IndexByte(rest[1:], '"')
			if end < 0 {
				b.WriteString(rest[1:])
				break
			}
			b.WriteString(rest[1 : end+1])
			i += end + 2
			continue
		}
		for _, k := range list {
			if len(rest) >= len(k.word) && strings.EqualFold(rest[:len(k.word)], k.word) {
				b.WriteString(padded(likeMask(k.text(t), rest[:len(k.word)]), k.pad, fill))
				i += len(k.word)
				fill = false
				continue next
			}
		}
		b.WriteByte(rest[0])
		i++
	}
	return b.String()
}

// likeMask gives a name the case of its word: DAY, Day or day.
func likeMask(s, word string) string {
	switch {
	case word == strings.ToUpper(word):
		return strings.ToUpper(s)
	case word == strings.ToLower(word):
		return strings.ToLower(s)
	}
	return s
}

func padded(s string, pad int, fill bool) string {
	switch {
	case fill || pad == 0:
		return s
	case pad < 0:
		return s + strings.Repeat(" ", max(-pad-len(s), 0))
	}
	return strings.Repeat("0", max(pad-len(s), 0)) + s
}

// numberToChar knows 9 0 . , FM.
func numberToChar(x float64, mask string) string {
	mask, fill := strings.CutPrefix(mask, "FM")
	whole, frac, point := strings.Cut(mask, ".")
	places := strings.Count(frac, "9") + strings.Count(frac, "0")
	text := strconv.FormatFloat(math.Abs(x), 'f', places, 64)
	digits, decimals, _ := strings.Cut(text, ".")
	room := strings.Count(whole, "9") + strings.Count(whole, "0")
	if len(digits) > room && !(digits == "0") {
		digits = strings.Repeat("#", room)
		decimals = strings.Repeat("#", places)
	}
	out, started := []byte{}, false
	skip := room - len(digits)
	for i, at := 0, 0; i < len(whole); i++ {
		c := whole[i]
		switch {
		case c != '9' && c != '0':
			if c == ',' && !started {
				c = ' '
			}
			out = append(out, c)
			continue
		case at >= skip && at-skip < len(digits):
			out, started = append(out, digits[at-skip]), true
		case c == '0' || started:
			out, started = append(out, '0'), true
		default:
			out = append(out, ' ')
		}
		at++
	}
	s := string(out)
	sign := " "
	if x < 0 {
		sign = "-"
	}
	trimmed := strings.TrimLeft(s, " ")
	s = strings.Repeat(" ", len(s)-len(trimmed)) + sign + trimmed
	if point {
		s += "." + decimals
	}
	if fill {
		s = strings.TrimLeft(s, " ")
		if point {
			s = strings.TrimRight(s, "0")
		}
	}
	return s
}
