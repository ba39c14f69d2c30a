package config

import (
	"fmt"
	"strings"
)

// source is where a value comes from. The zero source is the default.
type source struct {
	file string // with line
	line int
	name string // a flag or a variable, in words
	via  string // the key that this one follows; the rest is that key's
}

// at is the place, without the key; empty for the default.
func (s source) at() string {
	if s.file != "" {
		return fmt.Sprintf("%s:%d", s.file, s.line)
	}
	return s.name
}

// text puts key, and what is known of the place, before a text about key. A
// file's name and line are told apart from the text.
func (s source) text(key, text string) string {
	switch {
	case s.name == "":
		return key + ": " + text
	case strings.HasSuffix(s.name, " "+key): // --set key
		return s.name + ": " + text
	}
	return s.name + ": " + key + ": " + text
}

// String is what `dalang config show` tells.
func (s source) String() string {
	switch {
	case s.via != "":
		return fmt.Sprintf("%s (%s)", s.via, s.at())
	case s.at() == "":
		return originDefault
	}
	return s.at()
}

const originDefault = "default"

// Origin tells where the value of section.key comes from: "default", a file
// with its line, a variable, a flag, or another key and where that comes from.
func (l *Loaded) Origin(key string) string { return l.sources[key].String() }

// Said tells whether somebody said the value of section.key, or that of a
// setting which it follows.
func (l *Loaded) Said(key string) bool { return !l.isDefault(key) }

func (l *Loaded) isDefault(key string) bool { return l.sources[key] == source{} }
