package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// formats are the ways to print rows.
func formats() []string { return []string{"table", "json", "ndjson", "csv", "pretty"} }

// printer prints the rows of an answer.
type printer interface {
	// row takes one row, a JSON text that is row's until it returns.
	row(json []byte) error
	// end prints what is left; whole tells whether no row is missing.
	end(whole bool) error
}

// output is standard output: at once on a terminal, else in large pieces.
type output struct {
	*bufio.Writer
	terminal bool
	width    int // of the terminal; 0: do not cut
}

func newOutput(w io.Writer) *output {
	return &output{bufio.NewWriterSize(w, 64<<10), isTerminal(w), width(w)}
}

// done ends a row: people want to see it.
func (o *output) done() error {
	if o.terminal {
		return o.Flush()
	}
	return nil
}

// newPrinter makes the printer of a format; "" is the one that fits where out
// goes.
func newPrinter(format string, out *output, c columns) (printer, error) {
	if format == "" {
		format = "json"
		if out.terminal {
			format = "table"
		}
	}
	switch format {
	case "json":
		return &jsonPrinter{out: out}, nil
	case "ndjson":
		return &linePrinter{out}, nil
	case "csv":
		return &csvPrinter{out: csv.NewWriter(out), columns: c}, nil
	case "pretty":
		return &yamlPrinter{out: out}, nil
	case "table":
		return &tablePrinter{out: out, columns: c}, nil
	}
	return nil, &usageError{fmt.Errorf("--output must be one of %s, not %q", strings.Join(formats(), ", "), format)}
}

// jsonPrinter prints an array, each row on a line.
type jsonPrinter struct {
	out  *output
	rows int
}

func (p *jsonPrinter) row(json []byte) error {
	lead := ",\n"
	if p.rows == 0 {
		lead = "[\n"
	}
	p.rows++
	_, _ = p.out.WriteString(lead) // an error stays for the next write
	if _, err := p.out.Write(json); err != nil {
		return err
	}
	return p.out.done()
}

func (p *jsonPrinter) end(whole bool) error {
	switch {
	case !whole: // nobody shall take a part for the whole
		if p.rows > 0 {
			return p.out.WriteByte('\n')
		}
		return nil
	case p.rows == 0:
		_, _ = p.out.WriteString("[")
	default:
		_, _ = p.out.WriteString("\n")
	}
	_, err := p.out.WriteString("]\n")
	return err
}

// linePrinter prints each row on a line.
type linePrinter struct{ out *output }

func (p *linePrinter) row(json []byte) error {
	_, _ = p.out.Write(json) // an error stays for the next write
	if err := p.out.WriteByte('\n'); err != nil {
		return err
	}
	return p.out.done()
}

func (p *linePrinter) end(bool) error { return nil }

// columns takes rows apart into cells, in the order of the first row.
type columns struct {
	first string   // the name of the column that comes first, if there is one
	known []string // what the names will be, if that is known
	names []string
}

// named settles the names.
func (c *columns) named(names []string) {
	c.names = slices.Clone(names)
	if i := slices.Index(names, c.first); i > 0 {
		c.names = append([]string{c.first}, slices.Delete(c.names, i, i+1)...)
	}
}

// cell is one value: its text, and whether it is a number.
type cell struct {
	text   string
	number bool
}

// cells are those of a row; a row that is no object is one cell.
func (c *columns) cells(row []byte) ([]cell, error) {
	dec := json.NewDecoder(bytes.NewReader(row))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		if c.names == nil {
			c.names = []string{"value"}
			if len(c.known) == 1 {
				c.names = c.known
			}
		}
		v, err := cellOf(row)
		return []cell{v}, err
	}
	var names []string
	var vals []cell
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, err
		}
		v, err := cellOf(raw)
		if err != nil {
			return nil, err
		}
		names, vals = append(names, fmt.Sprint(key)), append(vals, v)
	}
	if c.names == nil {
		c.named(names)
	}
	return c.arranged(names, vals), nil
}

// arranged puts values under the names of the first row. Rows of an answer all
// have the same.
func (c *columns) arranged(names []string, vals []cell) []cell {
	if slices.Equal(names, c.names) {
		return vals
	}
	out := make([]cell, len(c.names))
	for i, n := range c.names {
		if at := slices.Index(names, n); at >= 0 {
			out[i] = vals[at]
		}
	}
	return out
}

