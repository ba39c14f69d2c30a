package store

import (
	"database/sql"
	"time"

	"dalang/commands/outcome"
	"dalang/wireformat"
)

// node is what the rules need to know of a node's row.
type node struct {
	id                   int64
	deactivated, expired sql.NullInt64
	facts                sql.NullInt64 // producer timestamps of what is stored
	catalog              sql.NullInt64
	report               sql.NullInt64
	inputs               sql.NullInt64
	inputsHash           sql.NullString
}

// node finds a node's row or makes one.
func (a *applier) node(certname string) (node, error) {
	var n node
	found, err := a.row(`SELECT id, deactivated, expired, facts_producer_timestamp, catalog_producer_timestamp,
		report_producer_timestamp, inputs_timestamp, inputs_hash FROM node WHERE certname = ?1`, []any{certname},
		&n.id, &n.deactivated, &n.expired, &n.facts, &n.catalog, &n.report, &n.inputs, &n.inputsHash)
	if err != nil || found {
		return n, err
	}
	result, err := a.execResult("INSERT INTO node (certname) VALUES (?1)", certname)
	if err != nil {
		return n, err
	}
	n.id, err = result.LastInsertId()
	return n, err
}

// activate finds or makes the node and brings it back to life, unless it died
// after the command was produced. It comes before the question of staleness,
// so stale commands revive nodes too. Spec §6.2.
func (a *applier) activate(certname string, produced time.Time) (node, error) {
	n, err := a.node(certname)
	if err != nil || !n.deactivated.Valid && !n.expired.Valid {
		return n, err
	}
	at := ms(produced)
	diedLater := n.deactivated.Valid && n.deactivated.Int64 > at || n.expired.Valid && n.expired.Int64 > at
	diedBefore := n.deactivated.Valid && n.deactivated.Int64 < at || n.expired.Valid && n.expired.Int64 < at
	if diedLater || !diedBefore {
		return n, nil
	}
	return n, a.exec("UPDATE node SET deactivated = NULL, expired = NULL WHERE id = ?1", n.id)
}

// orNow is the time of processing for commands that carry none.
func (a *applier) orNow(t time.Time) time.Time {
	if t.IsZero() {
		return a.now
	}
	return t
}

// deactivate: spec §6.7.
func (a *applier) deactivate(p *wireformat.Deactivate) (outcome.Result, error) {
	at := ms(a.orNow(p.ProducerTimestamp))
	n, err := a.node(p.Certname)
	if err != nil {
		return outcome.Result{}, err
	}
	for _, newer := range []sql.NullInt64{n.facts, n.catalog, n.report} {
		if newer.Valid && newer.Int64 > at {
			return outcome.Result{Status: outcome.Stale}, nil
		}
	}
	return outcome.Result{Status: outcome.Processed},
		a.exec("UPDATE node SET deactivated = ?2 WHERE id = ?1 AND (deactivated IS NULL OR deactivated < ?2)", n.id, at)
}

// expiration: spec §6.8.
func (a *applier) expiration(p *wireformat.Expiration) (outcome.Result, error) {
	at := a.orNow(p.ProducerTimestamp)
	n, err := a.activate(p.Certname, at)
	if err != nil {
		return outcome.Result{}, err
	}
	return outcome.Result{Status: outcome.Processed}, a.exec(`UPDATE node SET expires_facts = ?2, expires_facts_updated = ?3
		WHERE id = ?1 AND (expires_facts_updated IS NULL OR expires_facts_updated < ?3)`, n.id, p.ExpireFacts, ms(at))
}

// inputs: spec §6.5. Without inputs nothing happens at all.
func (a *applier) inputs(p *wireformat.CatalogInputs) (outcome.Result, error) {
	done := outcome.Result{Status: outcome.Processed, Hash: p.Hash}
	if len(p.Inputs) == 0 {
		return done, nil
	}
	at := a.orNow(p.ProducerTimestamp)
	n, err := a.activate(p.Certname, at)
	if err != nil {
		return done, err
	}
	if n.inputs.Valid && n.inputs.Int64 >= ms(at) {
		return outcome.Result{Status: outcome.Stale, Hash: p.Hash}, nil
	}
	if n.inputsHash.String != p.Hash {
		if err := a.exec("DELETE FROM catalog_input WHERE node_id = ?1", n.id); err != nil {
			return done, err
		}
		for _, in := range p.Inputs {
			if err := a.exec("INSERT INTO catalog_input (node_id, type, name) VALUES (?1, ?2, ?3)", n.id, in.Type, in.Name); err != nil {
				return done, err
			}
		}
	}
	return done, a.exec("UPDATE node SET inputs_timestamp = ?2, inputs_uuid = ?3, inputs_hash = ?4 WHERE id = ?1",
		n.id, ms(at), p.CatalogUUID, p.Hash)
}
