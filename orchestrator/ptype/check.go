package ptype

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

// Mismatch says where a value is not of its type. It shows numbers, strings and
// keys of hashes, in Path and Got; that of CheckSecret shows nothing of the value.
type Mismatch struct {
	Path     string // within the value: "", "[3]", "['key'][0]"
	Expected string // the type, or what of it was missed
	Got      string // the value's own type; if that is right, the value or its size
	miss     string // what a value misses whose own type is right; "" else
}

func (m *Mismatch) Error() string {
	where := ""
	if m.Path != "" {
		where = " at " + m.Path
	}
	return fmt.Sprintf("expected %s%s, got %s", m.Expected, where, m.Got)
}

// Check tells whether v is of the type; else its error is a *Mismatch.
func (t *Type) Check(v any) error {
	if m := t.check(v, ""); m != nil {
		return m
	}
	return nil
}

func mismatch(t *Type, v any, path string) *Mismatch {
	got, miss := t.missed(v)
	return &Mismatch{path, t.text, got, miss}
}

// missed is Mismatch's Got and miss of a value that is not of the type.
func (t *Type) missed(v any) (got, miss string) {
	own := kind(v)
	of := func(kinds ...string) bool { return slices.Contains(kinds, t.name) }
	switch v := v.(type) {
	case bool:
		if of("Boolean") {
			return fmt.Sprint(v), "the other Boolean"
		}
	case json.Number:
		if of("Numeric", own) {
			return shortened(string(v)), own + " out of range"
		}
	case string:
		switch {
		case of("Enum"):
			return "'" + shortened(v) + "'", "String that is none of these"
		case of("Pattern"):
			return "'" + shortened(v) + "'", "String that does not match"
		case of("String"):
			return fmt.Sprintf("String of length %d", utf8.RuneCountInString(v)), "String of another length"
		}
	case []any:
		if of("Array", "Tuple", "Collection") {
			return fmt.Sprintf("Array of size %d", len(v)), "Array of another size"
		}
	case map[string]any:
		if of("Hash", "Collection") {
			return fmt.Sprintf("Hash of size %d", len(v)), "Hash of another size"
		}
	}
	return own, ""
}

// shortened is the beginning of a long value.
func shortened(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) > most {
		return string([]rune(s)[:most]) + "…"
	}
	return s
}

// kind is the name of a value's type.
func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "Undef"
	case bool:
		return "Boolean"
	case json.Number:
		if isInteger(v) {
			return "Integer"
		}
		return "Float"
	case string:
		return "String"
	case []any:
		return "Array"
	case map[string]any:
		return "Hash"
	}
	return fmt.Sprintf("%T", v)
}

func isInteger(n json.Number) bool { return !strings.ContainsAny(string(n), ".eE") }

func (t *Type) check(v any, path string) *Mismatch {
	ok := true
	switch t.name {
	case "Data", "RichData", "Any":
	case "Undef":
		ok = v == nil
	case "Default":
		ok = v == "default"
	case "Boolean":
		b, is := v.(bool)
		ok = is && (t.truth == nil || *t.truth == b)
	case "Scalar", "ScalarData", "RichDataKey":
		ok = slices.Contains([]string{"Boolean", "Integer", "Float", "String"}, kind(v))
	case "Numeric", "Integer", "Float":
		ok = t.number(v)
	case "String":
		s, is := v.(string)
		ok = is && t.sized(utf8.RuneCountInString(s))
	case "Enum":
		s, is := v.(string)
		ok = is && (len(t.words) == 0 || slices.ContainsFunc(t.words, func(w string) bool { return w == s || t.anyCase && strings.EqualFold(w, s) }))
	case "Pattern":
		ok = t.matches(v)
	case "Regexp", "Timestamp", "Timespan", "SemVer", "SemVerRange", "Binary", "URI", "Target":
		_, ok = v.(string)
	case "Error":
		_, ok = v.(map[string]any)
	case "TargetSpec":
		ok = targets(v, 0)
	case "Optional", "NotUndef", "Sensitive", "Variant":
		return t.wrapped(v, path)
	case "Array", "Tuple", "Hash", "Struct", "Collection":
		return t.structured(v, path)
	}
	if ok {
		return nil
	}
	return mismatch(t, v, path)
}

