package wireformat

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// maxProblems bounds what one Error reports.
const maxProblems = 100

// Decode reads the plain JSON body of a command, brings it up to the latest
// version of its wire format and validates it. received is when the command
// was accepted; old versions that carry no time take it over. The payload does
// not alias body. Errors are *Error: the command's own fault. Spec commands.md §2, §3.
func Decode(cmd Command, version int, received time.Time, body []byte) (Payload, error) {
	return decode(cmd, version, received, body, nil)
}

func decode(cmd Command, version int, received time.Time, body []byte, watch *textWatch) (payload Payload, err error) {
	known, ok := Lookup(string(cmd))
	if !ok {
		return nil, &Error{Cause: CauseVersion, Message: fmt.Sprintf("Unsupported command %s version %d", cmd, version)}
	}
	if version < known.Oldest || version > known.Latest {
		return nil, unknownVersion(cmd, version)
	}
	d := newDecoder(version, received.UTC().Truncate(time.Millisecond), body)
	defer d.release()
	defer recoverSyntax(&err)
	if d.next() == 0 && d.i >= len(d.b) { // an empty body is null
		d.b, d.i = []byte("null"), 0
	}
	switch cmd {
	case ReplaceFacts:
		payload = d.facts()
	case ReplaceCatalog:
		payload = d.catalog(watch)
	case StoreReport:
		payload = d.report()
	case DeactivateNode:
		payload = d.deactivate()
	case ConfigureExpiration:
		payload = d.expiration()
	case ReplaceCatalogInputs:
		payload = d.catalogInputs()
	}
	if len(d.problems) > 0 {
		return nil, &Error{Cause: CauseValidation, Message: fmt.Sprintf("Invalid %s command", cmd), Problems: d.problems}
	}
	return payload, nil
}

func unknownVersion(cmd Command, version int) *Error {
	message := fmt.Sprintf("Unsupported command %s version %d", cmd, version)
	if cmd == ReplaceCatalog {
		message = fmt.Sprintf("Unknown catalog version '%d'", version)
	}
	return &Error{Cause: CauseVersion, Message: message}
}

// decoder reads typed values and notes what is wrong with them, going on
// behind each so that all problems come to light.
type decoder struct {
	canonicalizer
	memory
	version  int
	received time.Time
	path     []step
	problems []Problem
	spelling string // of the last UUID
	canon    []byte // scratch of a canonical value
	graph    graph  // scratch of a catalog

	strings1  []string // scratch of lists
	facts1    []Fact
	packages1 []Package
}

func newDecoder(version int, received time.Time, body []byte) *decoder {
	d := decoders.Get().(*decoder)
	d.b, d.i, d.depth = body, 0, 0
	d.members, d.path, d.problems = d.members[:0], d.path[:0], nil
	d.version, d.received, d.moved, d.slashes = version, received, 0, false
	return d
}

// scratchLimit is how much scratch space a pooled decoder keeps.
const scratchLimit = 4 << 20

// release puts d back into the pool. Nothing of the payload may use scratch.
func (d *decoder) release() {
	if cap(d.canonicalizer.text)+cap(d.sorting)+cap(d.canon)+
		16*cap(d.strings1)+48*cap(d.facts1)+48*cap(d.packages1)+d.graph.size() > scratchLimit {
		return
	}
	d.b, d.problems = nil, nil
	d.memory.release()
	d.graph.release()
	clear(d.strings1[:cap(d.strings1)])
	clear(d.facts1[:cap(d.facts1)])
	clear(d.packages1[:cap(d.packages1)])
	decoders.Put(d)
}

// step is one element of a JSON path: a key or, where key is empty, an index.
type step struct {
	key   string
	index int
}

func (d *decoder) problem(format string, args ...any) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, Problem{Path: d.where(), Message: fmt.Sprintf(format, args...)})
	}
}

func (d *decoder) where() string {
	var b strings.Builder
	b.WriteByte('$')
	for _, s := range d.path {
		switch {
		case s.key == "":
			fmt.Fprintf(&b, "[%d]", s.index)
		case simpleKey(s.key):
			b.WriteString("." + s.key)
		default:
			fmt.Fprintf(&b, "[%q]", s.key)
		}
	}
	return b.String()
}