// cellOf is a JSON value as text: null is nothing, what has parts stays JSON.
func cellOf(raw []byte) (cell, error) {
	raw = bytes.TrimSpace(raw)
	switch raw[0] {
	case 'n':
		return cell{}, nil
	case '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return cell{text: s}, err
	case '{', '[', 't', 'f':
		return cell{text: string(raw)}, nil
	}
	return cell{string(raw), true}, nil
}

// csvPrinter prints comma-separated values, RFC 4180.
type csvPrinter struct {
	out *csv.Writer
	columns
	begun bool
}

func (p *csvPrinter) row(json []byte) error {
	cells, err := p.cells(json)
	if err != nil {
		return err
	}
	if !p.begun {
		p.begun = true
		if err := p.out.Write(p.names); err != nil {
			return err
		}
	}
	record := make([]string, len(cells))
	for i, c := range cells {
		record[i] = c.text
	}
	return p.out.Write(record)
}

// end writes the names alone, if they are known, when there are no rows.
func (p *csvPrinter) end(whole bool) error {
	if !p.begun && whole && p.known != nil {
		p.named(p.known)
		if err := p.out.Write(p.names); err != nil {
			return err
		}
	}
	p.out.Flush()
	return p.out.Error()
}

// tableRows is from how many rows, or bytes, the widths of columns are made.
// Later rows do not change them: they may be many.
const (
	tableRows  = 1000
	tableBytes = 1 << 20
)

// tablePrinter prints columns.
type tablePrinter struct {
	out *output
	columns
	held   [][]cell // until the widths are known
	bytes  int
	widths []int
	right  []bool
}

func (p *tablePrinter) row(json []byte) error {
	cells, err := p.cells(json)
	if err != nil {
		return err
	}
	for i := range cells {
		cells[i].text = oneLine(cells[i].text)
	}
	if p.widths != nil {
		return p.line(cells)
	}
	p.held = append(p.held, cells)
	if p.bytes += len(json); len(p.held) < tableRows && p.bytes < tableBytes {
		return nil
	}
	return p.release()
}

// release prints what was held back.
func (p *tablePrinter) release() error {
	head := make([]cell, len(p.names))
	p.widths, p.right = make([]int, len(p.names)), make([]bool, len(p.names))
	for i, n := range p.names {
		head[i].text = oneLine(n)
		p.widths[i] = utf8.RuneCountInString(n)
		p.right[i] = true
		for _, row := range p.held {
			p.widths[i] = max(p.widths[i], utf8.RuneCountInString(row[i].text))
			p.right[i] = p.right[i] && (row[i].number || row[i].text == "")
		}
	}
	for _, row := range append([][]cell{head}, p.held...) {
		if err := p.line(row); err != nil {
			return err
		}
	}
	p.held = nil
	return nil
}

func (p *tablePrinter) line(row []cell) error {
	var b strings.Builder
	for i, c := range row {
		if i > 0 {
			b.WriteString("  ")
		}
		pad := strings.Repeat(" ", max(0, p.widths[i]-utf8.RuneCountInString(c.text)))
		if p.right[i] {
			b.WriteString(pad + c.text)
		} else {
			b.WriteString(c.text + pad)
		}
	}
	_, err := p.out.WriteString(fit(strings.TrimRight(b.String(), " "), p.out.width) + "\n")
	return err
}

func (p *tablePrinter) end(whole bool) error {
	switch {
	case p.names == nil && whole:
		_, err := p.out.WriteString("No rows.\n")
		return err
	case p.widths == nil && p.names != nil:
		return p.release()
	}
	return nil
}

// planPrinter prints the answer to --explain: Dalang's plan is lines of text,
// others' are JSON.
type planPrinter struct{ out *output }

func (p *planPrinter) row(row []byte) error {
	var plan struct {
		Lines []string `json:"query plan"`
		SQL   string   `json:"sql"`
	}
	if json.Unmarshal(row, &plan) != nil {
		var b bytes.Buffer
		if err := json.Indent(&b, row, "", "  "); err != nil {
			return err
		}
		_, err := p.out.WriteString(b.String() + "\n")
		return err
	}
	_, err := p.out.WriteString(plain(strings.Join(plan.Lines, "\n")+"\n\n"+plan.SQL) + "\n")
	return err
}

func (p *planPrinter) end(bool) error { return nil }
