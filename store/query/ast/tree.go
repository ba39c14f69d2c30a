package ast

// Query is one level of a query: what is wanted of one entity.
type Query struct {
	Entity string // as written; upstream's spelling with underscores or, at the root, dashes
	Pos    int    // of the entity's name

	Columns []Operand // what extract names; nil: every column
	Bare    bool      // Columns was written as one string, not as a list
	Where   Expr      // nil: everything
	GroupBy []Operand // nil: no grouping

	Limit, Offset *int64
	OrderBy       []Order // nil: not given
}

// Order is one sort key of an order_by clause.
type Order struct {
	Field string
	Desc  bool
	Pos   int
}

// Form tells what an Operand is.
type Form uint8

// The forms of operands.
const (
	Name       Form = iota // a field, perhaps dotted
	Parameter              // ["parameter", Name]
	Fact                   // ["fact", Name]
	NodeActive             // ["node", "active"]
	Function               // ["function", Name, Args…]
)

// Operand is what an operator looks at or what is extracted.
type Operand struct {
	Form Form
	Name string
	Args []string // of a Function
	Pos  int
}

// Expr is a condition. Its forms are those of this package.
type Expr interface{ expr() }

// And holds when all of its arguments do; Or when any does.
type (
	And struct{ Args []Expr }
	Or  struct{ Args []Expr }
	Not struct{ Arg Expr }
)

// Compare is = < > <= >= ~ and ~>.
type Compare struct {
	Op    string
	Field Operand
	Value Value
	Pos   int
}

// IsNull is null?; Want false asks for the opposite.
type IsNull struct {
	Field Operand
	Want  bool
	Pos   int
}

// In is membership of Fields in Array, or in the rows of Query.
type In struct {
	Fields []Operand
	Array  []Value // when Query is nil
	Query  *Query
	Legacy bool // Query was written extract … select_…
	Pos    int
}

// Subquery is the implicit join: a row of Entity that Where holds for belongs
// to this row.
type Subquery struct {
	Entity string
	Where  Expr
	Pos    int
}

func (*And) expr()      {}
func (*Or) expr()       {}
func (*Not) expr()      {}
func (*Compare) expr()  {}
func (*IsNull) expr()   {}
func (*In) expr()       {}
func (*Subquery) expr() {}

// Walk calls f for e and every expression below it, but not within the
// queries of In and the conditions of Subquery: they are other levels.
func Walk(e Expr, f func(Expr)) {
	if e == nil {
		return
	}
	f(e)
	switch e := e.(type) {
	case *And:
		for _, a := range e.Args {
			Walk(a, f)
		}
	case *Or:
		for _, a := range e.Args {
			Walk(a, f)
		}
	case *Not:
		Walk(e.Arg, f)
	}
}

// WalkAll is Walk through all levels.
func WalkAll(e Expr, f func(Expr)) {
	Walk(e, func(x Expr) {
		f(x)
		switch x := x.(type) {
		case *In:
			if x.Query != nil {
				WalkAll(x.Query.Where, f)
			}
		case *Subquery:
			WalkAll(x.Where, f)
		}
	})
}