func simpleKey(key string) bool {
	for i := range len(key) {
		if c := key[i]; c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !digit(c) {
			return false
		}
	}
	return true
}

// wrongType notes that the value is not what was wanted, and skips it.
func (d *decoder) wrongType(wanted string) {
	d.problem("must be %s, not %s", wanted, d.typeName())
	d.skip()
}

func (d *decoder) typeName() string {
	switch c := d.next(); {
	case c == '{':
		return "an object"
	case c == '[':
		return "an array"
	case c == '"':
		return "a string"
	case c == 't' || c == 'f':
		return "a boolean"
	case c == 'n':
		return "null"
	case c == '-' || digit(c):
		return "a number"
	}
	return "nothing"
}

// null reads a null, if one is here.
func (d *decoder) null() bool {
	if d.next() != 'n' {
		return false
	}
	d.literal("null")
	return true
}

// fields describes a map with known keys.
type fields struct {
	names    []string // bit i stands for names[i]
	required uint64   // bits of the keys that must be there
	read     func(field int)
	lax      bool // an unknown key is no problem
	alias    func(key []byte) []byte
	order    [16]uint8 // the field that came n-th last time, to look there first
}

// find gives the field that a key names, or -1.
func (f *fields) find(key []byte, n int) int {
	if n < len(f.order) {
		if i := int(f.order[n]); i < len(f.names) && string(key) == f.names[i] {
			return i
		}
	}
	for i, name := range f.names {
		if string(key) == name {
			if n < len(f.order) {
				f.order[n] = uint8(i)
			}
			return i
		}
	}
	return -1
}

// record reads an object by its fields; it reports whether an object was there.
func (d *decoder) record(f *fields) bool {
	if d.next() != '{' {
		d.wrongType("an object")
		return false
	}
	var seen uint64
	d.enter()
	for n := 0; d.next() != '}'; n++ {
		if n > 0 {
			d.expect(',')
			d.next()
		}
		key := d.key()
		if f.alias != nil {
			key = f.alias(key)
		}
		if i := f.find(key, n); i >= 0 {
			seen |= 1 << i
			d.path = append(d.path, step{key: f.names[i]})
			f.read(i)
			d.path = d.path[:len(d.path)-1]
			continue
		}
		if !f.lax {
			d.problemAt(string(key), "is not a known field")
		}
		d.skip()
	}
	d.i++
	d.depth--
	for missing := f.required &^ seen; missing != 0; missing &= missing - 1 {
		d.problemAt(f.names[bits.TrailingZeros64(missing)], "is required but missing")
	}
	return true
}

// problemAt notes a problem with a member of the object being read.
func (d *decoder) problemAt(key, what string) {
	d.path = append(d.path, step{key: key})
	d.problem("%s", what)
	d.path = d.path[:len(d.path)-1]
}

// list reads an array; null counts as empty, as upstream's schemas have it.
func (d *decoder) list(element func(index int)) (present bool) {
	if d.null() {
		return false
	}
	if d.next() != '[' {
		d.wrongType("an array")
		return false
	}
	d.path = append(d.path, step{})
	d.array(func(n int) {
		d.path[len(d.path)-1].index = n
		element(n)
	})
	d.path = d.path[:len(d.path)-1]
	return true
}

// text reads a string.
func (d *decoder) text() string {
	if d.next() != '"' {
		d.wrongType("a string")
		return ""
	}
	return d.string(d.str())
}

// shared reads a string that is likely to occur again in this payload.
func (d *decoder) shared() string {
	if d.next() != '"' {
		d.wrongType("a string")
		return ""
	}
	return *d.intern(d.str())
}

// optionalText reads a string or null.
func (d *decoder) optionalText() *string {
	if d.null() {
		return nil
	}
	if d.next() != '"' {
		d.wrongType("a string")
		return nil
	}
	return d.intern(d.str())
}

