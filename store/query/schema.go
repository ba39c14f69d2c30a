package query

import (
	"slices"
	"time"

	"dalang/store/query/ast"
)

// EntityInfo describes an entity to those who make up queries: tests,
// documentation, completion.
type EntityInfo struct {
	Name      string // as in the AST
	Alias     string // in messages
	Fields    []FieldInfo
	Relations []Relation // what an implicit subquery may name
	Node      bool       // rows belong to a node: node_state and ["fact", …] apply
	About     string     // for people, Markdown
}

// FieldInfo describes a field of an entity.
type FieldInfo struct {
	Name      string
	Type      Type
	Queryable bool   // may be compared and ordered by
	Shown     bool   // is part of a row and may be extracted
	NotNull   bool   // is never null
	About     string // for people, Markdown
}

// Entities lists every entity by name, its fields in the order of rows.
func Entities() []EntityInfo { return newCatalogue().infos() }

// Extensions lists the entities that only routes of their own answer for.
func Extensions() []EntityInfo { return extensions().infos() }

// Columns are the names of the columns of the rows that a query at the root asks
// for, in order; nil when it is wrong. bare tells that rows are no objects but
// the values of the only column.
func Columns(q ast.Value) (names []string, bare bool) {
	e := Engine{cfg: Config{Now: time.Now}, entities: newCatalogue()}
	p, err := e.plan(&Request{Query: &q})
	if err != nil {
		return nil, false
	}
	for _, c := range p.cols {
		names = append(names, c.name)
	}
	return names, p.bare()
}

func (c catalogue) infos() []EntityInfo {
	var out []EntityInfo
	for _, e := range c {
		info := EntityInfo{Name: e.Name, Alias: e.Alias, Relations: e.Relations, Node: e.Node, About: about(e.Name)}
		for _, f := range e.Fields {
			info.Fields = append(info.Fields, FieldInfo{f.Name, f.Type, f.Queryable, f.Shown, f.NotNull, aboutField(e.Name, f.Name)})
		}
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b EntityInfo) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return out
}

// String is the name of a type for people.
func (t Type) String() string {
	switch t {
	case Int:
		return "integer"
	case Bool, Flag:
		return "boolean"
	case Time, Stamp:
		return "timestamp"
	case Tags:
		return "array of strings"
	case Pairs:
		return "array of pairs of strings"
	case Value, Encoded:
		return "any JSON"
	case Document:
		return "object"
	case Raw:
		return "JSON"
	case Path, LeafPath:
		return "path"
	}
	return "string"
}
