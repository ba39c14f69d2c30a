package query

import "dalang/store/query/ast"

// plan is a resolved query: every name is a field, every value has the
// field's type. Emitting it cannot fail.
type plan struct {
	ent    *Entity
	cols   []outcol
	where  pred // nil: everything
	group  []term
	order  []sortKey
	limit  *int64
	offset *int64
	only   bool // rows are the bare data of the only column
}

// outcol is one column of the answer.
type outcol struct {
	name string
	term term
}

// plain tells that a column is a field as it is.
func (c outcol) plain() bool { return c.term.fn == nil && c.term.path == nil }

type sortKey struct {
	term term
	desc bool
}

// term is what can be extracted or compared: a field, a place within a
// Document, or a function of one.
type term struct {
	field *Field
	path  *dotted
	fn    *function
}

// function is one of those that extract knows.
type function struct {
	name string
	mask string // of to_string
	star bool   // count without an argument
}

// pred is a predicate. Its forms are in this file and know how to become SQL
// in emit_pred.go.
type pred interface{ sql(s *scope) string }

type (
	allOf  struct{ args []pred } // and
	anyOf  struct{ args []pred } // or
	noneOf struct{ arg pred }    // not
	always struct{ yes bool }

	// compare is a comparison of a field with a value of its type: string,
	// int64, float64, bool, or ast.Value for JSON.
	compare struct {
		t  term
		op string
		v  any
	}
	// regex is ~; of a Value on its text form.
	regex struct {
		t       term
		pattern string
	}
	// noPattern is ~ with null, which is unknown rather than false.
	noPattern struct{ t term }
	nullTest  struct {
		t    term
		want bool
	}
	// oneOf is membership in a list of values as compare has them.
	oneOf struct {
		t    term
		vals []any
	}
	// member is membership in the rows of another query.
	member struct {
		terms []term
		sub   *plan
	}
	// pathMatch is ~>; patterns is the text of a sqlfunc.PathMatcher.
	pathMatch struct {
		t        term
		patterns string
	}
	// inDoc is a comparison within a Document; path is set in the term.
	inDoc struct {
		t  term
		op string
		v  ast.Value
	}
	// ofFact is a comparison with a top-level fact of the row's node.
	ofFact struct {
		node string // the row's node id
		name string
		op   string
		v    ast.Value
	}
	// ofParameter is a comparison with a parameter of a resource.
	ofParameter struct {
		name string
		op   string
		text string // canonical JSON, or the pattern of ~
	}
	// inState tells whether the row's node is active or inactive.
	inState struct {
		active bool
		since  int64 // inactive: dead after this time
	}
	// isNumber tells whether a Value is a number.
	isNumber struct{ t term }
	// ofType compares jsonb_typeof of a Value.
	ofType struct {
		t    term
		name string
	}
)
