package ptype

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func value(t testing.TB, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v), text)
	return v
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		typ      string
		yes, no  string // JSON values, apart by spaces
		mismatch string // of the last no
	}{
		{"Any", `null 1 "a" [1] {}`, ``, ""},
		{"Data", `null 1 "a" [1] {"a":[{}]}`, ``, ""},
		{"Boolean", `true false`, `"true" 1 null`, "expected Boolean, got Undef"},
		{"Boolean[true]", `true`, `false`, ""},
		{"Integer", `1 -5 12345678901234567890123`, `1.0 1e3 "1" true`, "expected Integer, got Boolean"},
		{"Integer[1]", `1 99`, `0 -1`, ""},
		{"Integer[default, 10]", `-99 10`, `11`, ""},
		{"Integer[0x10, 0x1F]", `16 31`, `15 32`, ""},
		{"Integer[1, 12345678901234567890123]", `12345678901234567890123`, `12345678901234567890124`, ""},
		{"Float", `1.5 1e3`, `1 "1.5"`, ""},
		{"Float[-1.5, 2.5]", `-1.5 2.5`, `-1.6 2.6`, ""},
		{"Numeric", `1 1.5`, `"1"`, "expected Numeric, got String"},
		{"String", `"" "a"`, `1 null`, ""},
		{"String[1]", `"a"`, `""`, ""},
		{"String[1,3]", `"äöü"`, `"abcd"`, ""},
		{"Enum['a', 'b']", `"a" "b"`, `"c" "A"`, "expected Enum['a', 'b'], got 'A'"},
		{"Enum[present, absent]", `"present"`, `"other"`, ""},
		{"Enum['a', true]", `"A"`, `"b"`, ""},
		{`Pattern[/\A[a-z]+\z/, /^x\/y$/]`, `"abc" "x/y"`, `"ABC" 1`, ""},
		{`Pattern[/\A\h+\z/]`, `"deadBEEF"`, `"xyz"`, ""},
		{`Pattern[/\A(?!root)\w+\z/]`, `"user"`, `"root"`, ""},
		{`Pattern['\d']`, `"a1"`, `"a"`, ""},
		{"Optional[Integer]", `null 1`, `"a"`, "expected Optional[Integer], got String"},
		{"Optional", `null 1`, ``, ""},
		{"Optional['a']", `null "a"`, `"b"`, ""},
		{"NotUndef", `1 false`, `null`, ""},
		{"NotUndef[String]", `"a"`, `null 1`, ""},
		{"Undef", `null`, `0`, ""},
		{"Variant[Integer, Array[String]]", `1 ["a"]`, `"a" [1]`, "expected String at [0], got Integer"},
		{"Array", `[] [1,"a"]`, `{} 1`, ""},
		{"Array[Integer]", `[] [1,2]`, `[1,"a"]`, "expected Integer at [1], got String"},
		{"Array[String, 1]", `["a"]`, `[]`, "expected Array[String, 1], got Array of size 0"},
		{"Array[String, 1, 2]", `["a","b"]`, `["a","b","c"]`, ""},
		{"Array[1, 2]", `[true]`, `[]`, ""},
		{"Hash", `{} {"a":1}`, `[]`, ""},
		{"Hash[String, Integer]", `{"a":1}`, `{"a":"b"}`, "expected Integer at ['a'], got String"},
		{"Hash[Enum['a'], Any]", `{"a":1}`, `{"b":1}`, "expected Enum['a'] at  (key 'b'), got 'b'"},
		{"Hash[String, Any, 1, 2]", `{"a":1}`, `{}`, ""},
		{"Struct[{a => Integer, Optional[b] => String, 'c' => Optional[Integer]}]", `{"a":1} {"a":1,"b":"x","c":null}`,
			`{} {"a":1,"d":1} {"a":"x"}`, "expected Integer at ['a'], got String"},
		{"Struct[{mode=>Enum[file,missing], path=>Optional[String[1]],}]", `{"mode":"file"}`, `{"mode":"x"} []`, ""},
		{"Tuple[String, Integer]", `["a",1]`, `["a"] ["a",1,2] [1,"a"]`, ""},
		{"Tuple[String, Integer, 1, 4]", `["a"] ["a",1,2,3]`, `[] ["a",1,2,3,4]`, ""},
		{"Collection[1]", `[1] {"a":1}`, `[] 1`, ""},
		{"Scalar", `1 "a" true`, `null [] {}`, ""},
		{"Sensitive[String]", `"a"`, `1`, "expected Sensitive[String], got Integer"},
		{"Sensitive", `"a" 1`, ``, ""},
		{"TargetSpec", `"a" ["a",["b"]]`, `1 [1] {}`, ""},
		{"SemVer", `"1.2.3"`, `1`, ""},
		{"Stdlib::Absolutepath", `1 "a" null`, ``, ""},
		{"Array[Stdlib::Port::Unprivileged]", `[1]`, `1`, ""},
		{"Variant[Array[Integer], Undef]", `null [1]`, `1`, ""},
	} {
		t.Run(c.typ, func(t *testing.T) {
			parsed, err := Parse(c.typ)
			require.NoError(t, err)
			require.Equal(t, c.typ, parsed.String())
			for _, text := range strings.Fields(c.yes) {
				require.NoError(t, parsed.Check(value(t, text)), text)
			}
			var last error
			for _, text := range strings.Fields(c.no) {
				last = parsed.Check(value(t, text))
				require.Error(t, last, text)
			}
			if c.mismatch != "" {
				require.EqualError(t, last, c.mismatch)
			}
		})
	}
}

