package wireformat

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"unicode"
	"unsafe"
)

// Fields of "replace catalog", by position in catalogFields.
const (
	catalogCertname = iota
	catalogVersion
	catalogEnvironment
	catalogTransactionUUID
	catalogCatalogUUID
	catalogCodeID
	catalogProducer
	catalogJobID
	catalogProducerTimestamp
	catalogEdges
	catalogResources
)

func catalogFields() []string {
	return []string{"certname", "version", "environment", "transaction_uuid", "catalog_uuid", "code_id", "producer",
		"job_id", "producer_timestamp", "edges", "resources"}
}

// catalog reads "replace catalog" 4 to 9. watch may be nil. Spec §3.2.
func (d *decoder) catalog(watch *textWatch) *Catalog {
	if d.next() == '"' { // a string that holds the catalog's JSON
		d.b, d.i = bytes.Clone(d.str()), 0
		d.next()
	}
	c := &Catalog{}
	g := &d.graph
	g.start(d)
	g.watch = watch
	shape := fields{
		names: catalogFields(),
		required: 1<<catalogCertname | 1<<catalogVersion | 1<<catalogProducerTimestamp |
			1<<catalogEdges | 1<<catalogResources,
		read: func(field int) { g.field(c, field) },
		lax:  true, // unknown top-level keys are dropped
	}
	if d.version >= 7 {
		shape.required |= 1 << catalogCodeID
	}
	if d.version >= 8 {
		shape.required |= 1 << catalogCatalogUUID
	}
	if d.version >= 9 {
		shape.required |= 1 << catalogProducer
	}
	if d.version <= 5 {
		shape.alias = oldCatalogKey
	}
	if d.version == 4 {
		shape.required &^= 1 << catalogProducerTimestamp
	}
	if !d.record(&shape) {
		return c
	}
	d.upgradeCatalog(c)
	if g.settle(c) {
		return c
	}
	g.finish(c)
	if len(d.problems) == 0 {
		c.Hash = g.catalogHash(c)
	}
	return c
}

// oldCatalogKey gives the present name of a top-level key of versions 4 and 5.
func oldCatalogKey(key []byte) []byte {
	if string(key) == "name" {
		return []byte("certname")
	}
	return bytes.ReplaceAll(key, []byte("-"), []byte("_"))
}

// upgradeCatalog takes the catalog through each version after its own. Fields
// that a version did not have are overwritten, even if they were sent.
func (d *decoder) upgradeCatalog(c *Catalog) {
	if d.version <= 4 { // 4 → 5: the time of production
		c.ProducerTimestamp = d.received
	}
	if d.version <= 6 { // 6 → 7: code_id
		c.CodeID = nil
	}
	if d.version <= 7 { // 7 → 8: catalog_uuid
		c.CatalogUUID = c.TransactionUUID
	}
	if d.version <= 8 { // 8 → 9: producer, job_id
		c.Producer, c.JobID = nil, nil
	}
}

// graph collects resources and edges. Either may come first and both name
// resources, so each name gets a number at its first sight.
type graph struct {
	*decoder
	seed      maphash.Seed
	slots     []int32 // open hash table of 1 + number; its length is a power of two
	names     []ref   // by number
	edges     []edge
	rest      []Resource
	numbers   []int32 // of the resources in rest
	sorted    []int32 // scratch
	places    []int32 // scratch
	scratch   []byte  // scratch of a type
	resource1 Resource
	edge1     edge
	kind      *string
	title     []byte
	shapes    struct{ resource, edge, end fields }
	watch     *textWatch // nil: none
}

// ref is a resource's name and what is known about it.
type ref struct {
	kind, title string
	hash        uint64
	resource    int32 // 1 + index in rest; 0 when only edges have named it
}

type edge struct {
	source, target int32
	relationship   Relationship
}

// start empties g for a new catalog.
func (g *graph) start(d *decoder) {
	if g.slots == nil {
		g.seed = maphash.MakeSeed()
		g.slots = make([]int32, 4096)
		g.shapes.resource = g.resourceShape()
		g.shapes.edge = g.edgeShape()
		g.shapes.end = g.endShape()
	}
	g.decoder = d
	clear(g.slots)
	g.names, g.edges, g.rest, g.numbers = g.names[:0], g.edges[:0], g.rest[:0], g.numbers[:0]
}

// release forgets the payload.
func (g *graph) release() {
	clear(g.names)
	clear(g.rest)
	g.resource1, g.kind, g.title, g.watch = Resource{}, nil, nil, nil
}

// size is about how many bytes of scratch space g holds.
func (g *graph) size() int {
	return 4*cap(g.slots) + 48*cap(g.names) + 12*cap(g.edges) + 160*cap(g.rest) + 12*cap(g.numbers)
}

