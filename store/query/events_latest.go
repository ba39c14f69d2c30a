package query

import (
	"slices"
	"strings"
)

// latestCounts reads the event counts of nodes' latest reports where the store
// keeps them ready: in the node's row.
func latestCounts() *Entity {
	e := &Entity{Name: "events", From: "node n", Where: "(n.latest_report_failures + n.latest_report_skips + n.latest_report_intentional_successes" +
		" + n.latest_report_corrective_successes + n.latest_report_intentional_noops + n.latest_report_corrective_noops > 0)"}
	return e.join("r", " JOIN report r ON r.id = n.latest_report_id").
		join("e", " LEFT JOIN environment e ON e.id = r.environment_id")
}

// ready is the summary by nodes, when the query asks for latest reports only
// and for nothing of the events themselves; "" when it does not.
func (c *counts) ready(e *emitter, by string) string {
	if by != "certname" || c.byNode || !ofLatest(c.events.where) {
		return ""
	}
	s := (&emitter{args: slices.Clone(e.args)}).scope(latestCounts())
	where := c.events.where.sql(s)
	for _, alias := range uses(where) {
		if !strings.Contains(" n r e ", " "+alias+" ") {
			return ""
		}
		s.used[alias] = true
	}
	list := []string{"n.certname AS g0"}
	for _, k := range c.counters {
		cols := []string{"n.latest_report_" + k.name}
		if k.total {
			cols = []string{"n.latest_report_intentional_" + k.name, "n.latest_report_corrective_" + k.name}
		}
		list = append(list, strings.Join(cols, " + ")+" AS "+k.name)
	}
	sql := "SELECT " + strings.Join(list, ", ") + s.from(where, true, false) + " ORDER BY n.certname"
	e.args = s.args
	return sql
}

// ofLatest tells whether a predicate holds for events of latest reports only.
func ofLatest(p pred) bool {
	switch p := p.(type) {
	case allOf:
		return slices.ContainsFunc(p.args, ofLatest)
	case known:
		return ofLatest(p.p)
	case compare:
		return p.t.field != nil && p.t.field.Name == "latest_report?" && p.op == "=" && p.v == true
	}
	return false
}
