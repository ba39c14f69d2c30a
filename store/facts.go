package store

import (
	"dalang/commands/outcome"
	"dalang/wireformat"
)

// facts: spec §6.3. Only facts that changed are written, and of those only the
// leaves that changed.
func (a *applier) facts(p *wireformat.Facts) (outcome.Result, error) {
	a.store.cfg.Blocklist.filter(p)
	done := outcome.Result{Status: outcome.Processed, Hash: p.Hash()}
	n, err := a.activate(p.Certname, p.ProducerTimestamp)
	if err != nil {
		return done, err
	}
	if n.facts.Valid && n.facts.Int64 > ms(p.ProducerTimestamp) {
		return outcome.Result{Status: outcome.Stale, Hash: p.Hash()}, nil
	}
	environment, err := a.environment(p.Environment)
	if err != nil {
		return done, err
	}
	producer, err := a.producer(p.Producer)
	if err != nil {
		return done, err
	}
	var hash, packagesHash string
	var sums []byte
	if _, err := a.row("SELECT hash, packages_hash, sums FROM factset WHERE node_id = ?1", []any{n.id}, &hash, &packagesHash, &sums); err != nil {
		return done, err
	}
	if hash != done.Hash {
		if sums, err = a.replaceValues(n.id, p.Values, sums); err != nil {
			return done, err
		}
	}
	newPackages := p.PackagesHash()
	if newPackages != packagesHash {
		if err := a.replacePackages(n.id, p.Packages); err != nil {
			return done, err
		}
	}
	if err := a.exec(`INSERT INTO factset (node_id, environment_id, producer_id, timestamp, producer_timestamp, hash, packages_hash, sums)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (node_id) DO UPDATE SET environment_id = excluded.environment_id,
		producer_id = excluded.producer_id, timestamp = excluded.timestamp, producer_timestamp = excluded.producer_timestamp,
		hash = excluded.hash, packages_hash = excluded.packages_hash, sums = excluded.sums`,
		n.id, environment, producer, ms(a.received), ms(p.ProducerTimestamp), done.Hash, newPackages, sums); err != nil {
		return done, err
	}
	return done, a.exec(`UPDATE node SET facts_timestamp = ?2, facts_producer_timestamp = ?3, facts_environment_id = ?4
		WHERE id = ?1`, n.id, ms(a.received), ms(p.ProducerTimestamp), environment)
}

// replaceValues makes the node's facts equal to values. sums are those of what
// is stored; it answers those of values. What the sums show to be unchanged is
// not even read.
func (a *applier) replaceValues(node int64, values []wireformat.Fact, sums []byte) ([]byte, error) {
	changed, unmatched, sums := diffSums(sums, values)
	for _, i := range changed {
		f := values[i]
		var old []byte
		known := false
		if unmatched > 0 {
			id, err := a.factName(f.Name)
			if err != nil {
				return nil, err
			}
			if known, err = a.row("SELECT value FROM fact WHERE node_id = ?1 AND name_id = ?2", []any{node, id}, &old); err != nil {
				return nil, err
			}
		}
		if known {
			unmatched--
		}
		if err := a.replaceValue(node, f.Name, old, f.Value); err != nil {
			return nil, err
		}
	}
	if unmatched == 0 {
		return sums, nil
	}
	return sums, a.deleteOtherFacts(node, values)
}

// deleteOtherFacts deletes the facts whose names are not among values.
func (a *applier) deleteOtherFacts(node int64, values []wireformat.Fact) error {
	keep := make(map[string]bool, len(values))
	for _, f := range values {
		keep[f.Name] = true
	}
	gone := map[string]wireformat.JSON{}
	err := a.rows("SELECT n.name, f.value FROM fact f JOIN fact_name n ON n.id = f.name_id WHERE f.node_id = ?1", []any{node},
		func(scan func(...any) error) error {
			var name string
			var value []byte
			err := scan(&name, &value)
			if !keep[name] {
				gone[name] = value
			}
			return err
		})
	if err != nil {
		return err
	}
	for name, old := range gone {
		if err := a.replaceValue(node, name, old, nil); err != nil {
			return err
		}
	}
	return nil
}

// replaceValue writes one top-level fact and the difference between the leaves
// of its old and its new value. nil is no value.
func (a *applier) replaceValue(node int64, name string, old, value wireformat.JSON) error {
	id, err := a.factName(name)
	if err != nil {
		return err
	}
	if value == nil {
		err = a.exec("DELETE FROM fact WHERE node_id = ?1 AND name_id = ?2", node, id)
	} else {
		err = a.exec("INSERT INTO fact (node_id, name_id, value) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET value = excluded.value",
			node, id, string(value))
	}
	if err != nil {
		return err
	}
	before := map[int64]string{} // path id → value
	if old != nil {
		leaves(name, old, func(leaf wireformat.Leaf) bool {
			var path int64
			if path, err = a.factPath(leaf, id); err == nil {
				before[path] = string(leaf.Value)
			}
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	if value != nil {
		cut := leaves(name, value, func(leaf wireformat.Leaf) bool {
			err = a.replaceLeaf(node, id, leaf, before)
			return err == nil
		})
		if cut {
			a.store.log.Warn("a fact has too many or too long paths: it is stored, but not all of its leaves can be asked for by path",
				"fact", name, "bytes", len(value))
		}
		if err != nil {
			return err
		}
	}
	for path := range before {
		if err := a.exec("DELETE FROM fact_leaf WHERE node_id = ?1 AND path_id = ?2", node, path); err != nil {
			return err
		}
	}
	return nil
}

// replaceLeaf writes one leaf if it changed and takes it out of before.
func (a *applier) replaceLeaf(node, name int64, leaf wireformat.Leaf, before map[int64]string) error {
	path, err := a.factPath(leaf, name)
	if err != nil {
		return err
	}
	value := string(leaf.Value)
	old, known := before[path]
	delete(before, path)
	if known && old == value {
		return nil
	}
	var num any
	if leaf.IsNum {
		num = leaf.Num
	}
	return a.exec(`INSERT INTO fact_leaf (node_id, path_id, value, num) VALUES (?1, ?2, ?3, ?4)
		ON CONFLICT DO UPDATE SET value = excluded.value, num = excluded.num`, node, path, value, num)
}

// replacePackages makes the node's packages equal to packages; none deletes
// all. Packages that nobody has any more go at once.
func (a *applier) replacePackages(node int64, packages []wireformat.Package) error {
	stored := map[int64]bool{}
	err := a.rows("SELECT package_id FROM node_package WHERE node_id = ?1", []any{node}, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		stored[id] = true
		return err
	})
	if err != nil {
		return err
	}
	for _, p := range packages {
		id, err := a.pkg(p)
		if err != nil {
			return err
		}
		if stored[id] {
			delete(stored, id)
			continue
		}
		if err := a.exec("INSERT INTO node_package (node_id, package_id) VALUES (?1, ?2)", node, id); err != nil {
			return err
		}
	}
	for id := range stored {
		if err := a.exec("DELETE FROM node_package WHERE node_id = ?1 AND package_id = ?2", node, id); err != nil {
			return err
		}
		if err := a.exec("DELETE FROM package WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM node_package WHERE package_id = ?1)", id); err != nil {
			return err
		}
	}
	if len(stored) > 0 {
		clear(a.names.pkg.ids) // some of the ids may be gone
	}
	return nil
}