// wrapped checks the types that are about another one.
func (t *Type) wrapped(v any, path string) *Mismatch {
	switch t.name {
	case "Optional":
		if v == nil {
			return nil
		}
	case "NotUndef":
		if v == nil {
			return mismatch(t, v, path)
		}
	}
	if len(t.of) == 0 {
		return nil
	}
	var deepest, nearest *Mismatch // nearest: of the right kind
	for _, o := range t.of {
		m := o.check(v, path)
		if m == nil {
			return nil
		}
		if deepest == nil || len(m.Path) > len(deepest.Path) {
			deepest = m
		}
		if nearest == nil && len(m.Path) == len(path) && m.miss != "" {
			nearest = m
		}
	}
	switch {
	case len(deepest.Path) > len(path):
		return deepest // some alternative had the right shape
	case nearest != nil:
		return &Mismatch{path, t.text, nearest.Got, nearest.miss}
	}
	return mismatch(t, v, path)
}

// structured checks the types of containers.
func (t *Type) structured(v any, path string) *Mismatch {
	list, isList := v.([]any)
	hash, isHash := v.(map[string]any)
	size := len(list) + len(hash)
	switch {
	case t.name == "Collection":
		if (isList || isHash) && t.sized(size) {
			return nil
		}
	case t.name == "Array" && isList && t.sized(size):
		return t.elements(list, path)
	case t.name == "Tuple" && isList && t.tupleSized(size):
		return t.elements(list, path)
	case t.name == "Hash" && isHash && t.sized(size):
		return t.members(hash, path)
	case t.name == "Struct" && isHash:
		return t.record(hash, path)
	}
	return mismatch(t, v, path)
}

func (t *Type) elements(list []any, path string) *Mismatch {
	if len(t.of) == 0 {
		return nil
	}
	for i, e := range list {
		of := t.of[0]
		if t.name == "Tuple" {
			of = t.of[min(i, len(t.of)-1)]
		}
		if m := of.check(e, fmt.Sprintf("%s[%d]", path, i)); m != nil {
			return m
		}
	}
	return nil
}

func sortedKeys(hash map[string]any) []string {
	keys := make([]string, 0, len(hash))
	for k := range hash {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func (t *Type) members(hash map[string]any, path string) *Mismatch {
	if len(t.of) == 0 {
		return nil
	}
	for _, k := range sortedKeys(hash) {
		if m := t.of[0].check(k, fmt.Sprintf("%s (key '%s')", path, k)); m != nil {
			return m
		}
		if m := t.of[1].check(hash[k], fmt.Sprintf("%s['%s']", path, k)); m != nil {
			return m
		}
	}
	return nil
}

func (t *Type) record(hash map[string]any, path string) *Mismatch {
	known := map[string]bool{}
	for _, f := range t.fields {
		known[f.name] = true
		v, given := hash[f.name]
		if !given {
			if f.optional {
				continue
			}
			return &Mismatch{path, fmt.Sprintf("%s with the key '%s'", t.text, f.name), "Hash without it", "another Hash"}
		}
		if v == nil && f.optional {
			continue
		}
		if m := f.typ.check(v, fmt.Sprintf("%s['%s']", path, f.name)); m != nil {
			return m
		}
	}
	for _, k := range sortedKeys(hash) {
		if !known[k] {
			return &Mismatch{path, t.text, fmt.Sprintf("Hash with the key '%s'", shortened(k)), "another Hash"}
		}
	}
	return nil
}

// number checks numbers of any size exactly.
func (t *Type) number(v any) bool {
	n, ok := v.(json.Number)
	if !ok || t.name == "Integer" && !isInteger(n) || t.name == "Float" && isInteger(n) {
		return false
	}
	if t.low == nil && t.high == nil {
		return true
	}
	f, _, err := big.ParseFloat(string(n), 10, 200, big.ToNearestEven)
	return err == nil && (t.low == nil || f.Cmp(t.low) >= 0) && (t.high == nil || f.Cmp(t.high) <= 0)
}

// sized checks a length against the bounds.
func (t *Type) sized(n int) bool {
	f := big.NewFloat(float64(n))
	return (t.low == nil || f.Cmp(t.low) >= 0) && (t.high == nil || f.Cmp(t.high) <= 0)
}

// tupleSized: without bounds a tuple has as many elements as types.
func (t *Type) tupleSized(n int) bool {
	if t.low == nil && t.high == nil {
		return n == len(t.of) || len(t.of) == 0
	}
	return t.sized(n)
}

func (t *Type) matches(v any) bool {
	s, ok := v.(string)
	return ok && slices.ContainsFunc(t.regexes, func(re *regexp2.Regexp) bool {
		found, err := re.MatchString(s)
		return err == nil && found
	})
}

// targets: a name, or lists of them, however deep.
func targets(v any, depth int) bool {
	switch v := v.(type) {
	case string:
		return true
	case []any:
		return depth < maxDepth && !slices.ContainsFunc(v, func(e any) bool { return !targets(e, depth+1) })
	}
	return false
}
