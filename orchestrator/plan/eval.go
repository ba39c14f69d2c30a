package plan

import (
	"context"
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Limits of what expressions may make.
const (
	maxWork = 50_000_000 // parts of expressions and values that are looked at, in one plan
	maxText = 16 << 20   // bytes of a text
)

// expr is an expression, or a value of YAML with expressions in it. Its error
// is an *Error, or why ctx ended.
type expr interface {
	eval(s *scope) (any, error)
}

// scope is the variables that an expression sees.
type scope struct {
	ctx   context.Context
	vars  map[string]any
	outer *scope
	work  *int // what is left of maxWork
}

func (s *scope) get(name string) any {
	for ; s != nil; s = s.outer {
		if v, ok := s.vars[name]; ok {
			return v
		}
	}
	return nil
}

func (s *scope) inner() *scope {
	return &scope{ctx: s.ctx, vars: map[string]any{}, outer: s, work: s.work}
}

// spend counts work, so that no plan computes without end.
func (s *scope) spend(line, n int) error {
	*s.work -= n
	if *s.work < 0 {
		return badValue(line, "the expressions of the plan take too much work")
	}
	return s.ctx.Err()
}

type (
	literal  struct{ value any }
	variable struct {
		line int
		name string
	}
	concat []expr // a text
	list   []expr
	hash   [][2]expr
	index  struct {
		line int
		of   expr
		args []expr
	}
	unary struct {
		op   string
		line int
		of   expr
	}
	binary struct {
		op          string
		line        int
		left, right expr
	}
	statement struct {
		name  string // "": not assigned
		value expr
	}
	block  []statement
	lambda struct {
		names []string
		body  expr
	}
	call struct {
		name   string
		line   int
		f      function
		args   []expr
		lambda *lambda
	}
)

func (l literal) eval(*scope) (any, error) { return l.value, nil }

func (v variable) eval(s *scope) (any, error) { return s.get(v.name), s.spend(v.line, 1) }

func (c concat) eval(s *scope) (any, error) {
	var b strings.Builder
	for _, part := range c {
		v, err := part.eval(s)
		if err != nil {
			return nil, err
		}
		writeText(&b, v)
		if err := s.spend(0, 1); err != nil {
			return nil, err
		}
		if b.Len() > maxText {
			return nil, badValue(0, "a text is longer than %d bytes", maxText)
		}
	}
	return b.String(), nil
}

func (l list) eval(s *scope) (any, error) {
	values := make([]any, len(l))
	for i, e := range l {
		v, err := e.eval(s)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	return values, s.weigh(0, values)
}

func (h hash) eval(s *scope) (any, error) {
	values := make(map[string]any, len(h))
	for _, pair := range h {
		k, err := pair[0].eval(s)
		if err != nil {
			return nil, err
		}
		if values[text(k)], err = pair[1].eval(s); err != nil {
			return nil, err
		}
	}
	return values, s.weigh(0, values)
}

func (b block) eval(s *scope) (v any, err error) {
	s = s.inner()
	for _, statement := range b {
		if v, err = statement.value.eval(s); err != nil {
			return nil, err
		}
		if statement.name != "" {
			s.vars[statement.name] = v
		}
	}
	return v, nil
}

func (u unary) eval(s *scope) (any, error) {
	v, err := u.of.eval(s)
	if err != nil {
		return nil, err
	}
	if u.op == "!" {
		return !truthy(v), nil
	}
	return arithmetic("-", u.line, json.Number("0"), v)
}

func (b binary) eval(s *scope) (any, error) {
	left, err := b.left.eval(s)
	if err != nil {
		return nil, err
	}
	if b.op == "and" && !truthy(left) || b.op == "or" && truthy(left) {
		return b.op == "or", nil
	}
	right, err := b.right.eval(s)
	if err != nil {
		return nil, err
	}
	if err := s.spend(b.line, 1+size(left)+size(right)); err != nil {
		return nil, err
	}
	switch b.op {
	case "and", "or":
		return truthy(right), nil
	case "==":
		return equal(left, right), nil
	case "!=":
		return !equal(left, right), nil
	case "<", "<=", ">", ">=":
		return ordered(b.op, b.line, left, right)
	case "=~", "!~":
		found, err := match(b.line, left, right)
		return found == (b.op == "=~"), err
	case "in":
		return within(b.line, left, right)
	}
	v, err := arithmetic(b.op, b.line, left, right)
	if err == nil {
		err = s.weigh(b.line, v)
	}
	return v, err
}

// size is how much work it is to look at a value.
func size(v any) int {
	switch v := v.(type) {
	case []any:
		return len(v)
	case map[string]any:
		return len(v)
	case string:
		return len(v) / 64
	}
	return 0
}

// apply calls a lambda. Names that get no value are undef.
func (l *lambda) apply(s *scope, args ...any) (any, error) {
	inner := s.inner()
	for i, name := range l.names {
		inner.vars[name] = nil
		if i < len(args) {
			inner.vars[name] = args[i]
		}
	}
	if err := s.spend(0, 1); err != nil {
		return nil, err
	}
	return l.body.eval(inner)
}

func (c call) eval(s *scope) (any, error) {
	args := make([]any, len(c.args))
	for i, e := range c.args {
		v, err := e.eval(s)
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	work := 1
	for _, a := range args {
		work += size(a)
	}
	if err := s.spend(c.line, work); err != nil {
		return nil, err
	}
	v, err := c.f.run(&invocation{c, s}, args)
	if err == nil {
		err = s.weigh(c.line, v)
	}
	return v, err
}

// numberOf reads a number, or a text that is one, as arithmetic does.
func numberOf(v any) (f *big.Float, whole bool, ok bool) {
	var source string
	switch v := v.(type) {
	case json.Number:
		source = string(v)
	case string:
		source = strings.TrimSpace(v)
		if len(source) > 64 || strings.ContainsAny(source, "_nNiIpP") {
			return nil, false, false
		}
	default:
		return nil, false, false
	}
	if n, err := strconv.ParseInt(source, 0, 64); err == nil {
		return new(big.Float).SetPrec(64).SetInt64(n), true, true
	}
	n, err := strconv.ParseFloat(source, 64)
	if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
		return nil, false, false
	}
	return new(big.Float).SetPrec(64).SetFloat64(n), false, true
}

// decimal writes a float so that it stays one.
func decimal(f float64) json.Number {
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return json.Number(text)
}

func arithmetic(op string, line int, left, right any) (any, error) {
	switch l := left.(type) {
	case []any:
		return listArithmetic(op, line, l, right)
	case map[string]any:
		return hashArithmetic(op, line, l, right)
	}
	a, wholeA, okA := numberOf(left)
	b, wholeB, okB := numberOf(right)
	if !okA || !okB {
		v := left
		if okA {
			v = right
		}
		return nil, badValue(line, "the operator '%s' cannot be used on %s", op, kindOf(v))
	}
	if wholeA && wholeB {
		return integers(op, line, a, b)
	}
	x, _ := a.Float64()
	y, _ := b.Float64()
	var z float64
	switch op {
	case "+":
		z = x + y
	case "-":
		z = x - y
	case "*":
		z = x * y
	case "/":
		z = x / y
	default:
		return nil, badValue(line, "the operator '%s' is for integers", op)
	}
	if math.IsInf(z, 0) || math.IsNaN(z) {
		return nil, badValue(line, "the result of '%s' is not a number", op)
	}
	return decimal(z), nil
}

func integers(op string, line int, a, b *big.Float) (any, error) {
	x, _ := a.Int(nil)
	y, _ := b.Int(nil)
	z := new(big.Int)
	switch op {
	case "+":
		z.Add(x, y)
	case "-":
		z.Sub(x, y)
	case "*":
		z.Mul(x, y)
	default:
		if y.Sign() == 0 {
			return nil, badValue(line, "division by zero")
		}
		rest := new(big.Int)
		z.QuoRem(x, y, rest)
		if rest.Sign() != 0 && rest.Sign() != y.Sign() { // round down, as Puppet does
			z.Sub(z, big.NewInt(1))
			rest.Add(rest, y)
		}
		if op == "%" {
			z = rest
		}
	}
	if !z.IsInt64() {
		return nil, badValue(line, "the result of '%s' is larger than an integer can be", op)
	}
	return json.Number(z.String()), nil
}

func listArithmetic(op string, line int, l []any, right any) (any, error) {
	r, ok := right.([]any)
	if !ok {
		r = []any{right}
	}
	switch op {
	case "+":
		return append(l[:len(l):len(l)], r...), nil
	case "-":
		kept := []any{}
		for _, v := range l {
			if !contains(r, v) {
				kept = append(kept, v)
			}
		}
		return kept, nil
	}
	return nil, badValue(line, "the operator '%s' cannot be used on an Array", op)
}

func hashArithmetic(op string, line int, l map[string]any, right any) (any, error) {
	made := make(map[string]any, len(l))
	for k, v := range l {
		made[k] = v
	}
	r, isHash := right.(map[string]any)
	names, isList := right.([]any)
	switch {
	case op == "+" && isHash:
		for k, v := range r {
			made[k] = v
		}
	case op == "-" && isHash:
		for k := range r {
			delete(made, k)
		}
	case op == "-" && isList:
		for _, k := range names {
			delete(made, text(k))
		}
	case op == "-":
		delete(made, text(right))
	default:
		return nil, badValue(line, "the operator '%s' cannot be used on a Hash and %s", op, kindOf(right))
	}
	return made, nil
}
