package pql

import (
	"fmt"
	"slices"
	"strings"

	"dalang/store/query/ast"
)

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

// hint explains what people write most often by mistake.
func (p *parser) hint() string {
	at := min(max(p.far, 0), len(p.src))
	before, rest := p.src[:at], p.src[at:]
	word := rest[:len(rest)-len(strings.TrimLeft(rest, letters))]
	switch lower := strings.ToLower(word); {
	case p.unclosed >= 0 && at == len(p.src):
		begin := p.at(p.unclosed)
		return fmt.Sprintf("the closing quote is missing of the string that begins at line %d, column %d", begin.Line, begin.Column)
	case lower == "null" && slices.Contains(p.expected, "true"):
		return "nothing equals null: write 'is null' or 'is not null' instead"
	case lower != word && slices.Contains(p.expected, lower):
		return "keywords are written in lower case: did you mean '" + lower + "'?"
	case strings.HasPrefix(rest, "=="), strings.HasPrefix(rest, "<>"), strings.HasPrefix(rest, "&&"), strings.HasPrefix(rest, "||"):
		return "comparisons are = != ~ !~ < <= > >= in; conditions are joined by and, or, !"
	case slices.Contains(p.expected, "nodes"):
		return nearestEntity(word)
	case p.named[1] == at && word != "": // part of it is an entity
		return nearestEntity(p.src[p.named[0]:at] + word)
	case strings.HasPrefix(rest, "{"):
		return nearestEntity(before[len(strings.TrimRight(before, letters)):])
	}
	return ""
}

func nearestEntity(word string) string {
	name := strings.ReplaceAll(strings.ToLower(word), "-", "_")
	switch {
	case word == "":
		return ""
	case name != word && slices.Contains(entities(), name):
		return "did you mean '" + name + "'?"
	}
	return ast.DidYouMean(name, entities())
}
