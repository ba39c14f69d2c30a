// Package sqlfunc holds the SQL functions that a SQLite connection needs to
// answer queries as PostgreSQL would. They are pure; NULL in gives NULL out,
// if not said otherwise.
//
//	pdb_regexp(pattern, text)      1 or 0: PostgreSQL's text ~ pattern (ARE)
//	pdb_json_key(json)             BLOB; two keys compare as jsonb does (see Key)
//	pdb_json_contains(doc, sub)    1 or 0: doc @> sub
//	pdb_json_text(json)            doc #>> '{}': strings bare, the JSON null NULL
//	pdb_json_path(doc, path)       the JSON text at path, or NULL when missing (see Path)
//	pdb_path_key(path)             BLOB; orders path arrays element by element, as text
//	pdb_path_match(path, patterns) 1 or 0: the operator ~> (see PathMatcher)
//	pdb_to_char(x, mask, kind)     to_char of a time (kind 't', x in ms) or of a number (kind 'n')
//	pdb_resource_graph(cat, rep)   JSON array: resources of a catalog and of a report, joined (see ResourceGraph); NULL is the empty list
//
// JSON arguments are text that the store wrote: valid, canonical.
package sqlfunc

import (
	"fmt"

	sqlite3 "github.com/mattn/go-sqlite3"
)

// Register adds the functions to a connection. A connection is used by one
// goroutine at a time, so the caches that it gets need no locks.
func Register(conn *sqlite3.SQLiteConn) error {
	rx := newCache(CompileRegexp)
	paths := newCache(ParsePath)
	matchers := newCache(NewPathMatcher)
	for name, f := range map[string]any{
		"pdb_regexp": func(pattern string, text any) (any, error) {
			s, ok := asText(text)
			if !ok {
				return nil, nil
			}
			re, err := rx.get(pattern)
			if err != nil {
				return nil, err
			}
			return re.Match(s)
		},
		"pdb_json_key": func(json any) any {
			s, ok := asText(json)
			if !ok {
				return nil
			}
			return Key(s)
		},
		"pdb_json_contains": func(doc any, sub string) any {
			s, ok := asText(doc)
			if !ok {
				return nil
			}
			return Contains(s, sub)
		},
		"pdb_json_text": func(json any) any {
			s, ok := asText(json)
			if !ok {
				return nil
			}
			if t, ok := Text(s); ok {
				return t
			}
			return nil
		},
		"pdb_json_path": func(doc any, path string) (any, error) {
			s, ok := asText(doc)
			if !ok {
				return nil, nil
			}
			p, err := paths.get(path)
			if err != nil {
				return nil, err
			}
			if v, ok := p.Find(s); ok {
				return v, nil
			}
			return nil, nil
		},
		"pdb_path_key": PathKey,
		"pdb_path_match": func(path, patterns string) (any, error) {
			m, err := matchers.get(patterns)
			if err != nil {
				return nil, err
			}
			return m.Match(path)
		},
		"pdb_resource_graph": func(catalog, report any) string {
			c, _ := asText(catalog)
			r, _ := asText(report)
			return ResourceGraph(c, r)
		},
		"pdb_to_char": func(x any, mask, kind string) (any, error) { return ToChar(x, mask, kind) },
	} {
		if err := conn.RegisterFunc(name, f, true); err != nil {
			return fmt.Errorf("register SQL function %s: %w", name, err)
		}
	}
	return nil
}

func asText(x any) (string, bool) {
	switch x := x.(type) {
	case string:
		return x, true
	case []byte: // NULL comes as a nil slice
		return string(x), x != nil
	case int64:
		return fmt.Sprint(x), true
	case float64:
		return fmt.Sprint(x), true
	}
	return "", false
}

// cache keeps what was made of the last few arguments: a query calls a
// function with the same constant for every row.
type cache[T any] struct {
	make func(string) (T, error)
	kept map[string]T
	last string
	hit  *T
}

const cacheSize = 64

func newCache[T any](f func(string) (T, error)) *cache[T] {
	return &cache[T]{make: f, kept: map[string]T{}}
}

func (c *cache[T]) get(arg string) (T, error) {
	if c.hit != nil && c.last == arg {
		return *c.hit, nil
	}
	v, ok := c.kept[arg]
	if !ok {
		var err error
		if v, err = c.make(arg); err != nil {
			return v, err
		}
		if len(c.kept) >= cacheSize {
			clear(c.kept)
		}
		c.kept[arg] = v
	}
	c.last, c.hit = arg, &v
	return v, nil
}
