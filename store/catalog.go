package store

import (
	"database/sql"

	"dalang/commands/outcome"
	"dalang/wireformat"
)

// catalog: spec §6.4. A catalog like the stored one writes one row; otherwise
// resources and edges are compared and the differences written.
func (a *applier) catalog(p *wireformat.Catalog) (outcome.Result, error) {
	done := outcome.Result{Status: outcome.Processed, Hash: p.Hash}
	n, err := a.activate(p.Certname, p.ProducerTimestamp)
	if err != nil {
		return done, err
	}
	if n.catalog.Valid && n.catalog.Int64 > ms(p.ProducerTimestamp) {
		return outcome.Result{Status: outcome.Stale, Hash: p.Hash}, nil
	}
	environment, err := a.environment(p.Environment)
	if err != nil {
		return done, err
	}
	producer, err := a.producer(p.Producer)
	if err != nil {
		return done, err
	}
	var hash string
	var resources any // how many; nil: as before
	if _, err := a.row("SELECT hash FROM catalog WHERE node_id = ?1", []any{n.id}, &hash); err != nil {
		return done, err
	}
	if hash == p.Hash {
		a.store.metrics.duplicateCatalogs.Inc()
	} else {
		a.store.metrics.newCatalogs.Inc()
		if err := p.Read(); err != nil {
			return done, err
		}
		refs, err := a.replaceResources(n.id, p.Resources, hash == "")
		if err != nil {
			return done, err
		}
		resources = len(refs)
		if err := a.replaceEdges(n.id, p.Edges, refs, hash == ""); err != nil {
			return done, err
		}
	}
	if err := a.exec(`INSERT INTO catalog (node_id, hash, version, transaction_uuid, catalog_uuid, code_id, job_id, environment_id,
		producer_id, producer_timestamp, timestamp, resource_count) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, coalesce(?12, 0))
		ON CONFLICT (node_id) DO UPDATE SET hash = excluded.hash, version = excluded.version,
		transaction_uuid = excluded.transaction_uuid, catalog_uuid = excluded.catalog_uuid, code_id = excluded.code_id,
		job_id = excluded.job_id, environment_id = excluded.environment_id, producer_id = excluded.producer_id,
		producer_timestamp = excluded.producer_timestamp, timestamp = excluded.timestamp, resource_count = coalesce(?12, resource_count)`,
		n.id, p.Hash, p.Version, p.TransactionUUID, p.CatalogUUID, p.CodeID, p.JobID, environment, producer,
		ms(p.ProducerTimestamp), ms(a.received), resources); err != nil {
		return done, err
	}
	return done, a.exec(`UPDATE node SET catalog_timestamp = ?2, catalog_producer_timestamp = ?3, catalog_environment_id = ?4
		WHERE id = ?1`, n.id, ms(a.received), ms(p.ProducerTimestamp), environment)
}

// resourceRow is a row of table resource without its keys.
type resourceRow struct {
	body, tags int64
	exported   bool
	file, line sql.NullInt64
}

// replaceResources makes the node's resources equal to resources and returns
// the ids of their names.
func (a *applier) replaceResources(node int64, resources []wireformat.Resource, isNew bool) ([]int64, error) {
	stored := map[int64]resourceRow{}
	if !isNew {
		err := a.rows("SELECT ref_id, body_id, tags_id, exported, file_id, line FROM resource WHERE node_id = ?1", []any{node},
			func(scan func(...any) error) error {
				var ref int64
				var r resourceRow
				err := scan(&ref, &r.body, &r.tags, &r.exported, &r.file, &r.line)
				stored[ref] = r
				return err
			})
		if err != nil {
			return nil, err
		}
	}
	refs := make([]int64, len(resources))
	for i := range resources {
		ref, row, err := a.resourceRow(&resources[i])
		if err != nil {
			return nil, err
		}
		refs[i] = ref
		old, known := stored[ref]
		delete(stored, ref)
		if known && old == row {
			continue
		}
		if err := a.exec(`INSERT INTO resource (node_id, ref_id, body_id, tags_id, exported, file_id, line)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET body_id = excluded.body_id, tags_id = excluded.tags_id,
			exported = excluded.exported, file_id = excluded.file_id, line = excluded.line`,
			node, ref, row.body, row.tags, row.exported, row.file, row.line); err != nil {
			return nil, err
		}
	}
	for ref := range stored {
		if err := a.exec("DELETE FROM resource WHERE node_id = ?1 AND ref_id = ?2", node, ref); err != nil {
			return nil, err
		}
	}
	return refs, nil
}

// resourceRow resolves what a resource names into ids.
func (a *applier) resourceRow(r *wireformat.Resource) (ref int64, row resourceRow, err error) {
	if ref, err = a.ref(r.Type, r.Title); err != nil {
		return ref, row, err
	}
	if row.body, err = a.body(r); err != nil {
		return ref, row, err
	}
	if row.tags, err = a.tags(r.Tags); err != nil {
		return ref, row, err
	}
	file, err := a.file(r.File)
	if id, ok := file.(int64); ok {
		row.file = sql.NullInt64{Int64: id, Valid: true}
	}
	if r.Line != nil {
		row.line = sql.NullInt64{Int64: *r.Line, Valid: true}
	}
	row.exported = r.Exported
	return ref, row, err
}

// edgeKey is a row of table edge without its node.
type edgeKey struct {
	source, target int64
	relationship   wireformat.Relationship
}

// replaceEdges makes the node's edges equal to edges; refs are the ids of the
// catalog's resources, by their index.
func (a *applier) replaceEdges(node int64, edges []wireformat.Edge, refs []int64, isNew bool) error {
	stored := map[edgeKey]bool{}
	if !isNew {
		err := a.rows("SELECT source_id, target_id, relationship FROM edge WHERE node_id = ?1", []any{node},
			func(scan func(...any) error) error {
				var e edgeKey
				err := scan(&e.source, &e.target, &e.relationship)
				stored[e] = true
				return err
			})
		if err != nil {
			return err
		}
	}
	for _, e := range edges {
		key := edgeKey{refs[e.Source], refs[e.Target], e.Relationship}
		if stored[key] {
			delete(stored, key)
			continue
		}
		if err := a.exec("INSERT INTO edge (node_id, source_id, target_id, relationship) VALUES (?1, ?2, ?3, ?4)",
			node, key.source, key.target, int64(key.relationship)); err != nil {
			return err
		}
	}
	for key := range stored {
		if err := a.exec("DELETE FROM edge WHERE node_id = ?1 AND source_id = ?2 AND target_id = ?3 AND relationship = ?4",
			node, key.source, key.target, int64(key.relationship)); err != nil {
			return err
		}
	}
	return nil
}
