package orchestrator

import (
	"context"
	"encoding/json"
	"fmt"

	"dalang/store/query/ast"
)

// EachNode calls fn once for every active node, in the order of the names, with
// those of the named top-level facts that it has. Rows of facts are read as
// they come; only the names of nodes are held.
func (q *Queries) EachNode(ctx context.Context, facts []string, fn func(certname string, facts map[string]json.RawMessage) error) error {
	str, list := ast.Str, ast.List
	certnames, err := q.certnames(ctx, list(str("from"), str("nodes"), list(str("extract"), list(str("certname"))),
		list(str("order_by"), list(str("certname")))))
	if err != nil {
		return err
	}
	m := merge{certnames: certnames, fn: fn}
	if len(facts) > 0 {
		if err := q.facts(ctx, named(facts), m.fact); err != nil {
			return err
		}
	}
	return m.upTo("")
}

// NodeFacts are the top-level facts of an active node; none if it is not known.
func (q *Queries) NodeFacts(ctx context.Context, certname string) (map[string]json.RawMessage, error) {
	found := map[string]json.RawMessage{}
	err := q.facts(ctx, ast.List(ast.Str("="), ast.Str("certname"), ast.Str(certname)), func(_, name string, value json.RawMessage) error {
		found[name] = value
		return nil
	})
	return found, err
}

// named is the condition that a fact has one of some names.
func named(facts []string) ast.Value {
	names := make([]ast.Value, len(facts))
	for i, name := range facts {
		names[i] = ast.Str(name)
	}
	return ast.List(ast.Str("in"), ast.Str("name"), ast.List(ast.Str("array"), ast.List(names...)))
}

// facts reads facts in the order of their nodes' names.
func (q *Queries) facts(ctx context.Context, which ast.Value, fn func(certname, name string, value json.RawMessage) error) error {
	str, list := ast.Str, ast.List
	r := request("", list(str("from"), str("facts"), list(str("extract"), list(str("certname"), str("name"), str("value")), which),
		list(str("order_by"), list(str("certname")))))
	return q.run(ctx, r, rows(func(text []byte) error {
		var row struct {
			Certname, Name string
			Value          json.RawMessage
		}
		if err := json.Unmarshal(text, &row); err != nil {
			return fmt.Errorf("read a fact: %w", err)
		}
		return fn(row.Certname, row.Name, row.Value)
	}))
}

// merge brings the rows of facts together with the nodes, some of which have
// none. Both are in the same order.
type merge struct {
	certnames []string // not yet told
	facts     map[string]json.RawMessage
	fn        func(string, map[string]json.RawMessage) error
}

func (m *merge) fact(certname, name string, value json.RawMessage) error {
	if len(m.certnames) == 0 || certname != m.certnames[0] {
		if err := m.upTo(certname); err != nil {
			return err
		}
	}
	if len(m.certnames) == 0 || certname != m.certnames[0] {
		return nil // of a node that came after the names were read
	}
	if m.facts == nil {
		m.facts = map[string]json.RawMessage{}
	}
	m.facts[name] = value
	return nil
}

// upTo tells the nodes ahead of one, "" for all.
func (m *merge) upTo(certname string) error {
	for len(m.certnames) > 0 && m.certnames[0] != certname {
		if certname != "" && m.certnames[0] > certname {
			return nil
		}
		facts := m.facts
		m.facts = nil
		if err := m.fn(m.certnames[0], facts); err != nil {
			return err
		}
		m.certnames = m.certnames[1:]
	}
	return nil
}