// TestMismatch: what is told of a value, and of one that is a secret.
func TestMismatch(t *testing.T) {
	for _, c := range []struct{ typ, value, shown, secret string }{
		{"Integer[1, 5]", `9`, "expected Integer[1, 5], got 9", "expected Integer[1, 5], got Integer out of range"},
		{"Float[1, 5]", `0.5`, "expected Float[1, 5], got 0.5", "expected Float[1, 5], got Float out of range"},
		{"Optional[Integer[1]]", `0`, "expected Optional[Integer[1]], got 0", "expected Optional[Integer[1]], got Integer out of range"},
		{"Variant[String[9], Integer[1]]", `0`, "expected Variant[String[9], Integer[1]], got 0", "expected Variant[String[9], Integer[1]], got Integer out of range"},
		{"Boolean[true]", `false`, "expected Boolean[true], got false", "expected Boolean[true], got the other Boolean"},
		{"Enum[a, b]", `"c"`, "expected Enum[a, b], got 'c'", "expected Enum[a, b], got String that is none of these"},
		{"Pattern[/^a/]", `"c"`, "expected Pattern[/^a/], got 'c'", "expected Pattern[/^a/], got String that does not match"},
		{"String[3]", `"c"`, "expected String[3], got String of length 1", "expected String[3], got String of another length"},
		{"Hash[String, Any, 2]", `{"c":1}`, "expected Hash[String, Any, 2], got Hash of size 1", "expected Hash[String, Any, 2], got Hash of another size"},
		{"Array[Enum[a]]", `["c"]`, "expected Enum[a] at [0], got 'c'", "expected Array[Enum[a]], got another Array"},
		{"Struct[{a => Any}]", `{"a":1,"c":1}`, "expected Struct[{a => Any}], got Hash with the key 'c'", "expected Struct[{a => Any}], got another Hash"},
		{"Integer", `"c"`, "expected Integer, got String", "expected Integer, got String"},
		{"Enum[a]", `"` + strings.Repeat("é", 99) + `"`, "expected Enum[a], got '" + strings.Repeat("é", 60) + "…'", "expected Enum[a], got String that is none of these"},
	} {
		parsed, err := Parse(c.typ)
		require.NoError(t, err)
		require.EqualError(t, parsed.Check(value(t, c.value)), c.shown)
		require.EqualError(t, parsed.CheckSecret(value(t, c.value)), c.secret)
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                           `type "": a type expected, such as String at character 1`,
		"string":                     `type "string": a type expected, such as String at character 1`,
		"String[":                    `type "String[": a type, a string, a number or a regular expression expected at character 8`,
		"String[1":                   `type "String[1": ] expected at character 9`,
		"String] ":                   `type "String] ": nothing more expected at character 7`,
		"Integer['a']":               `type "Integer['a']": Integer: a number or default expected at character 9`,
		"Integer[2, 1]":              `type "Integer[2, 1]": Integer: the smallest is larger than the largest at character 9`,
		"Integer[1, 2, 3]":           `type "Integer[1, 2, 3]": Integer: too many arguments at character 15`,
		"Enum['a]":                   `type "Enum['a]": the string does not end at character 9`,
		"Pattern[/a":                 `type "Pattern[/a": the regular expression does not end at character 9`,
		"Hash[String]":               `type "Hash[String]": Hash: another type expected at character 13`,
		"Struct[{1 => String}]":      `type "Struct[{1 => String}]": a key expected: a string, or one in Optional[…] at character 9`,
		"Struct[{a = String}]":       `type "Struct[{a = String}]": => expected at character 11`,
		strings.Repeat("Array[", 99): "types nest deeper than 50",
		"Optional[1]":                "Optional: a type expected",
		"Boolean['x']":               "Boolean: true or false expected",
		"Integer[1x]":                "Integer: a number expected",
		"Variant":                    "Variant: arguments expected",
	} {
		_, err := Parse(text)
		var e *Error
		require.ErrorAs(t, err, &e, text)
		require.Contains(t, err.Error(), want)
	}
}

