package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"dalang/orchestrator/job"
	"dalang/wireformat"
)

// Components are the components of applications in the catalogs of an
// environment's active nodes (orchestrator.md §12): resources that export or
// consume, and the resource that contains them, as far as that is no component
// itself. Ordered by node and resource.
func (s *Store) Components(ctx context.Context, environment string) ([]job.Component, error) {
	var list []job.Component
	err := s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		list, err = collect(ctx, conn, scanComponent, `SELECT n.certname, f.type, f.title, b.parameters, coalesce(c.type, ''), coalesce(c.title, '')
			FROM resource_body b JOIN resource r ON r.body_id = b.id JOIN node n ON n.id = r.node_id
			JOIN environment e ON e.id = n.catalog_environment_id JOIN resource_ref f ON f.id = r.ref_id
			LEFT JOIN edge d ON d.node_id = r.node_id AND d.target_id = r.ref_id AND d.relationship = ?2
			LEFT JOIN resource_ref c ON c.id = d.source_id
			WHERE (instr(b.parameters, '"export":') > 0 OR instr(b.parameters, '"consume":') > 0)
			AND e.name = ?1 AND n.deactivated IS NULL AND n.expired IS NULL ORDER BY 1, 2, 3, 5, 6`, environment, wireformat.Contains)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read components of applications: %w", err)
	}
	// The text of parameters was searched for keys that may be deeper inside.
	known := map[[2]string]bool{}
	for _, c := range list {
		known[[2]string{c.Certname, c.Ref}] = len(c.Produces)+len(c.Consumes) > 0
	}
	components := list[:0]
	for _, c := range list {
		if known[[2]string{c.Certname, c.Ref}] && c.Type != "" && !known[[2]string{c.Certname, c.Type + "[" + c.Title + "]"}] {
			components = append(components, c)
		}
	}
	return components, nil
}

func scanComponent(rows *sql.Rows) (job.Component, error) {
	var c job.Component
	var kind, title, parameters string
	if err := rows.Scan(&c.Certname, &kind, &title, &parameters, &c.Type, &c.Title); err != nil {
		return c, err
	}
	c.Ref = kind + "[" + title + "]"
	var p struct{ Export, Consume json.RawMessage }
	if err := json.Unmarshal([]byte(parameters), &p); err != nil {
		return c, fmt.Errorf("parameters of %s: %w", c.Ref, err)
	}
	c.Produces, c.Consumes = references(p.Export), references(p.Consume)
	return c, nil
}

// references reads a parameter that is a reference to a resource or a list of such.
func references(text json.RawMessage) []string {
	var one string
	if json.Unmarshal(text, &one) == nil && one != "" {
		return []string{one}
	}
	var many []any
	if json.Unmarshal(text, &many) != nil {
		return nil
	}
	var list []string
	for _, v := range many {
		if s, ok := v.(string); ok && s != "" {
			list = append(list, s)
		}
	}
	return list
}
