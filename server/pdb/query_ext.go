package pdb

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"dalang/store/query"
)

// extensions are the routes that upstream has in Puppet Enterprise only. Spec
// query.md §1.4.
func (t *queryTable) extensions() {
	graphs := endpoint{entity: "resource_graphs", active: true, params: typical()}
	t.routes = append(t.routes,
		Route{Path: extV1 + "/state-overview", Handle: t.q.stateOverview, Doc: "how many nodes are in which state"},
		Route{Path: extV1 + "/resource-graphs", Handle: t.q.handle(graphs), Doc: "reports joined with the catalogs that were applied"})
}

// stateOverview counts nodes by state.
func (q *Queries) stateOverview(w http.ResponseWriter, r *http.Request) error {
	if err := admit(r); err != nil {
		return err
	}
	g, err := parameters(r, params{"unresponsive_threshold", "timeout", "origin", "pretty"})
	if err != nil {
		return err
	}
	threshold, err := threshold(g)
	if err != nil {
		return err
	}
	req := query.Request{Overview: &threshold}
	req.Origin, _ = g.text("origin")
	if req.Timeout, err = timeout(g); err != nil {
		return err
	}
	var f first
	if err := q.cfg.Engine.Run(r.Context(), req, &f); err != nil {
		return failed(err, false)
	}
	return write(w, http.StatusOK, TypeJSON, AppendPretty(nil, f.row))
}

// threshold is how long a node may be silent.
func threshold(g given) (time.Duration, error) {
	s, ok := g.text("unresponsive_threshold")
	if !ok {
		return 0, refuse("Missing required query parameter 'unresponsive_threshold'")
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !seconds.MatchString(s) {
		return 0, refuse("Illegal value '%s' for :unresponsive_threshold; expected a number of seconds.", s)
	}
	return time.Duration(min(n, math.MaxInt64/1e10) * float64(time.Second)), nil
}