func TestUnknownAndSensitive(t *testing.T) {
	parsed, err := Parse("Struct[{a => Variant[Stdlib::Port, Integer], b => Array[My::Type]}]")
	require.NoError(t, err)
	require.Equal(t, []string{"Stdlib::Port", "My::Type"}, parsed.Unknown())
	for text, want := range map[string]bool{"Sensitive": true, "Optional[Sensitive[String]]": true, "Variant[String, Sensitive[String]]": true, "Array[String]": false,
		"Array[Sensitive[String]]": true, "Struct[{a => String, pw => Sensitive[String]}]": true, "Hash[String, Hash[String, Sensitive]]": true,
		"Hash[Sensitive[String], String]": true, "Tuple[String, Sensitive[String], 1, 5]": true, "My::List[Sensitive[String]]": true,
		"My::Options[{a => Sensitive}]": true, "Struct[{a => Enum['Sensitive']}]": false} {
		parsed, err := Parse(text)
		require.NoError(t, err)
		require.Equal(t, want, parsed.Sensitive(), text)
	}
}

// TestHide: what is a secret by its type is hidden, and nothing else where that
// is plain.
func TestHide(t *testing.T) {
	type hidden struct{ v any }
	wrap := func(v any) any {
		if _, already := v.(hidden); already {
			return v
		}
		return hidden{v}
	}
	one, two := map[string]any{"a": "1"}, map[string]any{"a": "1", "b": "2"}
	for _, c := range []struct {
		text    string
		v, want any
	}{
		{"Sensitive[String]", "x", hidden{"x"}},
		{"Sensitive[String]", hidden{"x"}, hidden{"x"}},
		{"Optional[Sensitive[String]]", nil, nil},
		{"Array[Sensitive[String]]", []any{"x", hidden{"y"}, nil}, []any{hidden{"x"}, hidden{"y"}, nil}},
		{"Array[Sensitive]", hidden{[]any{"x"}}, hidden{[]any{"x"}}},
		{"Struct[{a => String, Optional[b] => Optional[Sensitive]}]", two, map[string]any{"a": "1", "b": hidden{"2"}}},
		{"Struct[{a => String, Optional[b] => Optional[Sensitive]}]", one, one},
		{"Hash[String, Sensitive]", two, map[string]any{"a": hidden{"1"}, "b": hidden{"2"}}},
		{"Hash[Sensitive, String]", one, hidden{one}},
		{"Tuple[String, Sensitive[String], 1, 5]", []any{"a", "b", "c"}, []any{"a", hidden{"b"}, hidden{"c"}}},
		{"Variant[String, Sensitive[String]]", "x", hidden{"x"}},
		{"Variant[Struct[{a => Sensitive}], Hash[String, String]]", one, map[string]any{"a": hidden{"1"}}},
		{"My::List[Sensitive[String]]", []any{"x"}, hidden{[]any{"x"}}},
		{"Sensitive[Struct[{a => Sensitive}]]", one, hidden{map[string]any{"a": hidden{"1"}}}},
		{"Array[String]", []any{"x"}, []any{"x"}},
		{"Array[Sensitive[String]]", "no list", hidden{"no list"}},
	} {
		parsed, err := Parse(c.text)
		require.NoError(t, err)
		require.Equal(t, c.want, parsed.Hide(c.v, wrap), c.text)
	}
	require.Equal(t, map[string]any{"a": "1", "b": "2"}, two, "and is left as it was")
}

