package store

import (
	"strconv"
	"strings"

	"dalang/wireformat"
)

// names remembers the ids of dictionary rows, so that a name that was seen
// lately costs no statement. It must forget whenever a transaction is undone
// or dictionary rows are deleted.
type names struct {
	environment, producer, factName, factPath, ref, body, tags, file, pkg *dictionary
}

func newNames(limit int) names {
	small := min(limit, 1000)
	return names{
		environment: newDictionary(small), producer: newDictionary(small),
		factName: newDictionary(limit), factPath: newDictionary(limit),
		ref: newDictionary(limit), body: newDictionary(limit), tags: newDictionary(limit),
		file: newDictionary(limit), pkg: newDictionary(limit),
	}
}

func (n names) forget() {
	for _, d := range []*dictionary{n.environment, n.producer, n.factName, n.factPath, n.ref, n.body, n.tags, n.file, n.pkg} {
		clear(d.ids)
	}
}

// dictionary is a bounded map from a name to its row's id.
type dictionary struct {
	ids   map[string]int64
	limit int
	key   []byte         // scratch for compound names
	used  map[int64]bool // ids given out since a collection began; nil: none is under way
}

// get gives the id of a name that is remembered.
func (d *dictionary) get(key []byte) (int64, bool) {
	id, ok := d.ids[string(key)]
	if ok && d.used != nil {
		d.used[id] = true
	}
	return id, ok
}

func newDictionary(limit int) *dictionary { return &dictionary{ids: map[string]int64{}, limit: limit} }

// remember keeps a copy of a name, which may be a piece of a payload's memory;
// when the map is full it starts afresh, which costs a statement for each name
// that is still in use.
func (d *dictionary) remember(key string, id int64) {
	if len(d.ids) >= d.limit {
		clear(d.ids)
	}
	d.ids[strings.Clone(key)] = id
	if d.used != nil {
		d.used[id] = true
	}
}

// id finds a dictionary row or makes one. find selects the id by args; insert
// adds the row with args and more.
func (w *writer) id(d *dictionary, key, find, insert string, args, more []any) (int64, error) {
	var id int64
	found, err := w.row(find, args, &id)
	if err != nil {
		return 0, err
	}
	if !found {
		result, err := w.execResult(insert, append(args[:len(args):len(args)], more...)...)
		if err != nil {
			return 0, err
		}
		if id, err = result.LastInsertId(); err != nil {
			return 0, err
		}
	}
	d.remember(key, id)
	return id, nil
}

// named is id for dictionaries of one text column; nil stays NULL.
func (w *writer) named(d *dictionary, find, insert string, name *string) (any, error) {
	if name == nil {
		return nil, nil
	}
	if id, ok := d.get([]byte(*name)); ok {
		return id, nil
	}
	return w.id(d, *name, find, insert, []any{*name}, nil)
}

func (w *writer) environment(name *string) (any, error) {
	return w.named(w.names.environment, "SELECT id FROM environment WHERE name = ?1", "INSERT INTO environment (name) VALUES (?1)", name)
}

func (w *writer) producer(name *string) (any, error) {
	return w.named(w.names.producer, "SELECT id FROM producer WHERE name = ?1", "INSERT INTO producer (name) VALUES (?1)", name)
}

func (w *writer) file(name *string) (any, error) {
	return w.named(w.names.file, "SELECT id FROM source_file WHERE name = ?1", "INSERT INTO source_file (name) VALUES (?1)", name)
}

func (w *writer) factName(name string) (int64, error) {
	if id, ok := w.names.factName.get([]byte(name)); ok {
		return id, nil
	}
	return w.id(w.names.factName, name, "SELECT id FROM fact_name WHERE name = ?1", "INSERT INTO fact_name (name) VALUES (?1)", []any{name}, nil)
}

func (w *writer) factPath(leaf wireformat.Leaf, nameID int64) (int64, error) {
	d := w.names.factPath
	d.key = append(strconv.AppendInt(d.key[:0], int64(leaf.Type), 10), leaf.Encoded...)
	if id, ok := d.get(d.key); ok {
		return id, nil
	}
	return w.id(d, string(d.key), "SELECT id FROM fact_path WHERE encoded = ?1 AND type = ?2",
		"INSERT INTO fact_path (encoded, type, name_id, depth, path) VALUES (?1, ?2, ?3, ?4, ?5)",
		[]any{leaf.Encoded, leaf.Type}, []any{nameID, leaf.Depth, string(leaf.Path)})
}

func (w *writer) ref(kind, title string) (int64, error) {
	d := w.names.ref
	d.key = append(append(append(d.key[:0], kind...), 0), title...)
	if id, ok := d.get(d.key); ok {
		return id, nil
	}
	return w.id(d, string(d.key), "SELECT id FROM resource_ref WHERE type = ?1 AND title = ?2",
		"INSERT INTO resource_ref (type, title) VALUES (?1, ?2)", []any{kind, title}, nil)
}

func (w *writer) body(r *wireformat.Resource) (int64, error) {
	if id, ok := w.names.body.get([]byte(r.Hash)); ok {
		return id, nil
	}
	return w.id(w.names.body, r.Hash, "SELECT id FROM resource_body WHERE hash = ?1",
		"INSERT INTO resource_body (hash, parameters) VALUES (?1, ?2)", []any{r.Hash}, []any{text(r.Parameters)})
}

func (w *writer) tags(tags []string) (int64, error) {
	d := w.names.tags
	d.key = d.key[:0]
	for _, tag := range tags {
		d.key = append(append(d.key, tag...), 0)
	}
	if id, ok := d.get(d.key); ok {
		return id, nil
	}
	return w.id(d, string(d.key), "SELECT id FROM resource_tags WHERE tags = ?1",
		"INSERT INTO resource_tags (tags) VALUES (?1)", []any{jsonStrings(tags)}, nil)
}

func (w *writer) pkg(p wireformat.Package) (int64, error) {
	key := p.Name + "\x00" + p.Version + "\x00" + p.Provider
	if id, ok := w.names.pkg.get([]byte(key)); ok {
		return id, nil
	}
	return w.id(w.names.pkg, key, "SELECT id FROM package WHERE name = ?1 AND version = ?2 AND provider = ?3",
		"INSERT INTO package (name, version, provider) VALUES (?1, ?2, ?3)", []any{p.Name, p.Version, p.Provider}, nil)
}

// text is the column value of a JSON text: NULL for nil.
func text(v wireformat.JSON) any {
	if v == nil {
		return nil
	}
	return string(v)
}

// jsonStrings writes a list of strings as canonical JSON.
func jsonStrings(list []string) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, s := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(wireformat.QuoteString(s))
	}
	b.WriteByte(']')
	return b.String()
}