func (g *graph) field(c *Catalog, field int) {
	switch field {
	case catalogCertname:
		c.Certname = g.text()
	case catalogVersion:
		c.Version = g.text()
	case catalogEnvironment:
		c.Environment = g.optionalText()
	case catalogTransactionUUID:
		c.TransactionUUID = g.optionalUUID()
	case catalogCatalogUUID:
		c.CatalogUUID = g.optionalUUID()
	case catalogCodeID:
		c.CodeID = g.optionalText()
	case catalogProducer:
		c.Producer = g.optionalText()
	case catalogJobID:
		c.JobID = g.optionalText()
	case catalogProducerTimestamp:
		c.ProducerTimestamp = g.anyTime()
	case catalogEdges:
		g.part(edgesText, g.readEdges)
	case catalogResources:
		g.part(resourcesText, g.readResources)
	}
}

func (g *graph) readEdges() {
	g.edges = g.edges[:0]
	if g.next() != '[' {
		g.wrongType("an array")
		return
	}
	g.list(func(int) { g.edge() })
}

func (g *graph) readResources() {
	for i := range g.names {
		g.names[i].resource = 0
	}
	g.rest, g.numbers = g.rest[:0], g.numbers[:0]
	g.list(func(int) { g.resource() })
}

// number gives the number of a resource's name. The title is copied if the
// name is new.
func (g *graph) number(kind string, title []byte) int32 {
	h := maphash.String(g.seed, kind)*31 ^ maphash.Bytes(g.seed, title)
	mask := uint64(len(g.slots) - 1)
	i := h & mask
	for ; g.slots[i] != 0; i = (i + 1) & mask {
		n := g.slots[i] - 1
		if r := &g.names[n]; r.hash == h && r.kind == kind && r.title == string(title) {
			return n
		}
	}
	g.names = append(g.names, ref{kind: kind, title: g.string(title), hash: h})
	g.slots[i] = int32(len(g.names))
	if 2*len(g.names) > len(g.slots) {
		g.grow()
	}
	return int32(len(g.names) - 1)
}

// grow doubles the hash table twice.
func (g *graph) grow() {
	g.slots = make([]int32, 4*len(g.slots))
	mask := uint64(len(g.slots) - 1)
	for n := range g.names {
		i := g.names[n].hash & mask
		for g.slots[i] != 0 {
			i = (i + 1) & mask
		}
		g.slots[i] = int32(n) + 1
	}
}

// resourceShape are the keys of a resource; unknown ones are ignored, as
// upstream does.
func (g *graph) resourceShape() fields {
	const kind, title, tags, exported, file, line, parameters = 0, 1, 2, 3, 4, 5, 6
	return fields{
		names:    []string{"type", "title", "tags", "exported", "file", "line", "parameters"},
		required: 1<<kind | 1<<title | 1<<tags | 1<<exported,
		lax:      true,
		read: func(field int) {
			r := &g.resource1
			switch field {
			case kind:
				r.Type = g.shared()
			case title:
				r.Title = g.text()
			case tags:
				r.Tags = g.tags()
			case exported:
				r.Exported = g.boolean()
			case file:
				r.File = g.optionalText()
			case line:
				r.Line = g.optionalLine()
			case parameters:
				r.Parameters = g.parameters()
			}
		},
	}
}

// resource reads one resource.
func (g *graph) resource() {
	g.resource1, g.slashes = Resource{}, false
	if !g.record(&g.shapes.resource) {
		return
	}
	r := &g.resource1
	n := g.number(r.Type, unsafe.Slice(unsafe.StringData(r.Title), len(r.Title)))
	if g.names[n].resource != 0 {
		g.problem("%s[%s] is there twice", r.Type, r.Title)
		return
	}
	r.Hash = g.resourceHash(r)
	g.rest = append(g.rest, *r)
	g.numbers = append(g.numbers, n)
	g.names[n].resource = int32(len(g.rest))
}

func (g *graph) parameters() JSON {
	if g.null() {
		return nil
	}
	if g.next() != '{' {
		g.wrongType("an object")
		return nil
	}
	return g.value()
}

// tags reads a resource's tags: sorted, without duplicates.
func (g *graph) tags() []string {
	if g.next() != '[' {
		g.wrongType("an array")
		return nil
	}
	tags := g.texts(g.checkTag)
	slices.Sort(tags)
	return g.strings(slices.Compact(tags))
}

func (g *graph) checkTag(tag string) {
	if !validTag(tag) {
		g.problem("is an invalid tag %q: tags are lower-case letters, digits, _, and behind the first character : . and -", tag)
	}
}

