package wireformat

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"
)

// CatalogTexts remembers what the resources and edges of each certname's last
// catalog looked like on the wire, and what hash they had. Most catalogs are
// the same as the one before, to the byte: those need not be read again to
// know what they say. It is a memory of what Decode would answer, no more: it
// may forget anything at any time. Its methods may be called from many goroutines.
type CatalogTexts struct {
	seed  maphash.Seed // secret: nobody can make a text that passes for another
	limit int
	mu    sync.Mutex
	known map[string]catalogText
}

// catalogText is what a catalog's text was.
type catalogText struct {
	version  int
	certname string
	hash     string
	parts    [2]textMark
}

// The parts of a catalog that are remembered.
const (
	edgesText = iota
	resourcesText
)

// textMark stands for a text.
type textMark struct {
	length int
	sum    uint64
}

// NewCatalogTexts makes an empty memory for up to limit certnames, of about
// 200 bytes each.
func NewCatalogTexts(limit int) *CatalogTexts {
	return &CatalogTexts{seed: maphash.MakeSeed(), limit: limit, known: map[string]catalogText{}}
}

// Decode is Decode for "replace catalog". line is who the catalog is probably
// of: whatever tells one node's catalogs from another's. The catalog may come
// back unread; then it holds on to body, and Read completes it.
func (t *CatalogTexts) Decode(line string, version int, received time.Time, body []byte) (Payload, error) {
	w := &textWatch{texts: t, body: body}
	t.mu.Lock()
	if known, ok := t.known[line]; ok && known.version == version {
		w.known = &known
	}
	t.mu.Unlock()
	payload, err := decode(ReplaceCatalog, version, received, body, w)
	if err != nil || w.complete != 1<<edgesText|1<<resourcesText {
		return payload, err
	}
	c := payload.(*Catalog)
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.known[line]; !ok && len(t.known) >= t.limit {
		for other := range t.known { // any
			delete(t.known, other)
			break
		}
	}
	// Copies: strings of a payload hold on to the chunk of memory that they are in.
	t.known[strings.Clone(line)] = catalogText{version, strings.Clone(c.Certname), strings.Clone(c.Hash), w.read}
	return payload, err
}

// textWatch compares the parts of a catalog that is being read with those that
// are known.
type textWatch struct {
	texts    *CatalogTexts
	known    *catalogText // nil: nothing is known
	body     []byte
	seen     uint8       // parts that came up
	skipped  uint8       // parts that are as known, and were not read
	complete uint8       // parts that were read and came up once
	at       [2]int      // where the skipped parts begin
	read     [2]textMark // of the parts that were read
}

func (w *textWatch) mark(text []byte) textMark {
	return textMark{len(text), maphash.Bytes(w.texts.seed, text)}
}

// part reads a part of the catalog, unless it is as known.
func (g *graph) part(part int, read func()) {
	w := g.watch
	if w == nil || len(g.b) != len(w.body) { // nobody wants to know, or a catalog inside a string
		read()
		return
	}
	bit := uint8(1) << part
	if w.seen&bit != 0 { // a key that comes twice: the last one counts
		w.skipped &^= bit
		w.complete = 0
		w.texts = nil
		read()
		return
	}
	w.seen |= bit
	start := g.i
	if w.known != nil && w.texts != nil {
		want := w.known.parts[part]
		if end := start + want.length; end <= len(g.b) && w.mark(g.b[start:end]) == want {
			w.skipped |= bit
			w.at[part] = start
			g.i = end
			return
		}
	}
	read()
	if w.texts != nil {
		w.complete |= bit
		w.read[part] = w.mark(g.b[start:g.i])
	}
}

// settle ends the watch: it tells whether the catalog can stay unread, and
// otherwise reads what was skipped.
func (g *graph) settle(c *Catalog) (unread bool) {
	w := g.watch
	if w == nil || w.skipped == 0 {
		return false
	}
	if w.skipped == 1<<edgesText|1<<resourcesText && c.Certname == w.known.certname && len(g.problems) == 0 {
		c.Hash = w.known.hash
		c.unread = &unreadCatalog{w.known.version, g.received, w.body}
		return true
	}
	end := g.i
	for part, read := range [2]struct {
		name string
		from func()
	}{{"edges", g.readEdges}, {"resources", g.readResources}} {
		if w.skipped&(1<<part) == 0 {
			continue
		}
		g.i = w.at[part]
		g.path = append(g.path, step{key: read.name})
		read.from()
		g.path = g.path[:len(g.path)-1]
		if w.texts != nil {
			w.complete |= 1 << part
			w.read[part] = w.known.parts[part]
		}
	}
	g.i = end
	return false
}

// unreadCatalog is where the resources and edges of a catalog still are.
type unreadCatalog struct {
	version  int
	received time.Time
	body     []byte
}

// Unread tells whether Resources and Edges are still to be read, and the
// catalog holds on to the body it was decoded from.
func (c *Catalog) Unread() bool { return c.unread != nil }

// Read completes an unread catalog. Hash is right without it.
func (c *Catalog) Read() error {
	if c.unread == nil {
		return nil
	}
	payload, err := Decode(ReplaceCatalog, c.unread.version, c.unread.received, c.unread.body)
	if err != nil {
		return err
	}
	whole := payload.(*Catalog)
	c.Resources, c.Edges, c.unread = whole.Resources, whole.Edges, nil
	return nil
}
