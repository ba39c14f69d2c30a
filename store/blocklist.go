package store

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"dalang/wireformat"
)

// Blocklist names facts that are taken out before they are stored. A nil list
// blocks nothing.
type Blocklist struct {
	literal map[string]bool
	regexps []*regexp.Regexp
	paths   [][]string // dotted paths, split
}

// NewBlocklist reads the facts-blocklist setting. kind is "literal" or
// "regex" (which must match a whole top-level name). Beyond PuppetDB, a
// literal entry with a dot or a * is a path into structured facts, whose
// segments may hold *: networking.interfaces.veth*.
func NewBlocklist(entries []string, kind string) (*Blocklist, error) {
	b := &Blocklist{literal: map[string]bool{}}
	for _, entry := range entries {
		switch {
		case entry == "":
		case kind == "regex":
			re, err := regexp.Compile("^(?:" + entry + ")$")
			if err != nil {
				return nil, fmt.Errorf("facts-blocklist: %q is not a regular expression: %w (look-around and back-references are not supported)", entry, err)
			}
			b.regexps = append(b.regexps, re)
		case kind != "" && kind != "literal":
			return nil, fmt.Errorf("facts-blocklist-type must be literal or regex, not %q", kind)
		default:
			b.literal[entry] = true
			if strings.ContainsAny(entry, ".*") {
				segments := strings.Split(entry, ".")
				if slices.Contains(segments, "") {
					return nil, fmt.Errorf("facts-blocklist: %q is not a dotted path", entry)
				}
				b.paths = append(b.paths, segments)
			}
		}
	}
	return b, nil
}

// filter takes blocked facts out of a factset.
func (b *Blocklist) filter(f *wireformat.Facts) {
	if b == nil || len(b.literal)+len(b.regexps) == 0 {
		return
	}
	kept := make([]wireformat.Fact, 0, len(f.Values))
	changed := false
	for _, fact := range f.Values {
		if b.blocks(fact.Name) {
			changed = true
			continue
		}
		if value, cut := b.cut(fact); cut {
			fact.Value, changed = value, true
		}
		kept = append(kept, fact)
	}
	if changed {
		f.SetValues(kept)
	}
}

func (b *Blocklist) blocks(name string) bool {
	if b.literal[name] {
		return true
	}
	for _, re := range b.regexps {
		if re.MatchString(name) {
			return true
		}
	}
	for _, p := range b.paths {
		if len(p) == 1 && matches(p[0], name) {
			return true
		}
	}
	return false
}

// matches tells whether a key is what a pattern describes, in which * stands
// for any text and everything else for itself.
func matches(pattern, key string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return key == pattern
	}
	if !strings.HasPrefix(key, first) {
		return false
	}
	for key = key[len(first):]; ; key = key[1:] {
		if matches(rest, key) {
			return true
		}
		if key == "" {
			return false
		}
	}
}

// cut takes the parts out of a structured fact that paths name.
func (b *Blocklist) cut(f wireformat.Fact) (wireformat.JSON, bool) {
	value, changed := f.Value, false
	for _, p := range b.paths {
		if len(p) > 1 && matches(p[0], f.Name) {
			if cut, ok := cutPath(value, p[1:]); ok {
				value, changed = cut, true
			}
		}
	}
	if !changed {
		return value, false
	}
	canonical, err := wireformat.Canonical(value)
	return canonical, err == nil
}

// cutPath removes the members that a path names from an object. Raw members
// keep their text, so that numbers stay as they are.
func cutPath(value []byte, p []string) (wireformat.JSON, bool) {
	var object map[string]json.RawMessage
	if len(value) == 0 || value[0] != '{' || json.Unmarshal(value, &object) != nil {
		return value, false
	}
	changed := false
	for key, member := range object {
		switch {
		case !matches(p[0], key):
		case len(p) == 1:
			delete(object, key)
			changed = true
		default:
			if cut, ok := cutPath(member, p[1:]); ok {
				object[key], changed = json.RawMessage(cut), true
			}
		}
	}
	if !changed {
		return value, false
	}
	text, err := json.Marshal(object)
	return text, err == nil
}
