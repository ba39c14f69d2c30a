package query

import (
	"regexp"
	"slices"
	"sort"
	"strings"
)

// Type is what a field holds. It decides which operators are legal, how
// values of the query become parameters and how columns become JSON.
type Type uint8

// The types of fields. Spec query.md §2, §3.3.
const (
	Text     Type = iota
	Int           // integer
	Bool          // 0 or 1
	Flag          // a boolean that upstream declares as text: extracts and compares as Bool
	Time          // milliseconds since the epoch
	Stamp         // a Time that upstream declares as text: no ranges
	Tags          // JSON array of strings; operators look at any element
	Pairs         // JSON array of arrays of strings; operators look at any string
	Value         // any JSON value
	Document      // JSON object that dotted fields go into
	Raw           // JSON that is only shown
	Encoded       // JSON that operators see as text: upstream stores it serialised
	Path          // path of a fact: JSON array; patterns cover whole elements
	LeafPath      // the same; patterns match parts of elements
)

// Field is one column of an entity.
type Field struct {
	Name      string
	Type      Type
	Queryable bool // may be compared and ordered by
	Shown     bool // is part of a row and may be extracted
	NotNull   bool

	// SQL is the column, an expression over the entity's tables.
	SQL string
	// Compare, when set, is what operators look at instead of SQL.
	Compare string
	// Number is a REAL that is close to a Value that is a number, NULL for others.
	Number string
	// Key is an integer that is equal exactly when fields of the same KeyOf
	// are equal: membership compares it instead.
	Key, KeyOf string
	// Dict is the column that refers to the dictionary which holds the field's
	// texts: patterns are tried on the dictionary, not on each row. DictTable
	// is its table, which has the columns id and DictText.
	Dict, DictTable, DictText string
	// PathID is the column with the id of a LeafPath in the dictionary of paths.
	PathID string
	// Href, when set, is an SQL expression for the {"href", "data"} around SQL.
	Href string
}

// sweep is the way to read an entity's rows one owner after the other.
type sweep struct {
	owner string // table and alias: node n
	alias string
	rest  string // " CROSS JOIN …", which keeps the order
}

// table is one table that an entity's expressions may use.
type table struct {
	alias, join string
	needs       []string // aliases that join mentions
}

// Relation is an implicit join: this entity's Local fields equal Target's Foreign.
type Relation struct {
	Target         string
	Local, Foreign []string
}

// Entity is a kind of row that can be queried.
type Entity struct {
	Name      string // as in the AST, with underscores
	Alias     string // in messages
	Fields    []Field
	Relations []Relation
	From      string // the table that always is there, with its alias
	// Sweep replaces From when no condition looks up one of Lookups: then all
	// rows are read anyway, and best in the order in which they are stored.
	Sweep    sweep
	Lookups  []string // fields that an index finds
	Where    string   // a condition that always holds, or ""
	Distinct bool     // rows are distinct and, unless asked otherwise, ordered
	// Strings tells that rows are bare values of the only field.
	Strings bool
	// Node tells that rows belong to a node, which is table n.
	Node bool
	// Agent tells that rows are reports, of which only those of agents show.
	Agent bool

	tables []table
	byName map[string]*Field
}

var aliasUse = regexp.MustCompile(`\b([a-z]{1,2})\.[a-z]`)

// uses lists the aliases that an SQL expression mentions.
func uses(sql string) []string {
	var out []string
	for _, m := range aliasUse.FindAllStringSubmatch(sql, -1) {
		if !slices.Contains(out, m[1]) {
			out = append(out, m[1])
		}
	}
	return out
}

// join adds a table; the text must be " JOIN …" or " LEFT JOIN …" of at most
// one row for each row of From, so that leaving it out changes nothing else.
func (e *Entity) join(alias, text string) *Entity {
	e.tables = append(e.tables, table{alias: alias, join: text, needs: uses(text)})
	return e
}

func (e *Entity) field(name string) *Field { return e.byName[name] }

// index prepares the lookup of fields.
func (e *Entity) index() {
	e.byName = make(map[string]*Field, len(e.Fields))
	for i := range e.Fields {
		f := &e.Fields[i]
		if f.Compare == "" {
			f.Compare = f.SQL
		}
		e.byName[f.Name] = f
	}
}

// names lists the fields that want holds for; sorted as messages need it.
func (e *Entity) names(want func(*Field) bool, sorted bool) []string {
	var out []string
	for i := range e.Fields {
		if want(&e.Fields[i]) {
			out = append(out, e.Fields[i].Name)
		}
	}
	if sorted {
		sort.Strings(out)
	}
	return out
}

func queryable(f *Field) bool { return f.Queryable }
func shown(f *Field) bool     { return f.Shown }

// quoted is upstream's list formatter: 'a', 'b', and 'c'.
func quoted(list []string) string {
	q := make([]string, len(list))
	for i, s := range list {
		q[i] = "'" + s + "'"
	}
	switch len(q) {
	case 0:
		return ""
	case 1:
		return q[0]
	case 2:
		return q[0] + " and " + q[1]
	}
	return strings.Join(q[:len(q)-1], ", ") + ", and " + q[len(q)-1]
}

// catalogue holds every entity by its name.
type catalogue map[string]*Entity

func newCatalogue() catalogue {
	c := catalogue{}
	for _, e := range []*Entity{
		nodes(), facts(), factNames(), factPaths(), factContents(), factsets(), inventory(),
		catalogs(), edges(), resources(), reports(), events(),
		environments(), producers(), packages(), packageInventory(), catalogInputs(), catalogInputContents(),
	} {
		if e.Alias == "" {
			e.Alias = e.Name
		}
		e.index()
		c[e.Name] = e
	}
	return c
}

// certname is the field of that name, of an entity whose node is in column key.
func certname(key string) Field {
	f := notNull("certname", Text, "n.certname").in(key, "node", "certname")
	f.Key, f.KeyOf = key, "node"
	return f
}

// in says which dictionary holds the field's texts.
func (f Field) in(column, table, text string) Field {
	f.Dict, f.DictTable, f.DictText = column, table, text
	return f
}

// column is a field that is queryable and shown.
func column(name string, t Type, sql string) Field {
	return Field{Name: name, Type: t, Queryable: true, Shown: true, SQL: sql}
}

// notNull is a column that always has a value.
func notNull(name string, t Type, sql string) Field {
	f := column(name, t, sql)
	f.NotNull = true
	return f
}

// hidden is a field for queries only, display one for rows only.
func hidden(name string, t Type, sql string) Field {
	return Field{Name: name, Type: t, Queryable: true, NotNull: true, SQL: sql}
}

func display(name string, t Type, sql string) Field {
	return Field{Name: name, Type: t, Shown: true, SQL: sql}
}

// ofNodes are the relations that every entity with a certname has, unless
// upstream leaves it out.
func ofNodes() []Relation {
	var out []Relation
	for _, t := range []string{"factsets", "reports", "inventory", "catalogs", "catalog_input_contents", "catalog_inputs",
		"nodes", "facts", "fact_contents", "events", "edges", "resources", "package_inventory"} {
		out = append(out, same(t, "certname"))
	}
	return out
}

// same relates fields of equal names.
func same(target string, fields ...string) Relation {
	return Relation{Target: target, Local: fields, Foreign: fields}
}

func toEnvironments() Relation {
	return Relation{Target: "environments", Local: []string{"environment"}, Foreign: []string{"name"}}
}

func toProducers() Relation {
	return Relation{Target: "producers", Local: []string{"producer"}, Foreign: []string{"name"}}
}
