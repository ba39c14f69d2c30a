package main

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

var (
	dottedField = regexp.MustCompile(`\b(facts|trusted)((?:\.[^\s.",\[\]!<=>~(){}]+)*)\.([^\s.",\[\]!<=>~(){}]*)$`)
	plainPart   = regexp.MustCompile(`^[^\s.",\[\]!<=>~(){}]+$`)
)

// pathQuery is what to ask for the parts that may stand at the end of a query,
// behind a dot of a field of inventory, and where that part begins.
func pathQuery(text string) (ask string, at int, ok bool) {
	m := dottedField.FindStringSubmatchIndex(text)
	if m == nil {
		return "", 0, false
	}
	if l, ok := levelAt(text[:m[0]]); !ok || l.entity != "inventory" {
		return "", 0, false
	}
	parts := strings.Split(text[m[2]:], ".")[1:]
	if text[m[2]:m[3]] == "trusted" {
		parts = append([]string{"trusted"}, parts...)
	}
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	pattern, err := json.Marshal("^" + strings.Join(parts, "#~")) // how paths are stored
	if err != nil {
		return "", 0, false
	}
	return `["from","fact_paths",["extract",["path"],["~","path",` + string(pattern) + `]],["limit",2000]]`, m[6], true
}

// places asks the server which parts may follow a dot; a shell has no use for
// errors.
func (c *queryCLI) places(cmd *cobra.Command, text string) (names []string, at int) {
	ask, at, ok := pathQuery(text)
	if !ok {
		return nil, at
	}
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	from, err := c.open(ctx)
	if err != nil {
		cobra.CompDebugln(err.Error(), false)
		return nil, at
	}
	defer from.Close() // read only: nothing to lose
	depth := strings.Count(dottedField.FindString(text), ".") - 1
	if strings.HasPrefix(dottedField.FindString(text), "trusted") {
		depth++
	}
	err = from.ask(ctx, question{text: ask}, func(row []byte) error {
		var r struct{ Path []any }
		if err := json.Unmarshal(row, &r); err != nil {
			return err
		}
		if len(r.Path) > depth {
			if name, ok := r.Path[depth].(string); ok && plainPart.MatchString(name) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		return nil
	})
	if err != nil {
		cobra.CompDebugln(err.Error(), false)
	}
	slices.Sort(names)
	return names, at
}
