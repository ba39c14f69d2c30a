package ptype

import (
	"math/big"
	"strings"

	"github.com/dlclark/regexp2"
)

// Type is a Puppet data type. It is safe for concurrent use.
type Type struct {
	name    string // as written, without arguments
	text    string // as written
	known   bool
	of      []*Type // element, key and value, alternatives, or what one that is not known names
	low     *big.Float
	high    *big.Float // nil: no limit
	words   []string   // of Enum
	anyCase bool       // of Enum
	regexes []*regexp2.Regexp
	fields  []field
	truth   *bool  // of Boolean[true]
	literal string // of Optional['a'], NotUndef['a']
	alias   *Type  // what one that is not known is, if that is sensitive
}

// String is the type as it was written.
func (t *Type) String() string { return t.text }

// Unknown is the types within t that are not known and take anything.
func (t *Type) Unknown() []string {
	var names []string
	if !t.known {
		names = append(names, t.name)
	}
	for _, o := range t.of {
		names = append(names, o.Unknown()...)
	}
	for _, f := range t.fields {
		names = append(names, f.typ.Unknown()...)
	}
	return names
}

// takesUndef tells whether undef is of the type.
func (t *Type) takesUndef() bool { return t.check(nil, "") == nil }

// resolve gives the arguments their meaning.
func (t *Type) resolve(p *parser, args []arg) {
	t.known = true
	switch t.name {
	case "Any", "Data", "RichData", "RichDataKey", "Scalar", "ScalarData", "Numeric", "Undef", "Default", "TargetSpec",
		"Timestamp", "Timespan", "SemVer", "SemVerRange", "Binary", "URI", "Error", "Target":
		t.ignore(p, args)
	case "Boolean":
		for _, a := range t.atMost(p, args, 1) {
			if a.kind != argBool {
				t.wrong(p, a, "true or false expected")
			}
			t.truth = &a.truth
		}
	case "Integer", "Float", "String", "Collection":
		t.bounds(p, t.atMost(p, args, 2))
	case "Enum":
		t.enum(p, args)
	case "Pattern":
		for _, a := range t.atLeast(p, args, 1) {
			switch a.kind {
			case argRegex:
				t.regexes = append(t.regexes, a.regex)
			case argText:
				quoted := &parser{text: "/" + strings.ReplaceAll(a.text, "/", `\/`) + "/"}
				t.regexes = append(t.regexes, quoted.regex())
			default:
				t.wrong(p, a, "a regular expression expected")
			}
		}
	case "Regexp":
		t.ignore(p, args)
	case "Optional", "NotUndef", "Sensitive":
		for _, a := range t.atMost(p, args, 1) {
			if a.kind == argText && t.name != "Sensitive" {
				t.literal = a.text
				t.of = []*Type{{name: "Enum", text: "Enum['" + a.text + "']", known: true, words: []string{a.text}}}
				continue
			}
			t.of = append(t.of, t.typeArg(p, a))
		}
	case "Variant":
		for _, a := range t.atLeast(p, args, 1) {
			t.of = append(t.of, t.typeArg(p, a))
		}
	case "Array":
		t.container(p, args, 1)
	case "Hash":
		t.container(p, args, 2)
	case "Tuple":
		rest := args
		for len(rest) > 0 && rest[0].kind == argType {
			t.of, rest = append(t.of, rest[0].typ), rest[1:]
		}
		t.bounds(p, t.atMost(p, rest, 2))
	case "Struct":
		for _, a := range t.atMost(p, args, 1) {
			if a.kind != argStruct {
				t.wrong(p, a, "{ keys => types } expected")
			}
			t.fields = a.fields
		}
	default:
		t.known = false
		for _, a := range args {
			if a.kind == argType {
				t.of = append(t.of, a.typ)
			}
			t.fields = append(t.fields, a.fields...)
		}
	}
}

func (t *Type) wrong(p *parser, a arg, reason string) {
	p.at = a.offset
	p.fail("%s: %s", t.name, reason)
}

func (t *Type) ignore(p *parser, args []arg) { t.atMost(p, args, 4) }

func (t *Type) atMost(p *parser, args []arg, n int) []arg {
	if len(args) > n {
		t.wrong(p, args[n], "too many arguments")
	}
	return args
}

func (t *Type) atLeast(p *parser, args []arg, n int) []arg {
	if len(args) < n {
		p.fail("%s: arguments expected", t.name)
	}
	return args
}

func (t *Type) typeArg(p *parser, a arg) *Type {
	if a.kind != argType {
		t.wrong(p, a, "a type expected")
	}
	return a.typ
}

// enum takes words and, behind them, whether their case does not matter.
func (t *Type) enum(p *parser, args []arg) {
	for i, a := range args {
		switch {
		case a.kind == argText:
			t.words = append(t.words, a.text)
		case a.kind == argBool && i == len(args)-1:
			t.anyCase = a.truth
		default:
			t.wrong(p, a, "a string expected")
		}
	}
}

// container takes n types, or none, and the bounds of the size behind them.
func (t *Type) container(p *parser, args []arg, n int) {
	if len(args) > 0 && args[0].kind == argType {
		for i := range n {
			if i >= len(args) {
				p.fail("%s: another type expected", t.name)
			}
			t.of = append(t.of, t.typeArg(p, args[i]))
		}
		args = args[n:]
	}
	t.bounds(p, t.atMost(p, args, 2))
}

// bounds takes the smallest and the largest value; default is none.
func (t *Type) bounds(p *parser, args []arg) {
	for i, a := range args {
		var n *big.Float
		switch a.kind {
		case argDefault:
		case argNumber:
			// Base 0 would take 010 for 8, as Puppet does.
			f, _, err := big.ParseFloat(a.text, 0, 200, big.ToNearestEven)
			if err != nil {
				t.wrong(p, a, "a number expected")
			}
			n = f
		default:
			t.wrong(p, a, "a number or default expected")
		}
		if i == 0 {
			t.low = n
		} else {
			t.high = n
		}
	}
	if t.low != nil && t.high != nil && t.low.Cmp(t.high) > 0 {
		t.wrong(p, args[0], "the smallest is larger than the largest")
	}
}
