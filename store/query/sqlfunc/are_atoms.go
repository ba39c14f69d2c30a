package sqlfunc

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// escape reads what follows a backslash outside brackets; it tells whether a
// quantifier may follow.
func (a *are) escape() (operand bool) {
	a.pos++
	if !a.more() {
		panic(errEscape)
	}
	c := a.src[a.pos]
	switch c {
	case 'd', 's', 'w', 'D', 'S', 'W':
		a.pos++
		a.out.WriteString(shorthand(c))
		return true
	case 'A':
		a.pos++
		a.out.WriteString(`\A`)
		return false
	case 'Z':
		a.pos++
		a.out.WriteString(`\z`)
		return false
	case 'm', 'M', 'y', 'Y':
		a.pos++
		a.edge(c)
		return false
	}
	if c >= '1' && c <= '9' {
		return a.backref()
	}
	a.rune(a.escaped())
	return true
}

func shorthand(c byte) string {
	switch c {
	case 'd':
		return classDigit
	case 's':
		return "[" + classSpace + "]"
	case 'w':
		return "[" + classWord + "]"
	case 'D':
		return `\P{Nd}`
	case 'S':
		return "[^" + classSpace + "]"
	}
	return "[^" + classWord + "]"
}

// edge writes the constraints about words: \m starts one, \M ends one.
func (a *are) edge(c byte) {
	const w, notBefore, notAfter = "[" + classWord + "]", "(?<![" + classWord + "])", "(?![" + classWord + "])"
	start, end := notBefore+"(?="+w+")", "(?<="+w+")"+notAfter
	a.backtracks = true
	switch c {
	case 'm':
		a.out.WriteString(start)
	case 'M':
		a.out.WriteString(end)
	case 'y':
		a.out.WriteString("(?:" + start + "|" + end + ")")
	case 'Y':
		a.out.WriteString("(?:(?<=" + w + ")(?=" + w + ")|" + notBefore + notAfter + ")")
	}
}

// backref reads \n: a back-reference, or a character by its octal code when
// there are not so many groups.
func (a *are) backref() bool {
	end := a.pos
	for end < len(a.src) && end < a.pos+3 && a.src[end] >= '0' && a.src[end] <= '9' {
		end++
	}
	n, _ := strconv.Atoi(a.src[a.pos:end])
	if end-a.pos > 1 && n > a.groups {
		a.rune(a.octal())
		return true
	}
	if n > a.groups {
		panic(errBackref)
	}
	a.pos = end
	a.backtracks = true
	fmt.Fprintf(&a.out, `(?:\%d)`, n)
	return true
}

func (a *are) octal() rune {
	end := a.pos
	for end < len(a.src) && end < a.pos+3 && a.src[end] >= '0' && a.src[end] <= '7' {
		end++
	}
	n, err := strconv.ParseUint(a.src[a.pos:end], 8, 32)
	if err != nil {
		panic(errEscape)
	}
	a.pos = end
	return rune(n)
}

// escaped reads the character that an escape stands for.
func (a *are) escaped() rune {
	c, n := utf8.DecodeRuneInString(a.src[a.pos:])
	a.pos += n
	switch c {
	case 'a':
		return 7
	case 'b':
		return 8
	case 'B':
		return '\\'
	case 'e':
		return 27
	case 'f':
		return 12
	case 'n':
		return 10
	case 'r':
		return 13
	case 't':
		return 9
	case 'v':
		return 11
	case 'c':
		if !a.more() {
			panic(errEscape)
		}
		a.pos++
		return rune(a.src[a.pos-1] & 31)
	case 'u':
		return a.hex(4, 4)
	case 'U':
		return a.hex(8, 8)
	case 'x':
		return a.hex(1, 255)
	case '0':
		a.pos--
		return a.octal()
	}
	if c < utf8.RuneSelf && (c >= '0' && c <= '9' || c|32 >= 'a' && c|32 <= 'z') {
		panic(errEscape)
	}
	return c
}