// texts reads a list of strings into scratch space; null gives nil.
func (d *decoder) texts(check func(string)) []string {
	d.strings1 = d.strings1[:0]
	ok := d.list(func(int) {
		s := d.shared()
		if check != nil {
			check(s)
		}
		d.strings1 = append(d.strings1, s)
	})
	if !ok {
		return nil
	}
	if d.strings1 == nil {
		return []string{}
	}
	return d.strings1
}

func (d *decoder) boolean() bool {
	switch d.next() {
	case 't':
		d.literal("true")
		return true
	case 'f':
		d.literal("false")
		return false
	}
	d.wrongType("a boolean")
	return false
}

func (d *decoder) optionalBoolean() *bool {
	if d.null() {
		return nil
	}
	b := d.boolean()
	return &b
}

// integer reads an integer between low and high.
func (d *decoder) integer(low, high int64) int64 {
	if c := d.next(); c != '-' && !digit(c) {
		d.wrongType("an integer")
		return 0
	}
	text, integer := d.number()
	n, err := strconv.ParseInt(string(text), 10, 64)
	if !integer {
		d.problem("must be an integer, not %s", text)
	} else if err != nil || n < low || n > high {
		d.problem("must be between %d and %d, not %s", low, high, text)
	}
	return n
}

func (d *decoder) optionalLine() *int64 {
	if d.null() {
		return nil
	}
	return d.line(d.integer(math.MinInt32, math.MaxInt32))
}

// optionalUUID reads a UUID or null, in any spelling that PostgreSQL takes.
func (d *decoder) optionalUUID() *string {
	if d.null() {
		return nil
	}
	s := d.uuid()
	return &s
}

func (d *decoder) uuid() string {
	if d.next() != '"' {
		d.wrongType("a UUID")
		return ""
	}
	text := string(d.str())
	d.spelling = text
	id, ok := normalUUID(text)
	if !ok {
		d.problem("must be a UUID, not %q", text)
	}
	return id
}

// normalUUID brings a UUID into lower case with dashes: digits in groups of
// four that dashes may separate, braces around them allowed.
func normalUUID(text string) (string, bool) {
	if strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}") && len(text) > 2 {
		text = text[1 : len(text)-1]
	}
	out := make([]byte, 0, 36)
	digits := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '-':
			if digits == 0 || digits%4 != 0 || i == len(text)-1 || text[i-1] == '-' {
				return "", false
			}
			continue
		case digit(c) || c >= 'a' && c <= 'f':
		case c >= 'A' && c <= 'F':
			c += 'a' - 'A'
		default:
			return "", false
		}
		if digits == 8 || digits == 12 || digits == 16 || digits == 20 {
			out = append(out, '-')
		}
		out = append(out, c)
		digits++
	}
	return string(out), digits == 32
}

// anyTime reads a lenient time: epoch milliseconds or one of many formats.
func (d *decoder) anyTime() time.Time {
	switch c := d.next(); {
	case c == '"':
		text := string(d.str())
		t, err := ParseTime(text)
		if err != nil {
			d.problem("%v", err)
		}
		return t
	case c == '-' || digit(c):
		text, _ := d.number()
		ms, err := strconv.ParseFloat(string(text), 64)
		if err != nil || math.Abs(ms) > maxMillis {
			d.problem("must be a time, not %s", text)
			return time.Time{}
		}
		return time.UnixMilli(int64(ms)).UTC()
	}
	d.wrongType("a time")
	return time.Time{}
}

// optionalTime reads a lenient time; null is the zero time.
func (d *decoder) optionalTime() time.Time {
	if d.null() {
		return time.Time{}
	}
	return d.anyTime()
}

// strictTime reads a time as reports must write it.
func (d *decoder) strictTime() time.Time {
	if d.next() != '"' {
		d.wrongType("a time")
		return time.Time{}
	}
	b := d.str()
	t, ok := strictTime(string(b))
	if !ok {
		_, err := ParseStrictTime(string(b))
		d.problem("%v", err)
	}
	return t
}

// value reads any value in canonical form.
func (d *decoder) value() JSON {
	d.canon = d.canonical(d.canon[:0])
	return JSON(d.bytes(d.canon))
}
