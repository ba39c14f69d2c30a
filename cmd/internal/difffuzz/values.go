package difffuzz

import (
	"slices"

	"dalang/store/query"
	"dalang/store/query/ast"
)

// values is what the corpus holds, by entity and field: queries that find
// nothing compare nothing.
type values struct {
	entities []query.EntityInfo
	of       map[string][]ast.Value // "entity.field"
	facts    [][]string             // paths of facts, top level and below
	params   [][]string             // paths of resource parameters
	leaves   []leaf                 // what is where in facts
	volatile map[string]bool        // fields with values that a server makes up
}

// leaf is a value of a fact under its last key.
type leaf struct {
	key   string
	value ast.Value
}

const maxValues = 80

// harvest collects values from a server that holds the corpus.
func harvest(local *Local, madeUp map[string]string) (*values, error) {
	v := &values{entities: query.Entities(), of: map[string][]ast.Value{}, volatile: map[string]bool{}}
	ours := map[string]bool{}
	for _, s := range madeUp {
		ours[s] = true
	}
	for _, e := range v.entities {
		q := ast.List(ast.Str("from"), ast.Str(e.Name))
		if e.Node {
			q.Items = append(q.Items, ast.List(ast.Str("="), ast.Str("node_state"), ast.Str("any")))
		}
		if e.Name == "fact_names" { // rows are bare there
			continue
		}
		list, err := rows(local.Ask, &Request{Query: &q})
		if err != nil {
			return nil, err
		}
		step := max(len(list)/1500, 1)
		for i := 0; i < len(list); i += step {
			for name, raw := range list[i] {
				x, err := ast.Read(string(raw))
				if err != nil {
					return nil, err
				}
				v.add(e.Name+"."+name, x, ours)
				if e.Name == "inventory" && name == "facts" {
					v.facts = paths(v.facts, nil, x)
					v.leaves = leaves(v.leaves, "", x)
				}
				if e.Name == "resources" && name == "parameters" {
					v.params = paths(v.params, nil, x)
				}
			}
		}
	}
	v.of["fact_names.name"] = v.of["facts.name"]
	return v, nil
}

func (v *values) add(field string, x ast.Value, made map[string]bool) {
	if x.Kind == ast.String && made[x.Text] {
		v.volatile[field] = true
		return
	}
	if len(v.of[field]) >= maxValues || x.Kind == ast.Object && len(x.Items) > 20 || len(x.JSON()) > 2000 {
		return
	}
	text := string(x.JSON())
	if !slices.ContainsFunc(v.of[field], func(y ast.Value) bool { return string(y.JSON()) == text }) {
		v.of[field] = append(v.of[field], x)
	}
}

// paths collects the ways into a document; array elements by their index in brackets.
func paths(list [][]string, at []string, x ast.Value) [][]string {
	if at != nil && !slices.ContainsFunc(list, func(p []string) bool { return slices.Equal(p, at) }) {
		list = append(list, slices.Clone(at))
	}
	if len(at) > 5 || len(list) > 800 {
		return list
	}
	for i, y := range x.Items {
		switch {
		case x.Kind == ast.Object:
			list = paths(list, append(slices.Clone(at), x.Keys[i]), y)
		case at != nil && i < 2:
			list = paths(list, append(slices.Clone(at[:len(at)-1]), at[len(at)-1]+"["+string(rune('0'+i))+"]"), y)
		}
	}
	return list
}

// leaves collects values by their keys; containers are values too.
func leaves(list []leaf, key string, x ast.Value) []leaf {
	if key != "" && len(x.JSON()) < 500 {
		list = append(list, leaf{key, x})
	}
	for i, y := range x.Items {
		if x.Kind == ast.Object {
			list = leaves(list, x.Keys[i], y)
		} else {
			list = leaves(list, key, y)
		}
	}
	return list
}

func (v *values) entity(name string) *query.EntityInfo {
	for i := range v.entities {
		if v.entities[i].Name == name {
			return &v.entities[i]
		}
	}
	return nil
}