// TestAlias: a type that is not known is as sensitive as what it stands for.
func TestAlias(t *testing.T) {
	find := func(name string) *Type {
		of, err := Parse(map[string]string{"My::Password": "Struct[{user => String, pw => Sensitive[String]}]", "My::Port": "Integer"}[name])
		if err != nil {
			return nil
		}
		return of
	}
	wrap := func(any) any { return "hidden" }
	for text, want := range map[string]bool{"My::Password": true, "Array[Optional[My::Password]]": true, "Struct[{a => My::Password}]": true,
		"My::List[My::Password]": true, "My::Port": false, "Array[My::Other]": false} {
		parsed, err := Parse(text)
		require.NoError(t, err)
		require.False(t, parsed.Sensitive())
		parsed.Alias(find)
		require.Equal(t, want, parsed.Sensitive(), text)
		require.NoError(t, parsed.Check(value(t, map[bool]string{true: `{"a":7}`, false: `[7]`}[text == "Struct[{a => My::Password}]"])), "and takes anything")
	}
	parsed, err := Parse("Array[My::Password]")
	require.NoError(t, err)
	parsed.Alias(find)
	require.Equal(t, value(t, `[{"user":"kim","pw":"hidden"}]`), parsed.Hide(value(t, `[{"user":"kim","pw":"x"}]`), wrap))
}

// TestCheckSecret: what is wrong with a secret is said without anything of it.
func TestCheckSecret(t *testing.T) {
	for _, c := range []struct{ text, value, want string }{
		{"Hash[String,Integer]", `{"kk":"x"}`, "expected Hash[String,Integer], got another Hash"},
		{"Hash[Integer,Integer]", `{"kk":1}`, "expected Hash[Integer,Integer], got another Hash"},
		{"Struct[{a=>String}]", `{"a":"x","kk":1}`, "expected Struct[{a=>String}], got another Hash"},
		{"Optional[Array[Hash[String,Integer]]]", `[{"kk":"x"}]`, "expected Optional[Array[Hash[String,Integer]]], got another Array"},
		{"Integer[1]", `0`, "expected Integer[1], got Integer out of range"},
	} {
		parsed, err := Parse(c.text)
		require.NoError(t, err)
		require.EqualError(t, parsed.CheckSecret(value(t, c.value)), c.want)
		require.Error(t, parsed.Check(value(t, c.value)))
	}
	parsed, err := Parse("Hash[String,Integer]")
	require.NoError(t, err)
	require.NoError(t, parsed.CheckSecret(value(t, `{"kk":1}`)))
}

func TestSlowPatternEnds(t *testing.T) {
	parsed, err := Parse(`Pattern[/\A(a|aa)+\z/]`)
	require.NoError(t, err)
	require.Error(t, parsed.Check(strings.Repeat("a", 60)+"!"))
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"Optional[Variant[Integer[1,2],Enum['a','b']]]", `Pattern[/\Aa\/b/]`, "Struct[{a=>Any,Optional['b']=>Tuple[String,1,2]}]", "Hash[String,Data,1,default]"} {
		f.Add(s, `{"a":[1,"x",null]}`)
	}
	f.Fuzz(func(t *testing.T, text, given string) {
		parsed, err := Parse(text)
		if err != nil {
			return
		}
		d := json.NewDecoder(strings.NewReader(given))
		d.UseNumber()
		var v any
		if d.Decode(&v) == nil {
			_ = parsed.Check(v)
		}
		_ = parsed.Unknown()
		again, err := Parse(parsed.String())
		require.NoError(t, err)
		require.Equal(t, parsed.String(), again.String())
	})
}
