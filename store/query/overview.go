package query

import "strings"

// overview counts active nodes by how they are doing: one row. A node that
// never reported is unreported; one whose last report came too long ago,
// unresponsive; any other is what its latest report says, noop before all.
// Spec query.md §1.4.
type overview struct {
	since int64 // who reported before it is unresponsive; ms
}

func (o *overview) rows() *statement {
	e := &emitter{}
	st := &statement{}
	var list []string
	for _, state := range [...]string{"unresponsive", "unreported", "noop", "failed", "unchanged", "changed"} {
		list = append(list, "count(CASE WHEN state = '"+state+"' THEN 1 END)")
		st.cols = append(st.cols, encoded(state, Int))
	}
	st.sql = "SELECT " + strings.Join(list, ", ") + " FROM (SELECT CASE WHEN r.id IS NULL THEN 'unreported' WHEN r.receive_time < " + e.arg(o.since) +
		" THEN 'unresponsive' WHEN n.latest_report_noop = 1 THEN 'noop' WHEN n.latest_report_status IN ('failed', 'changed') THEN n.latest_report_status" +
		" ELSE 'unchanged' END AS state FROM node n LEFT JOIN report r ON r.id = n.latest_report_id WHERE n.deactivated IS NULL AND n.expired IS NULL) s"
	st.args = e.args
	return st
}

func (o *overview) total() *statement { return &statement{sql: "SELECT 1"} }
func (o *overview) bare() bool        { return false }
func (o *overview) name() string      { return "state_overview" }
