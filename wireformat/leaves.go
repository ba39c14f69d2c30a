package wireformat

import (
	"strconv"
	"strings"
)

// Types of a leaf, by upstream's numbers. Spec commands.md §6.3.
const (
	LeafString = iota
	LeafInteger
	LeafFloat
	LeafBoolean
	LeafNull
)

// Leaf is a scalar inside a fact. Empty objects and arrays have none.
type Leaf struct {
	Encoded string // path as text: elements joined by #~
	Type    int    // one of the Leaf constants
	Path    JSON   // path as an array of keys (strings) and indexes (integers)
	Depth   int    // 0 for a top-level scalar
	Value   JSON
	Num     float64 // of integers and floats
	IsNum   bool
}

// Leaves calls yield for each leaf of a top-level fact until it returns false.
// value must be canonical.
func Leaves(name string, value JSON, yield func(Leaf) bool) {
	w := &leafWalk{yield: yield}
	w.b = value
	w.path = appendString([]byte("["), name)
	w.encoded = append(w.encoded, encodeElement(name)...)
	w.walk(0)
}

// leafWalk visits the scalars of a canonical value.
type leafWalk struct {
	scanner
	path    []byte // "[" and elements; "]" is added for each leaf
	encoded []byte
	yield   func(Leaf) bool
	done    bool
}

func (w *leafWalk) walk(depth int) {
	switch c := w.next(); {
	case c == '{':
		w.object(func(key []byte) {
			w.below(depth, appendString(nil, key), encodeElement(string(key)))
		})
	case c == '[':
		w.array(func(n int) {
			index := strconv.Itoa(n)
			w.below(depth, []byte(index), index)
		})
	default:
		w.leaf(depth)
	}
}

func (w *leafWalk) below(depth int, element []byte, encoded string) {
	path, text := len(w.path), len(w.encoded)
	w.path = append(append(w.path, ','), element...)
	w.encoded = append(append(w.encoded, "#~"...), encoded...)
	w.walk(depth + 1)
	w.path, w.encoded = w.path[:path], w.encoded[:text]
}

func (w *leafWalk) leaf(depth int) {
	start, kind := w.i, LeafNull
	switch c := w.b[w.i]; {
	case c == '"':
		kind = LeafString
		w.span()
	case c == 't' || c == 'f':
		kind = LeafBoolean
		w.skip()
	case c == 'n':
		w.skip()
	default:
		kind = LeafFloat
		if _, integer := w.number(); integer {
			kind = LeafInteger
		}
	}
	if w.done {
		return
	}
	leaf := Leaf{Encoded: string(w.encoded), Type: kind, Depth: depth, Value: JSON(w.b[start:w.i])}
	leaf.Path = append(append(make(JSON, 0, len(w.path)+1), w.path...), ']')
	if kind == LeafInteger || kind == LeafFloat {
		leaf.Num, _ = strconv.ParseFloat(string(leaf.Value), 64)
		leaf.IsNum = true
	}
	w.done = !w.yield(leaf)
}

// EncodeFactPath joins path elements, keys (string) and indexes (int), into
// upstream's text form of a fact path. Spec commands.md §6.3.
func EncodeFactPath(path []any) string {
	parts := make([]string, len(path))
	for i, element := range path {
		switch e := element.(type) {
		case string:
			parts[i] = encodeElement(e)
		case int:
			parts[i] = strconv.Itoa(e)
		}
	}
	return strings.Join(parts, "#~")
}

// encodeElement quotes keys that look like indexes, the empty one too, and
// escapes the separator, also where backslashes stand in and before it.
func encodeElement(key string) string {
	if _, isNumber := number(key); isNumber || key == "" {
		return `"` + key + `"`
	}
	if strings.IndexByte(key, '#') < 0 || strings.IndexByte(key, '~') < 0 {
		return key
	}
	var b strings.Builder
	done := 0 // what precedes it is written
	for i := 0; i < len(key); i++ {
		if key[i] != '#' {
			continue
		}
		end := i + 1
		for end < len(key) && key[end] == '\\' {
			end++
		}
		if end == len(key) || key[end] != '~' {
			continue
		}
		start := i
		if i > done && key[i-1] == '\\' {
			start--
		}
		b.WriteString(key[done:start] + `\` + key[start:i+1] + `\` + key[i+1:end+1])
		done, i = end+1, end
	}
	return b.String() + key[done:]
}
