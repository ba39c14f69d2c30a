package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"dalang/store/query/ast"
)

// yamlPrinter prints rows as the elements of a YAML sequence.
type yamlPrinter struct {
	out  *output
	rows int
}

func (p *yamlPrinter) row(row []byte) error {
	dec := json.NewDecoder(bytes.NewReader(row))
	dec.UseNumber()
	y := &yamlText{dec: dec}
	y.buf = append(y.buf, '-')
	if err := y.value(2, true); err != nil {
		return err
	}
	p.rows++
	if _, err := p.out.Write(y.buf); err != nil {
		return err
	}
	return p.out.done()
}

func (p *yamlPrinter) end(whole bool) error {
	if p.rows > 0 || !whole {
		return nil
	}
	_, err := p.out.WriteString("[]\n")
	return err
}

// yamlText turns a JSON text into YAML, keys in their order and numbers as they
// are written.
type yamlText struct {
	dec *json.Decoder
	buf []byte
}

func (y *yamlText) write(s string) { y.buf = append(y.buf, s...) }

func (y *yamlText) indent(n int) { y.write(strings.Repeat(" ", n)) }

// value writes the next value, behind a dash or a colon. Its lines, but one that
// goes on behind the dash, are indented by n.
func (y *yamlText) value(n int, dash bool) error {
	t, err := y.dec.Token()
	if err != nil {
		return err
	}
	delim, ok := t.(json.Delim)
	if !ok {
		y.write(" " + y.scalar(t, n) + "\n")
		return nil
	}
	if !y.dec.More() {
		y.write(map[json.Delim]string{'{': " {}\n", '[': " []\n"}[delim])
	} else if !dash {
		y.write("\n")
	}
	for first := true; y.dec.More(); first = false {
		switch {
		case first && dash:
			y.write(" ")
		default:
			y.indent(n)
		}
		if delim == '[' {
			y.write("-")
		} else {
			key, err := y.dec.Token()
			if err != nil {
				return err
			}
			y.write(yamlString(fmt.Sprint(key)) + ":")
		}
		if err := y.value(n+2, delim == '['); err != nil {
			return err
		}
	}
	_, err = y.dec.Token()
	return err
}

func (y *yamlText) scalar(t json.Token, n int) string {
	switch v := t.(type) {
	case nil:
		return "null"
	case string:
		if block, ok := yamlBlock(v, n); ok {
			return block
		}
		return yamlString(v)
	}
	return fmt.Sprint(t)
}

// bare are texts that need no quotes in YAML.
var bare = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./+@()%-]*(?: [A-Za-z0-9_./+@()%-]+)*$`)

// yamlString is a string as one line.
func yamlString(s string) string {
	if bare.MatchString(s) {
		switch strings.ToLower(s) {
		case "null", "true", "false", "yes", "no", "on", "off", "y", "n":
		default:
			return s
		}
	}
	// JSON's strings are YAML's, but for what a terminal would obey.
	var b strings.Builder
	for _, r := range string(ast.AppendString(nil, s)) {
		if r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// yamlBlock is a text of several lines as a block, if it can be one.
func yamlBlock(s string, n int) (string, bool) {
	body := strings.TrimRight(s, "\n")
	if !strings.Contains(body, "\n") || body[0] == ' ' || body[0] == '\n' || body[0] == '\t' {
		return "", false
	}
	for _, r := range s {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r == 0xfffd {
			return "", false
		}
	}
	head := "|"
	switch len(s) - len(body) {
	case 0:
		head = "|-"
	case 1:
	default:
		return "", false
	}
	var b strings.Builder
	b.WriteString(head)
	for line := range strings.SplitSeq(body, "\n") {
		b.WriteByte('\n')
		if line != "" {
			b.WriteString(strings.Repeat(" ", n) + line)
		}
	}
	return b.String(), true
}
