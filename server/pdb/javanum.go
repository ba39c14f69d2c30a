package pdb

import (
	"math"
	"strconv"
	"strings"
	"unicode"
)

// javaInt reads what Java's Integer.valueOf reads: an optional sign, digits of
// any script, no blanks, 32 bits.
func javaInt(s string) (int, bool) {
	digits := strings.TrimLeft(s, "+-")
	if digits == "" || len(s)-len(digits) > 1 {
		return 0, false
	}
	n := int64(0)
	for _, r := range digits {
		d, ok := digit(r)
		if n = n*10 + int64(d); !ok || n > math.MaxInt32+1 {
			return 0, false
		}
	}
	if s[0] == '-' {
		n = -n
	}
	if n > math.MaxInt32 {
		return 0, false
	}
	return int(n), true
}

// digit is the value of a decimal digit. Unicode puts the ten digits of a
// script side by side, from zero up, in ranges whose length is a multiple of 10.
func digit(r rune) (int, bool) {
	if r >= '0' && r <= '9' {
		return int(r - '0'), true
	}
	if !unicode.Is(unicode.Nd, r) {
		return 0, false
	}
	first := r
	for unicode.Is(unicode.Nd, first-1) && r-first < 99 {
		first--
	}
	return int(r-first) % 10, true
}

// javaDouble reads what Java's Double.parseDouble reads. On failure it returns
// the message of Java's exception, which upstream sends to the client.
func javaDouble(s string) (float64, string) {
	trimmed := strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
	if trimmed == "" {
		return 0, "empty String"
	}
	bare := strings.TrimLeft(trimmed, "+-")
	if len(trimmed)-len(bare) <= 1 {
		switch bare {
		case "NaN":
			return math.NaN(), ""
		case "Infinity":
			if trimmed[0] == '-' {
				return math.Inf(-1), ""
			}
			return math.Inf(1), ""
		}
	}
	number := trimmed
	hex := strings.ContainsAny(bare, "xX")
	if strings.ContainsAny(number[len(number)-1:], "dDfF") && (!hex || strings.ContainsAny(bare, "pP")) {
		number = number[:len(number)-1]
	}
	// ParseFloat also reads inf, nan and underscores, which Java does not.
	if strings.ContainsAny(number, "_iInN") || number == "" {
		return 0, javaNumberError(s)
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, javaNumberError(s)
	}
	return f, ""
}

func javaNumberError(s string) string { return `For input string: "` + s + `"` }

// javaBlank is Clojure's str/blank?: only what Java's Character.isWhitespace
// accepts, so a no-break space is not blank.
func javaBlank(s string) bool {
	for _, r := range s {
		switch {
		case r >= 0x1c && r <= 0x1f:
		case r == 0x85 || r == 0xa0 || r == 0x2007 || r == 0x202f || !unicode.IsSpace(r):
			return false
		}
	}
	return true
}