func (a *are) hex(least, most int) rune {
	end := a.pos
	for end < len(a.src) && end < a.pos+most && strings.IndexByte("0123456789abcdefABCDEF", a.src[end]) >= 0 {
		end++
	}
	n, err := strconv.ParseUint(a.src[a.pos:end], 16, 64)
	if end-a.pos < least || err != nil || n > utf8.MaxRune {
		panic(errEscape)
	}
	a.pos = end
	return rune(n)
}

// bracket reads [...]; it tells whether a quantifier may follow.
func (a *are) bracket() (operand bool) {
	for _, edge := range []struct{ text, escape string }{{"[[:<:]]", "m"}, {"[[:>:]]", "M"}} {
		if a.peek(edge.text) {
			a.pos += len(edge.text)
			a.edge(edge.escape[0])
			return false
		}
	}
	a.out.WriteByte('[')
	a.pos++
	if a.peek("^") {
		a.out.WriteByte('^')
		a.pos++
		if strings.Contains(a.flags, "m") && !strings.Contains(a.flags, "s") {
			a.out.WriteString(`\n`)
		}
	}
	for first := true; ; first = false {
		if !a.more() {
			panic(errBracket)
		}
		if a.src[a.pos] == ']' && !first {
			a.out.WriteByte(']')
			a.pos++
			return true
		}
		if a.class() {
			continue
		}
		low := a.element()
		if !a.peek("-") || a.pos+1 >= len(a.src) || a.src[a.pos+1] == ']' {
			a.rune(low)
			continue
		}
		a.pos++
		high := a.element()
		if high < low {
			panic(errRange)
		}
		a.rune(low)
		a.out.WriteByte('-')
		a.rune(high)
	}
}

// class reads a class within brackets, if there is one.
func (a *are) class() bool {
	if a.peek(`\`) && a.pos+1 < len(a.src) {
		switch a.src[a.pos+1] {
		case 'd':
			a.out.WriteString(classDigit)
		case 's':
			a.out.WriteString(classSpace)
		case 'w':
			a.out.WriteString(classWord)
		case 'D', 'S', 'W':
			panic(errEscape)
		default:
			return false
		}
		a.pos += 2
		return true
	}
	if !a.peek("[:") {
		return false
	}
	end := strings.Index(a.src[a.pos:], ":]")
	if end < 0 {
		panic(errBracket)
	}
	text, ok := map[string]string{
		"alpha": `\p{L}`, "digit": classDigit, "alnum": `\p{L}\p{N}`, "upper": `\p{Lu}`, "lower": `\p{Ll}`, "space": classSpace,
		"blank": ` \t`, "punct": `\p{P}\p{S}`, "cntrl": `\p{Cc}`, "xdigit": `0-9a-fA-F`, "word": classWord, "ascii": `\x00-\x7f`,
		"print": `\p{L}\p{M}\p{N}\p{P}\p{S} `, "graph": `\p{L}\p{M}\p{N}\p{P}\p{S}`,
	}[a.src[a.pos+2:a.pos+end]]
	if !ok {
		panic(errClass)
	}
	a.out.WriteString(text)
	a.pos += end + 2
	return true
}

// element reads one character within brackets.
func (a *are) element() rune {
	if !a.more() {
		panic(errBracket)
	}
	for _, p := range []string{".", "="} {
		if a.peek("[" + p) {
			end := strings.Index(a.src[a.pos:], p+"]")
			if end < 0 {
				panic(errBracket)
			}
			name := a.src[a.pos+2 : a.pos+end]
			r, n := utf8.DecodeRuneInString(name)
			if n == 0 || n != len(name) {
				panic(errCollate)
			}
			a.pos += end + 2
			return r
		}
	}
	if a.peek("[:") {
		panic(errRange)
	}
	r, n := utf8.DecodeRuneInString(a.src[a.pos:])
	a.pos += n
	if r != '\\' {
		return r
	}
	if !a.more() {
		panic(errEscape)
	}
	if strings.IndexByte("AZmMyYdDsSwW", a.src[a.pos]) >= 0 {
		panic(errEscape)
	}
	if c := a.src[a.pos]; c >= '1' && c <= '9' {
		return a.octal()
	}
	return a.escaped()
}
