package main

import (
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"dalang/store/query"
	"dalang/store/query/ast"
)

// completePQL suggests entities and fields, wherever a query in PQL stands.
// A shell hands over the word before the cursor, and as arguments the words
// before it when the query has blanks and no quotes.
func (c *queryCLI) completePQL(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if strings.HasPrefix(word, "@") && len(args) == 0 {
		return nil, cobra.ShellCompDirectiveDefault // a file
	}
	if len(args) == 0 {
		word = strings.TrimLeft(word, `'"`) // fish hands over the open quote
	}
	before := ""
	if len(args) > 0 {
		before = strings.Join(args, " ") + " "
	}
	var out []string
	names, at := suggestions(before + word)
	if names == nil {
		names, at = c.places(cmd, before+word)
	}
	for _, n := range names {
		name, about, _ := strings.Cut(n, "\t")
		whole := (before + word)[:at] + name
		if rest, ok := strings.CutPrefix(whole, before); ok {
			out = append(out, strings.TrimSuffix(rest+"\t"+about, "\t"))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeOrder suggests the fields that the query's rows can be sorted by.
func completeOrder(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	var out []string
	if len(args) > 0 {
		name := leadingName.FindString(strings.TrimSpace(args[0]))
		out = fieldsOf(name, func(f query.FieldInfo) bool { return f.Queryable })
		if strings.HasPrefix(word, "-") {
			for i := range out {
				out[i] = "-" + out[i]
			}
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

var (
	leadingName  = regexp.MustCompile(`^[a-z_]+`)
	trailingWord = regexp.MustCompile(`[A-Za-z0-9_]*$`)
	textLiteral  = regexp.MustCompile(`'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"`)
	openLiteral  = regexp.MustCompile(`['"][^'"]*$`)
)

// suggestions are what may stand at the end of a query, each with a tab and what
// it is, and the offset at which the word begins that they complete.
func suggestions(text string) (names []string, at int) {
	word := trailingWord.FindString(text)
	at = len(text) - len(word)
	level, ok := levelAt(text[:at])
	if !ok || at > 0 && text[at-1] == '.' {
		return nil, at
	}
	if level.in == '{' {
		if next := afterField(level.entity, text[:at]); next != nil {
			return slices.DeleteFunc(next, func(n string) bool { return !strings.HasPrefix(n, word) }), at
		}
	}
	add := func(list ...string) {
		for _, n := range list {
			if strings.HasPrefix(n, word) {
				names = append(names, n)
			}
		}
	}
	switch level.in {
	case 0:
		if strings.TrimSpace(text[:at]) == "" {
			for _, e := range query.Entities() {
				add(e.Name+"[\tchoose fields", e.Name+"{\tall fields")
			}
		}
	case '[':
		add(fieldsOf(level.entity, func(f query.FieldInfo) bool { return f.Shown })...)
		for _, fn := range []string{"avg", "count", "max", "min", "sum", "to_string"} {
			add(fn + "(\tfunction")
		}
	case '{':
		add(fieldsOf(level.entity, func(f query.FieldInfo) bool { return f.Queryable })...)
		for _, r := range relationsOf(level.entity) {
			add(r + "{\tsubquery")
		}
		add("group by\tkeyword", "limit\tkeyword", "offset\tkeyword", "order by\tkeyword")
	}
	return names, at
}

var (
	lastName = regexp.MustCompile(`[^\s{}()\[\],=<>!~"']+$`)
	sortList = regexp.MustCompile(`\b(order|group) by [^{}]*$`)
)

// afterField are the words that may follow a field of an entity and white space;
// nil: something else stands there.
func afterField(entity, text string) []string {
	before := strings.TrimRight(text, " \t\n")
	name := lastName.FindString(before)
	if before == text || name == "" {
		return nil
	}
	fields := fieldsOf(entity, func(f query.FieldInfo) bool { return f.Queryable || f.Type == query.Document })
	top, _, dotted := strings.Cut(name, ".")
	at := slices.IndexFunc(fields, func(f string) bool { return strings.HasPrefix(f, top+"\t") })
	if at < 0 || dotted != (dotted && strings.HasSuffix(fields[at], "\t"+query.Document.String())) {
		return nil
	}
	if m := sortList.FindStringSubmatch(before); m != nil && m[1] == "order" {
		return []string{"asc\tupwards", "desc\tdownwards"}
	} else if m != nil {
		return []string{}
	}
	ops := []string{"=\tequals", "!=\tdoes not", "~\tmatches", "!~\tdoes not", "<\tless", "<=\tat most", ">\tgreater", ">=\tat least",
		"in\tone of", "is null\thas no value", "is not null\thas one"}
	if name == "path" {
		ops = append(ops, "~>\tmatches, part by part")
	}
	return ops
}

// level is the bracket that a place in a query stands in.
type level struct {
	in     byte // [ { or 0: none
	entity string
}

// levelAt finds out where the end of a text stands; not ok: within a literal.
func levelAt(text string) (level, bool) {
	text = textLiteral.ReplaceAllStringFunc(text, func(s string) string { return strings.Repeat("_", len(s)) })
	if openLiteral.MatchString(text) {
		return level{}, false
	}
	var open []level
	last := "" // the entity whose projection has just ended
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '[', '{':
			name := trailingWord.FindString(strings.TrimRight(text[:i], " \t\n"))
			if !isEntity(name) {
				name = last
			}
			if name == "" && len(open) > 0 { // a list of values, or of fields before in
				name = open[len(open)-1].entity
			}
			open = append(open, level{c, name})
		case ']', '}':
			if len(open) > 0 {
				last = open[len(open)-1].entity
				open = open[:len(open)-1]
			}
			continue
		case ' ', '\t', '\n':
			continue
		}
		last = ""
	}
	if len(open) == 0 {
		return level{}, true
	}
	return open[len(open)-1], true
}

func isEntity(name string) bool {
	return slices.ContainsFunc(query.Entities(), func(e query.EntityInfo) bool { return e.Name == name })
}

// fieldsOf lists fields of an entity with their types.
func fieldsOf(entity string, want func(query.FieldInfo) bool) (out []string) {
	for _, e := range query.Entities() {
		for _, f := range e.Fields {
			if e.Name == entity && want(f) {
				out = append(out, f.Name+"\t"+f.Type.String())
			}
		}
	}
	slices.Sort(out)
	return out
}

func relationsOf(entity string) (out []string) {
	for _, e := range query.Entities() {
		for _, r := range e.Relations {
			if e.Name == entity {
				out = append(out, r.Target)
			}
		}
	}
	slices.Sort(out)
	return out
}

// columnsOf is what is known of an answer's columns beforehand. A table of all
// fields begins with what a row is about; a query that chooses its fields has
// chosen their order.
func columnsOf(q question) (c columns) {
	v, err := parseQuery(q.text)
	if err != nil || v.Kind != ast.Array || q.explain {
		return c
	}
	c.first = "certname"
	for _, x := range v.Items {
		if head, ok := x.Head(); ok && head == "extract" && len(x.Items) > 1 && len(x.Items[1].Items) > 0 {
			c.first = ""
		}
	}
	c.known, _ = query.Columns(v)
	return c
}