// validTag is upstream's rule, spec §3.2.
func validTag(tag string) bool {
	for i, r := range tag {
		switch {
		case r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
		case i > 0 && (r == ':' || r == '.' || r == '-'):
		case r < 0x80:
			return false
		case unicode.IsLetter(r) && !unicode.IsUpper(r) || unicode.IsNumber(r):
		default:
			return false
		}
	}
	return tag != ""
}

// edgeShape are the keys of an edge.
func (g *graph) edgeShape() fields {
	return fields{
		names:    []string{"source", "target", "relationship"},
		required: 1 | 2 | 4,
		lax:      true,
		read: func(field int) {
			switch field {
			case 0:
				g.edge1.source = g.end()
			case 1:
				g.edge1.target = g.end()
			case 2:
				g.edge1.relationship = g.relationship()
			}
		},
	}
}

// edge reads one edge. Its resources are looked up when all are known.
func (g *graph) edge() {
	g.edge1 = edge{}
	if g.record(&g.shapes.edge) {
		g.edges = append(g.edges, g.edge1)
	}
}

// endShape are the keys of an edge's end: any other makes it name no resource.
func (g *graph) endShape() fields {
	return fields{
		names:    []string{"type", "title"},
		required: 1 | 2,
		read: func(field int) {
			switch {
			case g.next() != '"':
				g.wrongType("a string")
			case field == 0:
				g.kind = g.intern(g.str())
			default:
				g.title = g.str()
				if len(g.title) > 0 && len(g.canonicalizer.text) > 0 && &g.title[0] == &g.canonicalizer.text[0] { // the next string would overwrite it
					g.scratch = append(g.scratch[:0], g.title...)
					g.title = g.scratch
				}
			}
		},
	}
}

// end reads {"type", "title"}.
func (g *graph) end() int32 {
	g.kind, g.title = nil, nil
	if !g.record(&g.shapes.end) || g.kind == nil {
		return 0
	}
	return g.number(*g.kind, g.title)
}

func (g *graph) relationship() Relationship {
	name := g.shared()
	r, ok := relationshipOf(name)
	if !ok {
		g.problem("is an invalid relationship type %q", name)
	}
	return r
}

func relationshipOf(name string) (Relationship, bool) {
	switch name {
	case "contains":
		return Contains, true
	case "before":
		return Before, true
	case "required-by":
		return RequiredBy, true
	case "notifies":
		return Notifies, true
	case "subscription-of":
		return SubscriptionOf, true
	}
	return 0, false
}

// String is the relationship's name on the wire.
func (r Relationship) String() string {
	names := [...]string{"", "contains", "before", "required-by", "notifies", "subscription-of"}
	if int(r) < len(names) {
		return names[r]
	}
	return fmt.Sprintf("relationship(%d)", uint8(r))
}

// finish sorts what was collected into the catalog and resolves the edges.
func (g *graph) finish(c *Catalog) {
	order := g.sorted[:0]
	for i := range g.rest {
		order = append(order, int32(i))
	}
	g.sorted = order
	slices.SortFunc(order, func(a, b int32) int {
		if n := strings.Compare(g.rest[a].Type, g.rest[b].Type); n != 0 {
			return n
		}
		return strings.Compare(g.rest[a].Title, g.rest[b].Title)
	})
	c.Resources = make([]Resource, len(order))
	place := slices.Grow(g.places[:0], len(g.names))[:len(g.names)] // number → index in c.Resources
	g.places = place
	for i, from := range order {
		c.Resources[i] = g.rest[from]
		place[g.numbers[from]] = int32(i)
	}
	c.Edges = make([]Edge, 0, len(g.edges))
	for i, e := range g.edges {
		if g.missing(i, "source", e.source) || g.missing(i, "target", e.target) {
			continue
		}
		c.Edges = append(c.Edges, Edge{place[e.source], place[e.target], e.relationship})
	}
	slices.SortFunc(c.Edges, func(a, b Edge) int {
		if a.Source != b.Source {
			return int(a.Source - b.Source)
		}
		if a.Target != b.Target {
			return int(a.Target - b.Target)
		}
		return int(a.Relationship) - int(b.Relationship)
	})
	c.Edges = slices.Compact(c.Edges)
}

func (g *graph) missing(edge int, end string, number int32) bool {
	if int(number) < len(g.names) && g.names[number].resource != 0 {
		return false
	}
	if len(g.problems) < maxProblems {
		name := "nothing"
		if int(number) < len(g.names) {
			name = fmt.Sprintf("%s[%s]", g.names[number].kind, g.names[number].title)
		}
		g.problems = append(g.problems, Problem{fmt.Sprintf("$.edges[%d].%s", edge, end),
			"refers to resource " + name + ", which doesn't exist in the catalog"})
	}
	return true
}
