package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// table is text in columns. The last column is never padded, and cut when the
// whole does not fit the terminal.
type table struct {
	rows  [][]string
	right map[int]bool // columns with numbers
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// print writes the table; limit is the width of the terminal, 0: none.
func (t *table) print(w io.Writer, limit int) error {
	widths := []int{}
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if t.right[i] {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		b.WriteString(fit(strings.TrimRight(line.String(), " "), limit) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// fit cuts a line to a width; 0: any.
func fit(s string, width int) string {
	if width <= 0 || utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:max(0, width-1)]) + "…"
}

// oneLine makes text from elsewhere safe for a terminal and a table.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// plain makes text of many lines safe for a terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r >= ' ' && r < 0x7f || r >= 0xa0 {
			return r
		}
		return '\uFFFD'
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// humanBytes writes a size: 29 B, 1.2 KiB, 340 MiB.
func humanBytes(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f := float64(n)
	unit := -1
	for ; f >= 1024 && unit < 4; unit++ {
		f /= 1024
	}
	digits := 1
	if f >= 99.95 {
		digits = 0
	}
	return fmt.Sprintf("%.*f %s", digits, f, []string{"KiB", "MiB", "GiB", "TiB", "PiB"}[unit])
}

// humanAge writes an age with its largest unit: 12s, 5m, 3h, 20d.
func humanAge(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

func humanTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000 UTC") }

// humanMinute is humanTime for tables.
func humanMinute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

// counted writes "1 letter", "2 letters".
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return groups(n) + " " + noun + "s"
}

// groups writes a number with its thousands apart: 12,345.
func groups(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// byteSize is a flag that takes 500000, 500kB, 64MiB, 2G.
type byteSize struct{ n *int64 }

func (b *byteSize) String() string {
	if b.n == nil {
		return ""
	}
	return strconv.FormatInt(*b.n, 10)
}

func (b *byteSize) Type() string { return "size" }

func (b *byteSize) Set(s string) error {
	number := strings.TrimRight(s, "BbiIkKmMgGtT ")
	scale, ok := map[string]float64{
		"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
		"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
	}[strings.ToLower(strings.TrimSpace(s[len(number):]))]
	f, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || f < 0 || f*scale >= math.MaxInt64 || math.IsNaN(f) {
		return fmt.Errorf("%q is not a size: write it like 500000, 500kB, 64MiB or 2G", s)
	}
	n := int64(f * scale)
	b.n = &n
	return nil
}

// shortIDs shortens uuids as far as they stay different from each other, to
// eight characters at least.
func shortIDs(ids []uuid.UUID) map[uuid.UUID]string {
	const whole = 36
	n := 8
	for ; n < whole; n++ {
		seen := make(map[string]uuid.UUID, len(ids))
		clash := false
		for _, id := range ids {
			short := id.String()[:n]
			if other, ok := seen[short]; ok && other != id {
				clash = true
				break
			}
			seen[short] = id
		}
		if !clash {
			break
		}
	}
	out := make(map[uuid.UUID]string, len(ids))
	for _, id := range ids {
		out[id] = id.String()[:n]
	}
	return out
}
